"""Fixed screen textures the decoder may switch on: grain, paper, hatching, stripes. They stand still, so they cannot flicker.

Dims: K = TEXTURES maps, H height, W width.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

TILE = 256
NAMES = ("grain", "soft grain", "paper", "hatch /", "hatch \\", "broad stripes")
TEXTURES = len(NAMES)


def texture_tile() -> Tensor:
    """Maps (K, 256, 256) of zero mean and unit deviation that repeat seamlessly; the same numbers on every machine."""
    random = np.random.RandomState(20)  # the legacy stream never changes between numpy releases
    noise = [
        ndimage.gaussian_filter(random.standard_normal((TILE, TILE)), sigma, mode="wrap")
        for sigma in (0.5, 1.2, 4.0, 9.0)
    ]
    v, u = np.meshgrid(np.arange(TILE), np.arange(TILE), indexing="ij")
    wobble = noise[3] / noise[3].std() * 0.9
    hatches = [np.tanh(2.5 * np.sin(2 * np.pi * ((u + way * v) * 26 / TILE + wobble / 6)) - 0.8) for way in (1, -1)]
    stripes = np.tanh(6 * np.sin(2 * np.pi * (u * 4 + v * 2) / TILE))
    maps = np.stack([*noise[:3], *hatches, stripes])
    maps = (maps - maps.mean((1, 2), keepdims=True)) / maps.std((1, 2), keepdims=True)
    return torch.from_numpy(maps.astype(np.float32))


def textures_for(tile_KHW: Tensor, height: int, width: int) -> Tensor:
    """The tile repeated and cut to (K, height, width)."""
    repeats = (1, -(-height // TILE), -(-width // TILE))
    return tile_KHW.repeat(repeats)[:, :height, :width]
