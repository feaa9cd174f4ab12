"""Settings of a repair training; every knob has one dotted name (`--set loss.temporal_weight=0.5`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from trainables.generator.config import TrainConfig
from trainables.generator.repair.network import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of L = L1_hole + w_f·L_fidelity + w_t·L_temp + w_d·L_detail + w_s·L_structure + w_a·L_activity."""

    fidelity_weight: float = 0.02
    """Logarithm of the squared error, PSNR up to scale, ≥ 0."""
    temporal_weight: float = 0.25
    """Changes between frames must be the clean clip's, ≥ 0."""
    detail_weight: float = 0.5
    """Differences between neighbouring pixels must be the clean clip's, ≥ 0."""
    structure_weight: float = 0.1
    """SSIM of the damage, ≥ 0: detail too faint to count as error is still drawn."""
    activity_weight: float = 0.05
    """The damage must move as much as the clean clip does, ≥ 0."""

    def __post_init__(self) -> None:
        for name in ("fidelity_weight", "temporal_weight", "detail_weight", "structure_weight", "activity_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"loss.{name} is {getattr(self, name)}; set it to 0 or above")


@dataclass(frozen=True, kw_only=True)
class DamageConfig:
    """What is damaged for training."""

    variants: int = 2
    """Damages drawn for each clip, ≥ 1; each is measured once and kept while memory allows."""
    samples: int = 1
    """Cuts of `clip_frames` frames taken of each damaged clip, ≥ 1: more of them cost little, for the motion of the
    whole clip is measured once.
    """
    memory: int = 2048
    """Megabytes of measured samples kept, ≥ 0."""
    second_looks: int = 0
    """Of the variants, so many are mended by the bundle the run starts from and looked at again, as a clip is that is
    repaired; 0…variants.
    """

    def __post_init__(self) -> None:
        for name, least in (("variants", 1), ("samples", 1), ("memory", 0), ("second_looks", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"damage.{name} is {getattr(self, name)}; set it to {least} or above")
        if self.second_looks > self.variants:
            raise ValueError(
                f"damage.second_looks is {self.second_looks}, damage.variants {self.variants}; set it to"
                f" {self.variants} or below"
            )


@dataclass(frozen=True, kw_only=True)
class RepairTrainConfig(TrainConfig):
    """One training of the repairing network; `clip_frames` neighbouring frames of a clip are mended together."""

    task: ClassVar[str] = "repair"

    clip_frames: int = 2
    """Frames of a sample, ≥ 1."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    damage: DamageConfig = field(default_factory=DamageConfig)
