"""Settings of an enhancement training; every knob has one dotted name (`--set loss.perceptual_weight=0.2`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from trainables.generator.config import OptimizerConfig, TrainConfig
from trainables.generator.enhance.degradation import DegradationConfig
from trainables.generator.enhance.judge import JudgeConfig
from trainables.generator.enhance.losses import LossConfig
from trainables.generator.enhance.network import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class VividConfig:
    """The second stage: the faithful part stands still, the vivid part goes on from there, against the judge."""

    start: float = 0.6
    """Share of the steps that train the faithful part, 0…1; 0: the vivid part alone, 1: the faithful part alone."""
    adversarial_weight: float = 0.01
    """w_a, ≥ 0; 0 trains without the judge."""
    gamma: float = 1.0
    """Weight of the judge's R1 and R2, ≥ 0."""

    def __post_init__(self) -> None:
        if not 0 <= self.start <= 1:
            raise ValueError(f"vivid.start is {self.start}; set it between 0 and 1")
        for name in ("adversarial_weight", "gamma"):
            if getattr(self, name) < 0:
                raise ValueError(f"vivid.{name} is {getattr(self, name)}; set it to 0 or above")


@dataclass(frozen=True, kw_only=True)
class EnhanceTrainConfig(TrainConfig):
    """One training of the enhancement network."""

    task: ClassVar[str] = "enhance"

    clip_frames: int = 1
    """Neighbouring frames of a window, ≥ 1; what is further away comes through the average along the motion."""
    frame_size: int = 64
    """Side of the windows at the clean clip's size, pixels, a multiple of 8, 32…256."""
    batch_size: int = 3
    """Clips a step over all workers, ≥ 1, a multiple of the number of workers."""
    windows: int = 8
    """Windows in space and time of each clip, ≥ 1: spoiling a clip costs more than looking at it."""
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=8e-4,
            discriminator_learning_rate=1e-3,
            beta1=0.9,
            beta2=0.999,
            final_share=0.02,
            clip_norm=0.5,
        )
    )
    network: NetworkConfig = field(default_factory=NetworkConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    vivid: VividConfig = field(default_factory=VividConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.windows < 1:
            raise ValueError(f"windows is {self.windows}; set it to 1 or above")
        if self.keep.model == "lowest" and 0 < self.faithful_steps < self.steps:
            raise ValueError(
                "keep.model is lowest, and the losses of the faithful and the vivid stage are other sums, so the"
                " lowest checkpoint would have an untrained vivid part; set keep.model=newest, or vivid.start to 0 or 1"
            )

    @property
    def faithful_steps(self) -> int:
        """Steps of the first stage."""
        return round(self.vivid.start * self.steps)
