"""The judge of pictures: trained heads on frozen features (Projected GANs, Sauer et al. 2021).

Dims: N pictures, F feature channels, h, w a feature map's sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.generator.features import CHANNELS

LEVELS = (0, 1, 2, 3)
"""Levels of the frozen trunk that are judged: 1/2 to 1/16."""


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """Size of the judge; it is not part of a bundle."""

    width: int = 48
    """Channels of each head, ≥ 8."""

    def __post_init__(self) -> None:
        if self.width < 8:
            raise ValueError(f"judge.width is {self.width}; set it to 8 or above")


class Head(nn.Module):
    """One level of features (N, F, h, w) → logits (N,): from the map's mean and spread and from its every place."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, width, 1)
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.place = nn.Conv2d(width, 1, 1)
        self.whole = nn.Linear(2 * width, 1)

    def forward(self, maps_NFhw: Tensor) -> Tensor:
        x = F.leaky_relu(self.squeeze(maps_NFhw), 0.2)
        x = x + F.leaky_relu(self.look(x), 0.2)
        mean = x.mean((2, 3))
        deviation = ((x - mean[..., None, None]).square().mean((2, 3)) + 1e-4).sqrt()
        return self.place(x).mean((1, 2, 3)) + self.whole(torch.cat([mean, deviation], -1)).squeeze(-1)


class Judge(nn.Module):
    """Feature levels of pictures → logits (N,), the mean over levels."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(CHANNELS[level], config.width) for level in LEVELS)
        self.to(memory_format=torch.channels_last)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        with torch.autocast(levels[0].device.type, enabled=False):  # the exact penalties need fp32
            return torch.stack([head(maps.float()) for head, maps in zip(self.heads, levels, strict=True)]).mean(0)
