"""Brushes: maps that the decoder may lay on a frame, so that a look needs weights, not a memory of pixels.

Some lie still on the screen (grain, hatching, stripes, lamp light, vignette), the rest follow the contours and the shade of
the frame itself; none is random in time, so none can flicker.
Dims: N frames, C = 3 channels, H height, W width, K = BRUSHES maps.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

TILE = 256
NAMES = (
    "grain",
    "soft grain",
    "hatching / in the shade",
    "hatching \\ in deep shade",
    "broad stripes on plain areas",
    "contours",
    "contours, one half",
    "glow",
    "glow, one half",
    "lamp light",
    "vignette",
)
BRUSHES = len(NAMES)


class Brushes(nn.Module):
    """Maps (N, K, H, W) of frames (N, 3, H, W) in [-1, 1], given each frame's clip-wide mean and deviation of lightness."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("tile", _screen_tile(), persistent=False)
        kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
        self.register_buffer("sobel", torch.stack([kernel, kernel.T])[:, None], persistent=False)
        self.register_buffer("luma", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1) / 2, persistent=False)

    def forward(self, frames_NCHW: Tensor, mean_N: Tensor, deviation_N: Tensor) -> Tensor:
        height, width = frames_NCHW.shape[-2:]
        light = (frames_NCHW * self.luma).sum(1, keepdim=True) + 0.5
        contrast = deviation_N.clamp(min=0.06).view(-1, 1, 1, 1)
        shade = torch.sigmoid((mean_N.view(-1, 1, 1, 1) - 0.5 * contrast - light) / (0.4 * contrast))
        slopes = F.conv2d(F.pad(light, (1, 1, 1, 1), mode="replicate"), self.sobel)
        contour = torch.tanh(1.2 * (slopes.square().sum(1, keepdim=True) + 1e-6).sqrt() / contrast)
        glow = _spread(contour)
        grain, soft, hatch, cross, stripes = self._screen(height, width)[:, None].unbind(0)
        v = torch.linspace(-1, 1, height, device=light.device)[:, None]
        u = torch.linspace(-1, 1, width, device=light.device)[None]
        lamp = torch.exp(-((u - 0.5) ** 2 + (v + 0.6) ** 2)) - 0.4
        vignette = 0.5 * (u.square() + v.square()) - 0.33
        half = torch.sigmoid(4 * torch.sin(3 * u + 2 * v))
        plain = (1 - 2 * glow).clamp(min=0)
        maps = [grain, soft, hatch * shade, cross * shade.square(), stripes * plain]
        maps += [contour, contour * half, glow, glow * half, lamp, vignette]
        return torch.cat([m.expand(len(light), 1, height, width) for m in maps], 1)

    def _screen(self, height: int, width: int) -> Tensor:
        repeats = (1, -(-height // TILE), -(-width // TILE))
        return self.tile.repeat(repeats)[:, :height, :width]


def _spread(map_N1HW: Tensor) -> Tensor:
    """Blur over about six pixels, at a quarter of the size."""
    small = F.avg_pool2d(map_N1HW, 4, ceil_mode=True, count_include_pad=False)
    for _ in range(2):
        small = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    size = map_N1HW.shape[-2:]
    large = F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)
    return large[..., : size[0], : size[1]]


def _screen_tile() -> Tensor:
    """Grain, soft grain, two hatchings, stripes: (5, 256, 256), zero mean, unit deviation, seamless, alike on every machine."""
    random = np.random.RandomState(20)  # the legacy stream never changes between numpy releases
    noise = [ndimage.gaussian_filter(random.standard_normal((TILE, TILE)), s, mode="wrap") for s in (0.5, 1.2, 9.0)]
    v, u = np.meshgrid(np.arange(TILE), np.arange(TILE), indexing="ij")
    wobble = noise[2] / noise[2].std() * 0.15
    hatches = [np.tanh(2.5 * np.sin(2 * np.pi * ((u + way * v) * 36 / TILE + wobble)) - 0.8) for way in (1, -1)]
    stripes = np.tanh(6 * np.sin(2 * np.pi * (u * 8 + v * 4) / TILE))
    maps = np.stack([*noise[:2], *hatches, stripes])
    maps = (maps - maps.mean((1, 2), keepdims=True)) / maps.std((1, 2), keepdims=True)
    return torch.from_numpy(maps.astype(np.float32))
