"""Two judges in one module: frames on frozen features, motion on sparse frames; both conditioned on the style code.

Conditioning is by projection (Miyato & Koyama 2018): logit = w·h + ⟨e(code), h⟩.
Dims: N frames, F features, B clips, K = 4 sparse frames, H height, W width, S style code, E embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.data.style_code import CODE_DIM
from trainables.generator.features import CHANNELS

FRAME_LEVELS = (1, 2, 3)
"""Levels of the frozen trunk that the frame judge sees: 1/4, 1/8 and 1/16."""
SPARSE_FRAMES = 4


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Size of the judges; they are not part of a bundle."""

    width: int = 48
    """Channels of each frame head and base width of the motion judge, ≥ 8."""

    def __post_init__(self) -> None:
        if self.width < 8:
            raise ValueError(f"discriminator.width is {self.width}; set it to 8 or above")


class _Projection(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(CODE_DIM, width)
        self.score = nn.Linear(width, 1)

    def forward(self, pooled_NE: Tensor, code_NS: Tensor) -> Tensor:
        return self.score(pooled_NE).squeeze(-1) + (self.embed(code_NS) * pooled_NE).mean(-1)


class FrameHead(nn.Module):
    """One level of features (N, F, h, w) and codes (N, S) → logits (N,)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, width, 1)
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.project = _Projection(2 * width)

    def forward(self, maps_NFHW: Tensor, code_NS: Tensor) -> Tensor:
        x = F.leaky_relu(self.squeeze(maps_NFHW), 0.2)
        x = x + F.leaky_relu(self.look(x), 0.2)
        mean = x.mean((2, 3))
        deviation = ((x - mean[..., None, None]).square().mean((2, 3)) + 1e-4).sqrt()
        return self.project(torch.cat([mean, deviation], -1), code_NS)


class MotionHead(nn.Module):
    """Luma changes between sparse frames (B, K−1, H, W) with their distances in time (B, K−1) → logits (B,)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        steps = SPARSE_FRAMES - 1
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1)
            for a, b in ((steps, width // 2), (width // 2, width), (width, width))
        )
        self.time = nn.Linear(steps, width)
        self.project = _Projection(width)

    def forward(self, changes_BKHW: Tensor, gaps_BK: Tensor, code_BS: Tensor) -> Tensor:
        x = changes_BKHW
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        return self.project(x.mean((2, 3)) * (1 + self.time(gaps_BK)), code_BS)


class Discriminator(nn.Module):
    """Both judges; `forward` gives frame logits (N,), averaged over levels, and motion logits (B,)."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.heads = nn.ModuleList(FrameHead(CHANNELS[level], config.width) for level in FRAME_LEVELS)
        self.motion = MotionHead(config.width)
        self.to(memory_format=torch.channels_last)

    def forward(
        self, levels: Sequence[Tensor], frame_code_NS: Tensor, changes_BKHW: Tensor, gaps_BK: Tensor, code_BS: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(changes_BKHW.device.type, enabled=False):  # the exact penalties need fp32
            frames = [head(maps.float(), frame_code_NS) for head, maps in zip(self.heads, levels, strict=True)]
            return torch.stack(frames).mean(0), self.motion(changes_BKHW.float(), gaps_BK, code_BS)


def luma_changes(clip_BCTHW: Tensor) -> Tensor:
    """What the motion judge sees: luma differences of consecutive frames (B, T−1, H, W) over the clip's own contrast,
    so that it judges movement and flicker, not the palette.
    """
    weights = clip_BCTHW.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1, 1)
    luma_BTHW = (clip_BCTHW * weights).sum(1)
    contrast = luma_BTHW.flatten(1).std(1).clamp(min=0.05).view(-1, 1, 1, 1)
    return luma_BTHW.diff(dim=1) / contrast
