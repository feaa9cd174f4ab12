"""Products simple enough for known answers, and a memory and training of clip generation small enough for a test."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cluster.config import override
from trainables.generator.generate.config import GenerateTrainConfig
from trainables.generator.generate.memory import SIDE, Label, Memory, remember

TINY = override(
    GenerateTrainConfig(),
    [
        "steps=4",
        "batch_size=2",
        "frame_size=32",
        "checkpoint_every=2",
        "sheet_every=1000",
        "network.widths=[8, 8, 8]",
        "network.blocks=1",
        "network.noise=1",
        "memory.drafts=3",
        "judge.width=8",
        "adversarial.start=0.5",
    ],
)


def disc(number: int, wide: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """A coloured ellipse before a lighter backdrop: picture uint8 (H, W, 3) and its true matte (H, W)."""
    rng = np.random.default_rng(number)
    v, u = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
    solid = (u / wide) ** 2 + (v / rng.uniform(0.5, 0.65)) ** 2 < 1
    backdrop = rng.integers(200, 240) + 4 * rng.standard_normal((SIDE, SIDE, 1)) + np.array([4, 0, -6])
    colour = rng.integers(20, 150, 3) + 25 * np.sin(9 * u + number)[..., None]
    return np.where(solid[..., None], colour, backdrop).clip(0, 255).astype(np.uint8), solid.astype(np.float32)


def turning(number: int, frames: int = 16) -> np.ndarray:
    """A flat disc that turns before a plain backdrop: uint8 (T, H, W, 3)."""
    phases = np.pi * np.arange(frames) / frames
    pictures = [disc(number, 0.15 + 0.4 * abs(np.cos(phase))) for phase in phases]
    backdrop = np.array([238, 238, 236])
    return np.stack([np.where(matte[..., None] > 0, picture, backdrop) for picture, matte in pictures]).astype(np.uint8)


class LabelledDiscs(list):
    """Four still discs and four turning ones; each kind its own group."""

    def __init__(self) -> None:
        super().__init__([np.repeat(disc(n)[0][None], 4, 0) for n in range(4)] + [turning(n) for n in range(4)])

    def label(self, index: int) -> Label:
        kind = "disc" if index < 4 else "coin"
        return Label(kind=kind, title=f"{kind} {index}", group="photos" if index < 4 else "scans")


@lru_cache(maxsize=1)
def tiny_memory() -> Memory:
    """Of `LabelledDiscs`."""
    clips = LabelledDiscs()
    found = [remember(clip, clips.label(index)) for index, clip in enumerate(clips)]
    return Memory([entry for entry, _ in found], [pictures for _, pictures in found])
