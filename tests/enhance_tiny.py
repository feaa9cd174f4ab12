"""An enhancement training small enough for a test."""

from __future__ import annotations

import numpy as np

from cluster.config import override
from trainables.generator.enhance.config import EnhanceTrainConfig

TINY = override(
    EnhanceTrainConfig(),
    [
        "steps=4",
        "batch_size=2",
        "windows=1",
        "clip_frames=2",
        "frame_size=32",
        "checkpoint_every=2",
        "sheet_every=1000",
        "vivid.start=0.5",
        "network.widths=[8, 8, 8]",
        "network.blocks=1",
        "judge.width=8",
    ],
)


def textured_clip(frames: int = 6, size: int = 48, *, step: int = 2, seed: int = 0) -> np.ndarray:
    """A smooth random texture that slides to the right by `step` pixels a frame, uint8 (T, size, size, 3)."""
    coarse = np.random.default_rng(seed).uniform(20, 235, (size // 4, (size + frames * abs(step)) // 4 + 1, 3))
    wide = np.kron(coarse, np.ones((4, 4, 1))).astype(np.uint8)
    return np.stack([wide[:, index * step : index * step + size] for index in range(frames)])
