"""Settings of a restyling training; every knob has one dotted name (`--set loss.content_weight=0.1`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from trainables.generator.adversarial import AdversarialConfig
from trainables.generator.config import TrainConfig
from trainables.generator.restyle.discriminators import SPARSE_FRAMES, DiscriminatorConfig
from trainables.generator.restyle.looks import LookConfig
from trainables.generator.restyle.network import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of L = L_style + λ_x·L_texture + λ·L_content + λ_t·L_temp + λ_p·L_palette; see also adversarial."""

    content_weight: float = 0.05
    """λ, ≥ 0: how much the product's shape and lettering count against the look."""
    texture_weight: float = 2.5
    """λ_x, ≥ 0: the style loss once more on colour-free frames, so that a look is more than its palette."""
    edge_weight: float = 2.0
    """Share of contours (1 − Sobel correlation) inside the content loss, ≥ 0."""
    temporal_weight: float = 4.0
    """λ_t, ≥ 0: frame differences must be the source's; with less, strong looks make its noise flicker."""
    preset_keep: float = 3.0
    """How many times as much content, edges and movement count where the look is a preset or a variant of one, ≥ 0:
    stronger looks than pictures have, whose renders must pass the usability gate all the same."""
    palette_weight: float = 1.0
    """λ_p, ≥ 0: the palette numbers of the restyled clip must be those of the style code."""

    def __post_init__(self) -> None:
        names = ("content_weight", "texture_weight", "edge_weight", "temporal_weight", "preset_keep", "palette_weight")
        for name in names:
            if getattr(self, name) < 0:
                raise ValueError(f"loss.{name} is {getattr(self, name)}; set it to 0 or above")


@dataclass(frozen=True, kw_only=True)
class RestyleTrainConfig(TrainConfig):
    """One training of the restyling network."""

    task: ClassVar[str] = "restyle"

    accumulate: int = 1
    """Parts a worker's share of a step is cut into, their gradients added before the update, ≥ 1: less memory."""
    checkpoint_activations: bool = False
    """Compute inner activations again in the backward pass: long clips fit, a third slower."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    # Heard earlier or louder, the judges lead to bright spots on products and backdrops.
    adversarial: AdversarialConfig = field(
        default_factory=lambda: AdversarialConfig(weight=0.06, start=0.55, gamma_end=0.45)
    )
    looks: LookConfig = field(default_factory=LookConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.accumulate < 1:
            raise ValueError(f"accumulate is {self.accumulate}; set it to 1 (the whole share at once) or above")
        if self.clip_frames < SPARSE_FRAMES:
            raise ValueError(
                f"clip_frames is {self.clip_frames}; the motion judge looks at {SPARSE_FRAMES}, set it to that or above"
            )
