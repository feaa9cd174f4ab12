"""The finisher: a draft, its matte and noise → a picture that holds together. Its residual is zero at first.

Dims: N pictures, C = 3 channels, H height, W width, Z noise channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cluster.errors import InputError
from trainables.generator.generate.memory import Memory

MULTIPLE = 8


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Size of the finisher."""

    widths: tuple[int, ...] = (32, 64, 96)
    """Channels at 1/2, 1/4 and 1/8 of the picture, multiples of 8."""
    blocks: int = 2
    """Residual blocks at each size on the way down and up, ≥ 1."""
    noise: int = 4
    """Z, channels of noise at half size, ≥ 1."""

    def __post_init__(self) -> None:
        if len(self.widths) != 3 or any(w < 8 or w % 8 for w in self.widths):
            raise ValueError(f"network.widths is {list(self.widths)}; give three multiples of 8, such as [32, 64, 96]")
        for name in ("blocks", "noise"):
            if getattr(self, name) < 1:
                raise ValueError(f"network.{name} is {getattr(self, name)}; set it to 1 or above")


class Block(nn.Module):
    """1×1 expand ×2 → 3×3 depthwise → 1×1, residual, without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.mix = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.project = nn.Conv2d(2 * channels, channels, 1)
        with torch.no_grad():
            self.project.weight.mul_(0.3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW + self.project(F.silu(self.mix(F.silu(self.expand(x_NCHW)))))


class Finisher(nn.Module):
    """A U-Net on half-size pixels. `memory`, which drafts are drawn from, is no parameter and travels beside them."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.memory = Memory((), ())
        full, half, quarter = config.widths
        self.stem = nn.Conv2d(4 * 4 + config.noise, full, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(config.blocks))) for width in config.widths
        )
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in ((full, half), (half, quarter)))
        self.grow = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in ((quarter, half), (half, full)))
        self.up = nn.ModuleList(nn.Sequential(*(Block(width) for _ in range(config.blocks))) for width in (half, full))
        self.head = nn.Conv2d(full, 12, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, rgb_NCHW: Tensor, matte_N1HW: Tensor, noise_NZHW: Tensor) -> Tensor:
        """Drafts in [-1, 1], mattes in 0…1 and noise at half size → pictures, near [-1, 1]."""
        if rgb_NCHW.shape[-1] % MULTIPLE or rgb_NCHW.shape[-2] % MULTIPLE:
            raise InputError(f"drafts are {tuple(rgb_NCHW.shape[-2:])}; sides must be multiples of {MULTIPLE}")
        packed = F.pixel_unshuffle(torch.cat([rgb_NCHW, 2 * matte_N1HW - 1], 1), 2)
        x = self.stem(torch.cat([packed, noise_NZHW], 1).contiguous(memory_format=torch.channels_last))
        skips = []
        for level, blocks in enumerate(self.down):
            x = blocks(x)
            if level < len(self.shrink):
                skips.append(x)
                x = self.shrink[level](x)
        for grow, blocks in zip(self.grow, self.up, strict=True):
            x = F.interpolate(grow(x), scale_factor=2, mode="bilinear", align_corners=False) + skips.pop()
            x = blocks(x)
        return rgb_NCHW + F.pixel_shuffle(self.head(x), 2)
