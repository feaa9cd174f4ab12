"""What a worker sees at a step: a function of (seed, rank, position) alone, so a resumed run continues exactly.

Dims: B clips a worker and step, C = 3 channels, T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cluster.errors import InputError


@dataclass(frozen=True)
class Draw:
    """One sample: which clip, and the seed of everything random about it."""

    clip: int
    """Index into the worker's shard."""
    seed: tuple[int, ...]

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


class ShardSampler:
    """Endless seeded permutations of a shard, one after the other; `position` counts samples drawn and may be set."""

    def __init__(self, clips: int, *, seed: int, rank: int, position: int = 0) -> None:
        if clips < 1:
            raise InputError(f"worker {rank} has no clip to train on; use fewer workers or import more clips")
        self.clips, self.seed, self.rank, self.position = clips, seed, rank, position

    def next(self, count: int) -> list[Draw]:
        draws = []
        for position in range(self.position, self.position + count):
            epoch, offset = divmod(position, self.clips)
            order = np.random.default_rng((self.seed, self.rank, epoch)).permutation(self.clips)
            draws.append(Draw(int(order[offset]), (self.seed, self.rank, 1, position)))
        self.position += count
        return draws


def shard(items: Sequence[str], rank: int, world_size: int) -> list[str]:
    """Every `world_size`-th item from `rank` on: disjoint shards that cover everything and never depend on timing."""
    return list(items[rank::world_size])


def sample_frames(frames_THWC: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` frames in order, 1 to 3 apart where the clip is long enough, repeated at its end otherwise.
    Returns frames and the gaps between them (count − 1,).
    """
    gaps = rng.integers(1, 4, count - 1) if count > 1 else np.zeros(0, np.int64)
    while gaps.sum() > len(frames_THWC) - 1 and gaps.max() > 1:
        gaps[gaps.argmax()] -= 1
    first = rng.integers(0, max(len(frames_THWC) - gaps.sum(), 1))
    index = np.minimum(first + np.concatenate([[0], gaps.cumsum()]).astype(int), len(frames_THWC) - 1)
    return frames_THWC[index], gaps.astype(np.float32)


def crop(frames_THWC: np.ndarray, size: int, rng: np.random.Generator) -> Tensor:
    """A square of random place and scale (0.7 of the frame up to the whole, where it has `size` pixels), the same over
    the clip, mirrored half the time, scaled to `size`: float (3, T, size, size) in [-1, 1].
    """
    height, width = frames_THWC.shape[1:3]
    most = min(height, width)
    side = int(rng.integers(min(max(size, round(0.7 * most)), most), most + 1))
    top, left = (int(rng.integers(0, free + 1)) for free in (height - side, width - side))
    window = frames_THWC[:, top : top + side, left : left + side]
    if rng.random() < 0.5:
        window = window[:, :, ::-1]
    # A copy, since torch warns of memory that may not be written, as a picture's. Then in place: new memory for each of
    # the sums costs more than the sums.
    frames_TCHW = torch.from_numpy(np.array(window, order="C")).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    if side != size:
        frames_TCHW = F.interpolate(
            frames_TCHW, (size, size), mode="bilinear", antialias=side > size, align_corners=False
        )
    return frames_TCHW.transpose(0, 1).clamp(-1, 1)
