"""The enhancement losses, pure functions. Faithful: L_pixel + w_t·L_temp. Vivid: L_pixel + w_p·L_perceptual + w_a·L_adv.

Dims: B clips, C = 3 channels, T frames, H height, W width, N frames of a batch, F features; pixels in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the sums."""

    softness: float = 0.05
    """Errors below this count by their square, above by their size; > 0, pixels in [-1, 1]."""
    temporal_weight: float = 0.1
    """w_t, ≥ 0: frames must change as the clean frames do."""
    perceptual_weight: float = 0.1
    """w_p, ≥ 0: of the vivid part."""

    def __post_init__(self) -> None:
        if not self.softness > 0:
            raise ValueError(f"loss.softness is {self.softness}; set it above 0")
        for name in ("temporal_weight", "perceptual_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"loss.{name} is {getattr(self, name)}; set it to 0 or above")


def charbonnier(first: Tensor, second: Tensor, softness: float) -> Tensor:
    """mean(√(d² + ε²) − ε) over everything (Charbonnier et al. 1994); 0 for equal tensors."""
    return ((first - second).square() + softness**2).sqrt().mean() - softness


def temporal_loss(enhanced_BCTHW: Tensor, clean_BCTHW: Tensor, softness: float) -> Tensor:
    """Charbonnier of the changes from frame to frame; 0 for clips of one frame."""
    if enhanced_BCTHW.shape[2] < 2:
        return enhanced_BCTHW.new_zeros(())
    return charbonnier(enhanced_BCTHW.diff(dim=2), clean_BCTHW.diff(dim=2), softness)


def perceptual_loss(enhanced: Sequence[Tensor], clean: Sequence[Tensor]) -> Tensor:
    """Mean over levels of the squared distance of unit-length feature vectors, averaged over places (Zhang et al. 2018,
    without learned weights). Each level is (N, F, h, w); 0…4.
    """
    distances = [
        (F.normalize(y, dim=1, eps=1e-3) - F.normalize(x, dim=1, eps=1e-3)).square().sum(1).mean()
        for y, x in zip(enhanced, clean, strict=True)
    ]
    return torch.stack(distances).mean()
