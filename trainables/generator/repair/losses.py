"""Losses of a repair, inside the damage alone: what is outside is the clip's own.

Dims: B samples, F frames of a sample, C = 3 channels, H height, W width; clips in [-1, 1], masks 1 where damaged.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.generator.structure import RADIUS, ssim_map

LEAST_ERROR = 1e-4
"""Added to squared errors before the logarithm: about 46 dB."""
STILL = 0.01
"""Change from frame to frame, of a range of 2, below which a clip counts as standing still."""


def hole_loss(mended_BFCHW: Tensor, clean_BFCHW: Tensor, mask_BF1HW: Tensor) -> Tensor:
    """Mean absolute error of the damaged pixels."""
    wrong = (mended_BFCHW - clean_BFCHW).abs() * mask_BF1HW
    return wrong.sum() / (3 * mask_BF1HW.sum()).clamp(min=1)


def fidelity_loss(mended_BFCHW: Tensor, clean_BFCHW: Tensor, mask_BF1HW: Tensor) -> Tensor:
    """Natural logarithm of the mean squared error of the damaged pixels, averaged over samples: PSNR up to scale, so
    that easy and hard clips count alike.
    """
    wrong = ((mended_BFCHW - clean_BFCHW).square() * mask_BF1HW).flatten(1).sum(1)
    mean_B = wrong / (3 * mask_BF1HW.flatten(1).sum(1)).clamp(min=1)
    return (mean_B + LEAST_ERROR).log().mean()


def temporal_loss(mended_BFCHW: Tensor, clean_BFCHW: Tensor, mask_BF1HW: Tensor) -> Tensor:
    """mean |(y_{t+1} − y_t) − (x_{t+1} − x_t)| where either frame is damaged."""
    if mended_BFCHW.shape[1] < 2:
        return mended_BFCHW.sum() * 0
    change = mended_BFCHW.diff(dim=1) - clean_BFCHW.diff(dim=1)
    hurt = (mask_BF1HW[:, 1:] + mask_BF1HW[:, :-1]).clamp(max=1)
    return (change.abs() * hurt).sum() / (3 * hurt.sum()).clamp(min=1)


def detail_loss(mended_BFCHW: Tensor, clean_BFCHW: Tensor, mask_BF1HW: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbouring pixels, across and down, where one is damaged."""
    wrong = (mended_BFCHW - clean_BFCHW) * mask_BF1HW
    count = (3 * mask_BF1HW.sum()).clamp(min=1)
    return (wrong.diff(dim=-1).abs().sum() + wrong.diff(dim=-2).abs().sum()) / (2 * count)


def structure_loss(mended_BFCHW: Tensor, clean_BFCHW: Tensor, mask_BF1HW: Tensor) -> Tensor:
    """1 − SSIM of the damaged pixels where the 11 × 11 window fits; 0…2. Sides ≥ 11."""
    likeness = ssim_map(mended_BFCHW.flatten(0, 1), clean_BFCHW.flatten(0, 1))
    hurt = mask_BF1HW.flatten(0, 1)[..., RADIUS:-RADIUS, RADIUS:-RADIUS]
    return ((1 - likeness) * hurt).sum() / hurt.sum().clamp(min=1)


def activity_loss(mended_BFCHW: Tensor, clean_BFCHW: Tensor, mask_BF1HW: Tensor) -> Tensor:
    """(ln a)², a the mean change from frame to frame over the clean clip's, averaged over samples: what is unsure is
    painted too smooth by every loss that counts error, and then it moves too little.
    """
    if mended_BFCHW.shape[1] < 2:
        return mended_BFCHW.sum() * 0
    hurt = (mask_BF1HW[:, 1:] + mask_BF1HW[:, :-1]).clamp(max=1)
    count_B = (3 * hurt.flatten(1).sum(1)).clamp(min=1)
    mended_B, clean_B = (
        (clip.diff(dim=1).abs() * hurt).flatten(1).sum(1) / count_B + STILL for clip in (mended_BFCHW, clean_BFCHW)
    )
    return torch.log(mended_B / clean_B).square().mean()
