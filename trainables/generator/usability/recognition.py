"""How much of the product is still seen: features of a frozen network, instance-normalised, frame against frame.

Dims: N frames, F feature channels, H height, W width, 3 RGB.
"""

from __future__ import annotations

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
def feature_agreement(frames_NHW3: np.ndarray, source_NHW3: np.ndarray) -> np.ndarray:
    """(N,) correlation of the features of two rows of frames, each channel brought to mean 0 and deviation 1 over its
    frame first, so that palette and contrast do not count. 1 for the same picture.

    Features: EfficientNet-Lite0 at 1/8 and 1/16; uint8 pictures of one shape.
    """
    together = np.concatenate([frames_NHW3, source_NHW3])
    levels = _features()(_tensor(together))[LEVELS]
    return np.mean([_correlation(*_normalised(level).chunk(2)) for level in levels], 0)


def _tensor(frames_NHW3: np.ndarray) -> Tensor:
    frames = torch.from_numpy(np.ascontiguousarray(frames_NHW3)).permute(0, 3, 1, 2).float() / 127.5 - 1
    scale = SIDE / max(frames.shape[2:])
    if scale == 1:
        return frames
    size = [max(32, round(side * scale)) for side in frames.shape[2:]]
    return F.interpolate(frames, size=size, mode="bilinear", antialias=True)


def _normalised(maps_NFHW: Tensor) -> Tensor:
    centred = maps_NFHW - maps_NFHW.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + 1e-4).sqrt()


def _correlation(first_NFHW: Tensor, second_NFHW: Tensor) -> np.ndarray:
    return (first_NFHW * second_NFHW).mean((1, 2, 3)).numpy()
