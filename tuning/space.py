"""What a sweep varies, and how a point of that space becomes a training config."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from trainables.generator.restyle.config import RestyleTrainConfig

LEARNING_RATE, CONTENT_WEIGHT, BATCH_SIZE = "optimizer.learning_rate", "loss.content_weight", "batch_size"
Settings = dict[str, float]
"""Dotted names of the varied settings and their values."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Learning rate × λ × batch size."""

    learning_rate: tuple[float, ...] = (3e-4, 6e-3)
    """Lowest and highest peak learning rate of the generator, > 0; drawn log-uniformly."""
    content_weight: tuple[float, ...] = (0.1, 2.0)
    """Lowest and highest λ, the weight of the content loss, > 0; drawn log-uniformly."""
    batch_size: tuple[int, ...] = (4, 8)
    """Batch sizes to choose from, clips a step over all workers, ≥ 1."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "content_weight"):
            bounds = getattr(self, name)
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
                raise ValueError(f"space.{name} is {list(bounds)}; give [lowest, highest], both above 0")
        if not self.batch_size or min(self.batch_size) < 1:
            raise ValueError(f"space.batch_size is {list(self.batch_size)}; give at least one size of 1 or above")

    def distributions(self) -> dict[str, BaseDistribution]:
        """The space as Optuna samples it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return {
            LEARNING_RATE: FloatDistribution(*self.learning_rate, log=True),
            CONTENT_WEIGHT: FloatDistribution(*self.content_weight, log=True),
            BATCH_SIZE: CategoricalDistribution(self.batch_size),
        }


def apply(config: RestyleTrainConfig, settings: Settings) -> RestyleTrainConfig:
    """The config with these settings in place."""
    return replace(
        config,
        optimizer=replace(config.optimizer, learning_rate=float(settings[LEARNING_RATE])),
        loss=replace(config.loss, content_weight=float(settings[CONTENT_WEIGHT])),
        batch_size=int(settings[BATCH_SIZE]),
    )


def settings_of(config: RestyleTrainConfig) -> Settings:
    """The settings of a config that a sweep varies."""
    return {
        LEARNING_RATE: config.optimizer.learning_rate,
        CONTENT_WEIGHT: config.loss.content_weight,
        BATCH_SIZE: config.batch_size,
    }


def as_partial_config(settings: Settings) -> dict[str, Any]:
    """The settings as a nested mapping, ready for a YAML file that `shopreel train generator --config` takes."""
    nested: dict[str, Any] = {}
    for name, value in settings.items():
        *parents, leaf = name.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return nested
