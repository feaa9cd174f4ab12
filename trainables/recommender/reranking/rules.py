"""The shop's own say in a slate, as data: what is pinned, blocked and boosted, and when.

    pin:                                  # this product stands in this place
      - {product: lamp-7, place: 1, until: 2026-12-24}
    block:                                # never shown
      - {creator: acme}
    boost:                                # relevance times a factor, below 1 to hold back
      - {category: lamps, factor: 1.5, from: 2026-11-01, name: winter lamps}

A rule names exactly one of product, category, creator or tag. `from` (inclusive) and `until` (exclusive) are ISO dates
or times, in UTC unless they say otherwise. A block wins over a pin and a boost. Ids are taken as they are written, also
those that YAML would count with, such as 0042.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from cluster.errors import InputError

Kind = Literal["pin", "block", "boost"]
SUBJECTS = ("product", "category", "creator", "tag")
MOST_PLACES = 100
LARGEST_FACTOR = 100.0
_EXTRA: dict[str, tuple[str, ...]] = {"pin": ("place",), "block": (), "boost": ("factor",)}
_ALWAYS = ("from", "until", "name")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule; `Rules.parse` checks what it says."""

    kind: Kind
    subject: str
    """One of SUBJECTS."""
    value: str
    """The product's id, the category, creator or tag."""
    place: int | None = None
    """Of a pin, 1 first."""
    factor: float = 1.0
    """Of a boost."""
    from_ms: int | None = None
    until_ms: int | None = None
    name: str = ""
    """What reasons call it."""

    def holds(self, now_ms: int) -> bool:
        """True while the rule is in force."""
        return (self.from_ms is None or now_ms >= self.from_ms) and (self.until_ms is None or now_ms < self.until_ms)

    def __str__(self) -> str:
        return self.name or f"{self.kind} {self.subject} {self.value}"


@dataclass(frozen=True)
class Rules:
    """All rules of a shop; empty without any."""

    rules: tuple[Rule, ...] = ()

    def in_force(self, kind: Kind, now_ms: int) -> list[Rule]:
        """Rules of a kind that hold now, in the order they were written."""
        return [rule for rule in self.rules if rule.kind == kind and rule.holds(now_ms)]

    def pinned(self, now_ms: int) -> dict[int, str]:
        """Place → product pinned there now. Their products must be among the candidates to be placed."""
        return {rule.place: rule.value for rule in self.in_force("pin", now_ms) if rule.place is not None}

    @classmethod
    def load(cls, path: Path) -> Rules:
        """The rules of a YAML or JSON file; InputError names the file, the rule and the field."""
        return cls.parse(cls.read(path), str(path))

    @staticmethod
    def read(path: Path) -> Any:
        """The plain data of a YAML or JSON file, for `parse`; InputError names the file."""
        try:
            text = Path(path).read_text(encoding="utf-8")
            if Path(path).suffix == ".json":
                return json.loads(text, object_pairs_hook=_each_once)
            return yaml.load(text, _RulesLoader)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        except (yaml.YAMLError, ValueError) as error:
            raise InputError(
                f"{path} is not valid {'JSON' if Path(path).suffix == '.json' else 'YAML'}: {error}"
            ) from error

    @classmethod
    def parse(cls, content: Any, source: str = "rules") -> Rules:
        """Check plain data (mappings and lists); InputError names the source, the rule and the field."""
        if content is None:
            return cls()
        if not isinstance(content, Mapping):
            raise InputError(f"{source}: write a mapping with any of pin, block, boost, not {_shown(content)}")
        for key in content:
            if key not in _EXTRA:
                raise InputError(f"{source}: {key!r} is no kind of rule; there are pin, block, boost")
        rules = []
        for kind in _EXTRA:
            entries = content.get(kind) or []
            if not isinstance(entries, list):
                raise InputError(f"{source}: {kind} must be a list of rules, not {_shown(entries)}")
            rules += [_rule(kind, entry, f"{source}: {kind}[{i}]") for i, entry in enumerate(entries)]
        _check_pins([rule for rule in rules if rule.kind == "pin"], source)
        return cls(tuple(rules))


class _RulesLoader(yaml.SafeLoader):
    """YAML in which `0042` and `1_000` are ids, not the numbers 34 and 1000, and a key written twice is a mistake."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:int"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        _check_once([self.construct_object(key, deep=True) for key, _ in node.value])
        return super().construct_mapping(node, deep)


_RulesLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"(?:0|-?[1-9][0-9]*)$"), list("-0123456789"))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_once([key for key, _ in pairs])
    return dict(pairs)


def _check_once(keys: list[Any]) -> None:
    """ValueError for a key that is there twice: all but the last one's rules would be lost."""
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{key!r} is written twice; put the rules of both in one list")


def _rule(kind: Kind, entry: Any, where: str) -> Rule:
    if not isinstance(entry, Mapping):
        raise InputError(f"{where}: write a mapping such as {{product: ID}}, not {_shown(entry)}")
    allowed = ("product",) if kind == "pin" else SUBJECTS
    known = (*allowed, *_EXTRA[kind], *_ALWAYS)
    for field in entry:
        if field not in known:
            raise InputError(f"{where}: field {field!r} is not known; a {kind} takes {', '.join(known)}")
    subjects = [field for field in allowed if field in entry]
    if len(subjects) != 1:
        raise InputError(f"{where}: name exactly one of {', '.join(allowed)}, not {', '.join(subjects) or 'none'}")
    value = entry[subjects[0]]
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise InputError(f"{where}: {subjects[0]} is {_shown(value)}; write its name or id")
    times = {field: _time(entry.get(field), f"{where}: {field}") for field in ("from", "until")}
    if times["from"] is not None and times["until"] is not None and times["from"] >= times["until"]:
        raise InputError(f"{where}: until must lie after from")
    return Rule(
        kind=kind,
        subject=subjects[0],
        value=str(value),
        place=_place(entry.get("place"), where) if kind == "pin" else None,
        factor=_factor(entry.get("factor"), where) if kind == "boost" else 1.0,
        from_ms=times["from"],
        until_ms=times["until"],
        name=str(entry.get("name") or ""),
    )


def _place(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_PLACES:
        raise InputError(f"{where}: place is {_shown(value)}; write a whole number 1…{MOST_PLACES}")
    return value


def _factor(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LARGEST_FACTOR:
        raise InputError(f"{where}: factor is {_shown(value)}; write a number 0…{LARGEST_FACTOR:g}, e.g. 1.5")
    return float(value)


def _time(value: Any, where: str) -> int | None:
    """ISO text, or what YAML made of it, → milliseconds since 1970."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InputError(f"{where} is {value!r}; write an ISO date or time, e.g. 2026-12-24") from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise InputError(f"{where} is {_shown(value)}; write an ISO date or time, e.g. 2026-12-24")
    return round((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)


def _check_pins(pins: Iterable[Rule], source: str) -> None:
    """Two pins that hold at the same time may share neither place nor product."""
    pins = list(pins)
    for i, one in enumerate(pins):
        for j in range(i):
            other = pins[j]
            together = (one.from_ms or 0) < (other.until_ms or 1 << 62) and (other.from_ms or 0) < (
                one.until_ms or 1 << 62
            )
            if together and one.place == other.place:
                raise InputError(f"{source}: pin[{j}] and pin[{i}] both want place {one.place} at the same time")
            if together and one.value == other.value:
                raise InputError(f"{source}: pin[{j}] and pin[{i}] both pin product {one.value!r} at the same time")


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)[:80]
