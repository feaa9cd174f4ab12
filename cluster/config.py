"""Frozen dataclass configs: to and from plain dicts, YAML files, and dotted overrides (`--set penalty.gamma=0.5`)."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from cluster.errors import InputError

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dict of a config dataclass, ready for JSON or YAML."""
    return dataclasses.asdict(config)


def from_dict(cls: type[T], values: dict[str, Any], prefix: str = "") -> T:
    """Build `cls`, checking every name and type; errors carry the dotted name of the field."""
    if not isinstance(values, dict):
        raise InputError(f"{prefix or cls.__name__} must be a mapping of settings, not {type(values).__name__}")
    hints = typing.get_type_hints(cls)
    known = {field.name for field in dataclasses.fields(cls)}
    for name in values:
        if name not in known:
            raise InputError(
                f"unknown setting {prefix}{name}; {prefix or cls.__name__} has: {', '.join(sorted(known))}"
            )
    arguments = {name: _convert(hints[name], value, f"{prefix}{name}") for name, value in values.items()}
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from error


def override(config: T, assignments: Iterable[str]) -> T:
    """Apply `name.sub=value` assignments; values are YAML scalars or lists."""
    return from_dict(type(config), assign(to_dict(config), assignments))


def assign(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """The nested mapping with `name.sub=value` put in place; groups must be there, the last name may be new."""
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise InputError(f"--set {assignment!r} has no '='; write --set name=value")
        *parents, leaf = name.strip().split(".")
        node = values
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                wrong = f"{parent!r} is not a group" if parent in node else f"there is no group of settings {parent!r}"
                raise InputError(f"--set {assignment!r}: unknown setting {name}; {wrong}")
            node = node[parent]
        try:
            node[leaf] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set {assignment!r}: {text!r} is no YAML value") from error
    return values


def load(cls: type[T], path: str | Path | None = None, assignments: Iterable[str] = ()) -> T:
    """Defaults, then a YAML file (partial is fine), then `--set` assignments."""
    config = cls()
    if path is not None:
        config = merge(config, read_yaml(path))
    return override(config, assignments)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping; errors name the file."""
    try:
        values = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError as error:
        raise InputError(f"config file {path} does not exist") from error
    except OSError as error:
        raise InputError(f"config file {path} cannot be read: {error.strerror}; name a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"config file {path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"config file {path} must hold a mapping of settings")
    return values


def merge(config: T, values: dict[str, Any]) -> T:
    """The config with the values of a nested mapping, which may be partial, in place of its own."""

    def deep(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
        nested = {
            k: deep(base[k], v) if isinstance(v, dict) and isinstance(base.get(k), dict) else v for k, v in over.items()
        }
        return {**base, **nested}

    return from_dict(type(config), deep(to_dict(config), values))


def _convert(hint: Any, value: Any, name: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return _convert(next(o for o in options if o is not type(None)), value, name)
    if dataclasses.is_dataclass(hint):
        if isinstance(value, dict):
            return from_dict(hint, value, f"{name}.")
        if not isinstance(value, hint):
            names = ", ".join(f"{name}.{field.name}" for field in dataclasses.fields(hint))
            raise InputError(f"{name} is {value!r}, but a group of settings; set one of {names}")
        return value
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise InputError(f"{name} is {value!r}; choose one of {', '.join(map(str, typing.get_args(hint)))}")
        return value
    if origin in (tuple, list):
        if not isinstance(value, (list, tuple)):
            raise InputError(f"{name} is {value!r}; give a list such as [1, 2]")
        return origin(_convert(typing.get_args(hint)[0], item, f"{name}[{i}]") for i, item in enumerate(value))
    if hint is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)  # YAML reads 1e-4 as text
        except (ValueError, OverflowError) as error:
            raise InputError(f"{name} is {value!r}; give a number") from error
        if not math.isfinite(number):
            raise InputError(f"{name} is {value!r}; give a finite number")
        return number
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise InputError(f"{name} is {value!r}; give a value of type {hint.__name__}")
    return value
