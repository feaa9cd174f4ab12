"""Pictures taken apart and put together wrongly, as drafts are: the finisher puts them right, with the answer known.

Dims: N = 1 picture, C = 3 channels, H height, W width.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.generator.generate.layers import compose, fill
from trainables.generator.generate.warp import identity, read, signed_distance, spread


def damaged(rng: np.random.Generator, rgb_NCHW: Tensor, matte_N1HW: Tensor) -> tuple[Tensor, Tensor]:
    """A picture and its matte → a draft of it (N, 3, H, W) and the draft's matte: product cut out along a wrong
    contour, resampled and tinted, over a backdrop whose hole was filled, with a shadow that was not there.
    """
    size = rgb_NCHW.shape[-1]
    field = torch.from_numpy(signed_distance(matte_N1HW[:, 0].numpy()))[:, None]
    wobble = torch.from_numpy(rng.normal(0, 0.6, (1, 1, 9, 9)).astype(np.float32))
    field = field + rng.normal(0, 0.4) + F.interpolate(wobble, (size, size), mode="bicubic", align_corners=True)
    silhouette = torch.sigmoid(2.5 * field)
    hole = F.max_pool2d(torch.maximum(matte_N1HW, silhouette), 9, stride=1, padding=4)
    solid = -F.max_pool2d(-(matte_N1HW > 0.9).float(), 3, stride=1, padding=1)
    product = _resampled(rng, spread(rgb_NCHW, solid))
    product = product + torch.from_numpy(rng.normal(0, 0.02, (1, 3, 1, 1)).astype(np.float32))
    backdrop = _resampled(rng, fill(rgb_NCHW, (hole > 0.05).float()))
    return compose(rng, product, silhouette, backdrop, (0.0, 0.25)), silhouette


def _resampled(rng: np.random.Generator, rgb_NCHW: Tensor) -> Tensor:
    """Read between its pixels, as every warp does; sometimes twice, there and back."""
    size = rgb_NCHW.shape[-1]
    step = torch.from_numpy(rng.uniform(-1, 1, 2).astype(np.float32)) / size
    zoom = float(np.exp(rng.uniform(-0.1, 0.1)))
    if rng.random() < 0.5:
        return read(rgb_NCHW, identity(size) + step)
    return read(read(rgb_NCHW, identity(size) * zoom + step), (identity(size) - step) / zoom)
