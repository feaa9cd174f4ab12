"""Enhancement losses, pure functions. Faithful: L_pixel + w_s·L_structure + w_t·L_temp. Vivid: the same +
w_p·L_perceptual + w_a·L_adv.

L_pixel is the logarithm of each clip's mean squared error: its PSNR. Every clip then counts alike, however much or
little was spoilt, and the weights say what may be traded for a decibel (0.23).
Dims: B clips, C = 3 channels, T frames, H height, W width, N frames of a batch, F features; pixels in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.generator.structure import ssim_map

FLOOR = 1e-4
"""Squared error below which nothing is gained: 46 dB."""


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the sums."""

    temporal_weight: float = 0.1
    """w_t, ≥ 0: frames must change as the clean frames do."""
    structure_weight: float = 0.5
    """w_s, ≥ 0: detail too faint to count as error is still drawn."""
    perceptual_weight: float = 20.0
    """w_p, ≥ 0: of the vivid part."""

    def __post_init__(self) -> None:
        for name in ("temporal_weight", "structure_weight", "perceptual_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"loss.{name} is {getattr(self, name)}; set it to 0 or above")


def log_error(enhanced_BCTHW: Tensor, clean_BCTHW: Tensor) -> Tensor:
    """Mean over clips of ln(MSE + 1e-4); lower by 0.23 is better by 1 dB."""
    return ((enhanced_BCTHW - clean_BCTHW).square().flatten(1).mean(1) + FLOOR).log().mean()


def structure_loss(enhanced_BCTHW: Tensor, clean_BCTHW: Tensor) -> Tensor:
    """1 − SSIM of luma, averaged over frames where the 11 × 11 window fits; 0…2. Sides ≥ 11."""
    enhanced, clean = (clip.transpose(1, 2).flatten(0, 1) for clip in (enhanced_BCTHW, clean_BCTHW))
    return 1 - ssim_map(enhanced, clean).mean()


def temporal_loss(enhanced_BCTHW: Tensor, clean_BCTHW: Tensor) -> Tensor:
    """`log_error` of the changes from frame to frame; 0 for clips of one frame."""
    if enhanced_BCTHW.shape[2] < 2:
        return enhanced_BCTHW.new_zeros(())
    return log_error(enhanced_BCTHW.diff(dim=2), clean_BCTHW.diff(dim=2))


def perceptual_loss(enhanced: Sequence[Tensor], clean: Sequence[Tensor]) -> Tensor:
    """Mean over levels of the squared distance of unit-length feature vectors, averaged over places (Zhang et al. 2018,
    without learned weights). Each level is (N, F, h, w); 0…4.
    """
    distances = [
        (F.normalize(y, dim=1, eps=1e-3) - F.normalize(x, dim=1, eps=1e-3)).square().sum(1).mean()
        for y, x in zip(enhanced, clean, strict=True)
    ]
    return torch.stack(distances).mean()
