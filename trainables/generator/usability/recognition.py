"""How much of the product is still seen: features of a frozen network, instance-normalised, frame against frame.

Dims: N frames, F feature channels, H height, W width, 3 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from trainables.generator.features import FrozenFeatures

SIDE = 128
"""Pixels of the longer side of what the network sees."""
LEVELS = slice(2, 4)
"""Levels at 1/8 and 1/16: parts of a product; the finer ones follow the brush."""


@lru_cache(maxsize=1)
def _features() -> FrozenFeatures:
    return FrozenFeatures()


@torch.inference_mode()
def normalised_features(frames_NHW3: np.ndarray) -> list[Tensor]:
    """Features of uint8 pictures of one shape, a map (N, F, h, w) a level, each channel brought to mean 0 and deviation
    1 over its frame, so that palette and contrast do not count.

    Features: EfficientNet-Lite0 at 1/8 and 1/16.
    """
    return [_normalised(level) for level in _features()(_tensor(frames_NHW3))[LEVELS]]


@torch.inference_mode()
def feature_agreement(first: Sequence[Tensor], second: Sequence[Tensor]) -> np.ndarray:
    """(N,) correlation of the `normalised_features` of two rows of frames; 1 for the same picture."""
    return np.mean([_correlation(*levels) for levels in zip(first, second, strict=True)], 0)


def _tensor(frames_NHW3: np.ndarray) -> Tensor:
    frames = torch.from_numpy(np.ascontiguousarray(frames_NHW3)).permute(0, 3, 1, 2).float() / 127.5 - 1
    scale = SIDE / max(frames.shape[2:])
    size = [max(32, round(side * scale)) for side in frames.shape[2:]]
    if size == [*frames.shape[2:]]:
        return frames
    return F.interpolate(frames, size=size, mode="bilinear", antialias=True)


def _normalised(maps_NFHW: Tensor) -> Tensor:
    centred = maps_NFHW - maps_NFHW.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + 1e-4).sqrt()


def _correlation(first_NFHW: Tensor, second_NFHW: Tensor) -> np.ndarray:
    return (first_NFHW * second_NFHW).mean((1, 2, 3)).numpy()
