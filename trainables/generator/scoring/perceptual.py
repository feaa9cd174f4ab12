"""Perceptual distance of clips, LPIPS-like (Zhang et al. 2018) on features no loss uses and without learned weights.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import numpy as np
import torch

from cluster.errors import InputError
from trainables.generator.scoring.features import BATCH_PIXELS, ScoringFeatures


def perceptual_distance(features: ScoringFeatures, first_THWC: np.ndarray, second_THWC: np.ndarray) -> float:
    """Squared distance of unit-length feature vectors at every place, mean over places and frames, sum over levels.

    0 for equal clips. Symmetric.
    """
    if first_THWC.shape != second_THWC.shape:
        raise InputError(f"clips to compare must share one shape, not {first_THWC.shape} and {second_THWC.shape}")
    window = max(1, BATCH_PIXELS // (first_THWC.shape[1] * first_THWC.shape[2]))
    total = 0.0
    for start in range(0, len(first_THWC), window):
        part = slice(start, start + window)
        pairs = zip(features.maps(first_THWC[part]), features.maps(second_THWC[part]), strict=True)
        per_frame = [(_unit(a) - _unit(b)).square().sum(1).mean((1, 2)) for a, b in pairs]
        total += float(torch.stack(per_frame).mean(0).sum())
    return total / len(first_THWC)


def _unit(maps_NFHW: torch.Tensor) -> torch.Tensor:
    return maps_NFHW / maps_NFHW.square().sum(1, keepdim=True).sqrt().clamp(min=1e-8)
