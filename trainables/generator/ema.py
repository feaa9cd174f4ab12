"""Exponential moving average of the generator: what is served."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """`average ← decay·average + (1 − decay)·weights`, decay from a half-life in images that grows with the images
    seen.
    """

    def __init__(self, module: nn.Module, *, half_life: float, warm_up: float) -> None:
        """`half_life` in images, > 0; early on it is at most `warm_up` (a share, 0…1) of the images seen so far."""
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.half_life, self.warm_up = half_life, warm_up

    def decay(self, images_seen: int, images: int) -> float:
        """Weight of the old average when `images` more are seen."""
        half_life = min(self.half_life, self.warm_up * images_seen)
        return 0.5 ** (images / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, module: nn.Module, images_seen: int, images: int) -> None:
        decay = self.decay(images_seen, images)
        for average, value in zip(self.module.parameters(), module.parameters(), strict=True):
            average.lerp_(value, 1 - decay)
        for average, value in zip(self.module.buffers(), module.buffers(), strict=True):
            average.copy_(value)
