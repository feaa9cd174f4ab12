"""Settings of a training of the clip generator; every knob has one dotted name (`--set loss.perceptual=0.5`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from trainables.generator.adversarial import AdversarialConfig
from trainables.generator.config import EmaConfig, OptimizerConfig, TrainConfig
from trainables.generator.generate.judges import JudgeConfig
from trainables.generator.generate.network import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """What is remembered of the training clips, and the drafts trained on."""

    learn: bool = True
    """Whether training clips are added to the memory that `start` brings (or begin one)."""
    stills: int = 900
    """At most so many stills, the best mattes first, ≥ 2."""
    spins: int = 128
    """At most so many spins, ≥ 0."""
    drafts: int = 320
    """Drafts drawn from the memory once, before the first step; every step takes crops of them, ≥ 1."""

    def __post_init__(self) -> None:
        for name, least in (("stills", 2), ("spins", 0), ("drafts", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"memory.{name} is {getattr(self, name)}; set it to {least} or above")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of L = L_1 + p·L_perceptual on damaged pictures, + k·L_keep + w·L_adv on drafts (see adversarial)."""

    perceptual: float = 0.15
    """p, ≥ 0: mean distance of frozen features."""
    keep: float = 1.0
    """k, ≥ 0: colours of a draft, blurred, must stay."""

    def __post_init__(self) -> None:
        for name in ("perceptual", "keep"):
            if getattr(self, name) < 0:
                raise ValueError(f"loss.{name} is {getattr(self, name)}; set it to 0 or above")


@dataclass(frozen=True, kw_only=True)
class GenerateTrainConfig(TrainConfig):
    """One training of the finisher."""

    task: ClassVar[str] = "generate"

    clip_frames: int = 1
    """Frames of a clip that the judge sees as a real picture: 1, drawn anew every time."""
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(learning_rate=1e-3, discriminator_learning_rate=3e-4)
    )
    ema: EmaConfig = field(default_factory=EmaConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    adversarial: AdversarialConfig = field(default_factory=lambda: AdversarialConfig(weight=0.05))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clip_frames != 1:
            raise ValueError(
                f"clip_frames is {self.clip_frames}; the judge of generate sees single frames, set it to 1"
            )
