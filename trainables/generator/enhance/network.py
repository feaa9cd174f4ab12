"""A small U-Net for both scales that corrects a frame by what its neighbours know of it; one for each mode.

Frames come in at the size they shall leave with (for ×2: after bicubic upscaling), each with its evidence. They are
folded 2 × 2 into channels, so that the work is done at half that size: for ×2 at the source's own resolution. The
network adds a correction to its input; its last convolution begins at zero, so an untrained network is bicubic
upscaling. The faithful part minimises error. The vivid part begins as its copy and comes nearer to the clean clip in
features, at the cost of error.
Dims: N frames, C channels, H height, W width (of the output, multiples of 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.generator.enhance.evidence import CHANNELS

FOLD = 2
MULTIPLE = 8
"""Sides of the frames must be multiples of this: folded by 2, halved twice."""
_SLOPE = 0.1
_CORRECTION = 0.1
"""Size of a usual correction: the heads work in this unit, so that a step of the optimiser is a small step."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Size of the enhancement network."""

    widths: tuple[int, int, int] = (24, 48, 80)
    """Channels at 1/2, 1/4 and 1/8 of the output's size, multiples of 8."""
    blocks: int = 2
    """Residual blocks at each level and way, the coarsest has twice as many, ≥ 1."""

    def __post_init__(self) -> None:
        if len(self.widths) != 3 or any(width < 8 or width % 8 for width in self.widths):
            raise ValueError(f"network.widths is {self.widths}; give three multiples of 8")
        if self.blocks < 1:
            raise ValueError(f"network.blocks is {self.blocks}; set it to 1 or above")


class Block(nn.Module):
    """x + conv(act(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, _SLOPE)
        nn.init.normal_(self.second.weight, std=0.2 / (3 * width**0.5))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW + self.second(F.leaky_relu(self.first(x_NCHW), _SLOPE))


class Part(nn.Module):
    """Evidence (N, 10, H, W) and the scales it came by, (N,) of 1 or 2 → enhanced frames (N, 3, H, W) in [-1, 1]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.widths
        self.stem = nn.Conv2d(CHANNELS * FOLD**2 + 1, fine, 3, padding=1)
        self.encode_fine = _stage(fine, config.blocks)
        self.down_fine = nn.Conv2d(fine, middle, 2, stride=2)
        self.encode_middle = _stage(middle, config.blocks)
        self.down_middle = nn.Conv2d(middle, coarse, 2, stride=2)
        self.coarse = _stage(coarse, 2 * config.blocks)
        self.up_middle = nn.Conv2d(coarse, 4 * middle, 1)
        self.decode_middle = _stage(middle, config.blocks)
        self.up_fine = nn.Conv2d(middle, 4 * fine, 1)
        self.decode_fine = _stage(fine, config.blocks)
        self.head = _head(fine)
        self.to(memory_format=torch.channels_last)

    def forward(self, evidence_NCHW: Tensor, scale_N: Tensor) -> Tensor:
        folded = F.pixel_unshuffle(evidence_NCHW, FOLD)
        told = (scale_N.to(folded) - 1).view(-1, 1, 1, 1).expand(-1, 1, *folded.shape[-2:])
        x = self.stem(torch.cat([folded, told], 1).contiguous(memory_format=torch.channels_last))
        fine = self.encode_fine(x)
        middle = self.encode_middle(self.down_fine(fine))
        coarse = self.coarse(self.down_middle(middle))
        middle = self.decode_middle(middle + F.pixel_shuffle(self.up_middle(coarse), 2))
        fine = self.decode_fine(fine + F.pixel_shuffle(self.up_fine(middle), 2))
        return evidence_NCHW[:, :3] + _CORRECTION * F.pixel_shuffle(self.head(fine), FOLD)


class EnhanceNetwork(nn.Module):
    """Both parts."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.faithful, self.vivid = Part(config), Part(config)

    def forward(self, evidence_NCHW: Tensor, scale_N: Tensor, vividness: float = 0.0) -> Tensor:
        """Enhanced frames as of `Part`; `vividness` 0…1 blends from the faithful ones to the vivid ones."""
        if vividness <= 0:
            return self.faithful(evidence_NCHW, scale_N)
        vivid_NCHW = self.vivid(evidence_NCHW, scale_N)
        if vividness >= 1:
            return vivid_NCHW
        return torch.lerp(self.faithful(evidence_NCHW, scale_N), vivid_NCHW, vividness)

    def begin_vivid(self) -> None:
        """The vivid part becomes a copy of the faithful one."""
        self.vivid.load_state_dict(self.faithful.state_dict())


def upgraded(
    config: dict[str, Any], tensors: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], Mapping[str, np.ndarray]]:
    """Settings and weights of a bundle as they are now. Bundles of before had no vivid network but blocks on top of the
    faithful one; their vivid part is a copy of it, which the vivid mode sharpens.
    """
    if "vivid_blocks" not in config:
        return config, tensors
    faithful = {name: value for name, value in tensors.items() if name.startswith("faithful.")}
    vivid = {name.replace("faithful.", "vivid.", 1): value for name, value in faithful.items()}
    return {name: value for name, value in config.items() if name != "vivid_blocks"}, faithful | vivid


def _stage(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width) for _ in range(blocks)))


def _head(width: int) -> nn.Conv2d:
    head = nn.Conv2d(width, 3 * FOLD**2, 3, padding=1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
