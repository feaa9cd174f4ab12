"""Settings that the trainings of all generator tasks share.

Every knob has one dotted name (`--set optimizer.name=adamw`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Both optimisers: warm-up, then a cosine from the peak to the final rate."""

    name: Literal["adam", "adamw"] = "adam"
    """adam or adamw."""
    learning_rate: float = 3e-3
    """Peak rate of the generator, > 0."""
    discriminator_learning_rate: float = 2e-4
    """Peak rate of the judges, > 0."""
    final_share: float = 0.1
    """Rate at the last step as a share of the peak, 0…1."""
    warm_up: float = 0.04
    """Share of the steps in which the rate rises, 0…1."""
    beta1: float = 0.5
    """Momentum, 0…1 (1 excluded)."""
    beta2: float = 0.99
    """Memory of squared gradients, 0…1 (1 excluded)."""
    weight_decay: float = 0.0
    """Decoupled for adamw, ≥ 0."""
    clip_norm: float = 5.0
    """Gradients are scaled down to this norm, > 0."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "discriminator_learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"optimizer.{name} is {getattr(self, name)}; set it above 0")
        for name in ("final_share", "warm_up"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"optimizer.{name} is {getattr(self, name)}; set it between 0 and 1")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"optimizer.{name} is {getattr(self, name)}; set it to 0 or above and below 1")
        if self.weight_decay < 0:
            raise ValueError(f"optimizer.weight_decay is {self.weight_decay}; set it to 0 or above")


@dataclass(frozen=True, kw_only=True)
class EmaConfig:
    """The average that is served."""

    half_life: float = 400.0
    """Half-life in clips seen, > 0."""
    warm_up: float = 0.1
    """The half-life is at most this share of the clips seen so far, 0…1."""

    def __post_init__(self) -> None:
        if self.half_life <= 0 or not 0 <= self.warm_up <= 1:
            raise ValueError(
                f"ema is half_life {self.half_life}, warm_up {self.warm_up}; set half_life above 0, warm_up within 0…1"
            )


@dataclass(frozen=True, kw_only=True)
class KeepConfig:
    """Which checkpoints of a run stay."""

    newest: int = 3
    """So many of the newest, ≥ 1."""
    lowest: str = "loss/total"
    """Term of the training, there from the first step on: the checkpoint before which its mean was lowest (since the
    checkpoint before) stays however old it is. Empty for none."""
    model: Literal["newest", "lowest"] = "newest"
    """Checkpoint that becomes the model."""

    def __post_init__(self) -> None:
        if self.newest < 1:
            raise ValueError(f"keep.newest is {self.newest}; set it to 1 or above")
        if self.model == "lowest" and not self.lowest:
            raise ValueError("keep.model is lowest and keep.lowest names no term; set keep.lowest=loss/total")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training of a generator network; the tasks add their networks and losses."""

    task: ClassVar[str]
    """Name of the task, a key of `task.TASKS`."""

    steps: int = 600
    """Updates of the generator, ≥ 1."""
    batch_size: int = 8
    """Clips a step over all workers, ≥ 1, a multiple of the number of workers."""
    frame_size: int = 64
    """Side of the training crops, pixels, a multiple of 8, 32…256."""
    clip_frames: int = 4
    """Frames of a training clip, ≥ 1."""
    seed: int = 0
    """Of weights, order, crops and looks, ≥ 0."""
    checkpoint_every: int = 100
    """Steps between checkpoints, ≥ 1."""
    sheet_every: int = 200
    """Steps between contact sheets, ≥ 1."""
    keep: KeepConfig = field(default_factory=KeepConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)

    def __post_init__(self) -> None:
        for name, least in (
            ("steps", 1),
            ("batch_size", 1),
            ("clip_frames", 1),
            ("seed", 0),
            ("checkpoint_every", 1),
            ("sheet_every", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; set it to {least} or above")
        if self.frame_size % 8 or not 32 <= self.frame_size <= 256:
            raise ValueError(f"frame_size is {self.frame_size}; set it to a multiple of 8 from 32 to 256")
