"""What a sweep varies, and how a point of that space becomes a training config."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

from cluster.config import merge, to_dict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.distributions import BaseDistribution

Config = TypeVar("Config")
Settings = dict[str, float]
"""Dotted names of the varied settings and their values."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One varied setting: whole numbers to choose from, or a range to draw from."""

    name: str
    """Dotted name of the setting."""
    label: str
    """Short name for a table's head."""
    choices: tuple[int, ...] = ()
    """Whole numbers; with them the bounds mean nothing."""
    low: float = 0.0
    high: float = 0.0
    """Lowest and highest value of a range."""
    log: bool = True
    """Drawn log-uniformly; the lowest value must then be above 0."""
    mutable: bool = False
    """Whether a training can go on with another value: what population based training may change."""

    def __post_init__(self) -> None:
        if self.choices and min(self.choices) < 1:
            raise ValueError(f"space: the choices of {self.name} are {list(self.choices)}; give sizes of 1 or above")
        if not self.choices and not self.low < self.high:
            raise ValueError(f"space: {self.name} goes from {self.low} to {self.high}; give a lowest and a higher one")
        if not self.choices and self.log and self.low <= 0:
            raise ValueError(f"space: {self.name} begins at {self.low}; a logarithmic range begins above 0")

    def distribution(self) -> BaseDistribution:
        """The axis as Optuna samples it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        return FloatDistribution(self.low, self.high, log=self.log)

    def takes(self, value: float) -> bool:
        """Whether a search can be told of this value: a choice must be one of them, a logarithm needs a number > 0."""
        return value in self.choices if self.choices else not self.log or value > 0


Space = tuple[Axis, ...]


def apply(config: Config, settings: Settings) -> Config:
    """The config with these settings in place."""
    return merge(config, as_partial_config(settings))


def settings_of(config: Any, space: Sequence[Axis]) -> Settings:
    """The settings of a config that a sweep varies."""
    return {axis.name: reduce(getattr, axis.name.split("."), config) for axis in space}


def said_of(config: Any, settings: Settings, left_out: Sequence[str] = ()) -> dict[str, Any]:
    """What a file must say for `shopreel train … --config` to train with this config: a nested mapping of all that is
    not as by default, and of `settings` in any case; dotted names in `left_out` are not said.
    """
    values, usual = _flat(to_dict(config)), _flat(to_dict(type(config)()))
    said = {name: value for name, value in values.items() if name in settings or value != usual[name]}
    return as_partial_config({name: value for name, value in said.items() if name not in left_out})


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def as_partial_config(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as a nested mapping, ready for a YAML file that `shopreel train … --config` takes."""
    nested: dict[str, Any] = {}
    for name, value in settings.items():
        *parents, leaf = name.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return nested
