"""A generator training small enough for a test: 32-pixel crops, narrow nets, one reference a look."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric

from cluster.config import override
from trainables.generator.restyle.config import RestyleTrainConfig

SMALL = (
    "steps=8",
    "batch_size=2",
    "frame_size=32",
    "checkpoint_every=4",
    "sheet_every=1000",
    "network.widths=[16, 16, 16]",
    "network.blocks=1",
    "network.modulation=8",
    "network.palette_hidden=8",
    "discriminator.width=8",
    "looks.references=1",
    "looks.variants=0",
    "looks.crops=1",
)
TINY = override(RestyleTrainConfig(), SMALL)


class Clips(list):
    """Moving squares, uint8 (T, H, W, 3)."""

    def __init__(self, count: int = 4, size: int = 48, frames: int = 8) -> None:
        super().__init__(_square(number, size, frames) for number in range(count))


def _square(number: int, size: int, frames: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    clip = np.full((frames, size, size, 3), rng.integers(120, 240, 3), np.uint8)
    colour, top = rng.integers(0, 255, 3), int(rng.integers(4, size // 2))
    for frame in range(frames):
        clip[frame, top : top + size // 3, frame + 4 : frame + 4 + size // 3] = colour
    return clip


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[dict[str, float]] = []
        self.closed = False

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.lines.append({"step": step, **metrics})

    def close(self) -> None:
        self.closed = True


def cpu_fabric() -> Fabric:
    """One process, one thread: the same bits every time."""
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    return fabric


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Paths at which two checkpoint states are not equal to the last bit."""
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            return [f"{path}: keys"]
        return [line for key in first for line in differences(first[key], second[key], f"{path}/{key}")]
    if isinstance(first, (list, tuple)):
        if len(first) != len(second):
            return [f"{path}: length"]
        return [
            line
            for i, (a, b) in enumerate(zip(first, second, strict=True))
            for line in differences(a, b, f"{path}/{i}")
        ]
    if isinstance(first, torch.Tensor):
        return [] if torch.equal(first, second) else [path]
    return [] if first == second else [path]
