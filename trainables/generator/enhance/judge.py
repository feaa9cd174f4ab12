"""The judge of the vivid part: clean or enhanced, place by place, on frozen features.

Real and fake come in pairs of the same frame, so the relativistic loss compares them at each place.
Dims: N frames, F features, h, w places of a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.generator.features import CHANNELS

LEVELS = (0, 1, 2)
"""Levels of the frozen trunk that the judge sees: 1/2, 1/4 and 1/8."""


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """Size of the judge; it is not part of a bundle."""

    width: int = 32
    """Channels of each head, ≥ 8."""

    def __post_init__(self) -> None:
        if self.width < 8:
            raise ValueError(f"judge.width is {self.width}; set it to 8 or above")


class Judge(nn.Module):
    """Levels (N, F, h, w) → logits, one map (N, h, w) a level."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.squeeze = nn.ModuleList(nn.Conv2d(CHANNELS[level], config.width, 1) for level in LEVELS)
        self.look = nn.ModuleList(nn.Conv2d(config.width, config.width, 3, padding=1) for _ in LEVELS)
        self.score = nn.ModuleList(nn.Conv2d(config.width, 1, 1) for _ in LEVELS)
        self.to(memory_format=torch.channels_last)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        logits = []
        for maps, squeeze, look, score in zip(levels, self.squeeze, self.look, self.score, strict=True):
            x = F.leaky_relu(squeeze(maps.float()), 0.2)
            x = x + F.leaky_relu(look(x), 0.2)
            logits.append(score(x).squeeze(1))
        return logits
