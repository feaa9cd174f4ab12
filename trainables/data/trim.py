"""Dead ends of a clip: black or still stretches before the product appears and after it has gone.

A clip that never moves is content, not a dead end; it is left whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SIDE = 48
BLACK_MEAN = 12.0  # of 255
BLACK_PEAK = 40.0  # 99 % quantile, of 255
STILL_DIFFERENCE = 0.35  # mean absolute difference of neighbours, of 255; below coding noise of a frozen picture
SHORTEST_STILL_SECONDS = 0.25
PROBE_FPS = 12.0


@dataclass(frozen=True)
class Probes:
    """Where a clip is looked at for dead ends, seconds; none in a clip too short to cut."""

    start: float
    end: float
    step: float
    """Between two looks."""
    head: tuple[float, ...] = ()
    tail: tuple[float, ...] = ()
    """Ascending."""

    @property
    def times(self) -> frozenset[float]:
        """All of them."""
        return frozenset((*self.head, *self.tail))


def probes(start: float, end: float, *, interval: float, max_dead_seconds: float) -> Probes:
    """Looks at each end, as far as may be cut: at most `max_dead_seconds` and half the length. `interval` lies between
    two frames of the source.
    """
    reach = min(max_dead_seconds, (end - start) / 2)
    step = max(1 / PROBE_FPS, interval)
    steps = int(reach / step)
    if steps < 2:
        return Probes(start, end, step)
    head = tuple(start + i * step for i in range(steps + 1))
    tail = tuple(end - interval / 2 - i * step for i in range(steps, -1, -1))
    return Probes(start, end, step, head, tail)


def without_dead_ends(
    probes: Probes, thumbnails: Mapping[float, np.ndarray], *, wanted_seconds: float
) -> tuple[float, float]:
    """Start and end past dead stretches, given a luma thumbnail, float (48, 48), 0…255, for each probe.

    Both stay where they are when too little would remain: less than half, and less than `wanted_seconds`.
    """
    start, end = probes.start, probes.end
    if not probes.head:
        return start, end
    cut_start = dead_steps([thumbnails[time] for time in probes.head], probes.step) * probes.step
    cut_end = dead_steps([thumbnails[time] for time in reversed(probes.tail)], probes.step) * probes.step
    left = end - start - cut_start - cut_end
    if left < min((end - start) / 2, wanted_seconds):
        return start, end
    return start + cut_start, end - cut_end


def dead_steps(pictures: Sequence[np.ndarray], step: float) -> int:
    """How many of the first pictures are black, then still; `step` is the time between them in seconds."""
    black = 0
    while black < len(pictures) - 1 and is_black(pictures[black]):
        black += 1
    moving = black
    while moving < len(pictures) - 1 and _difference(pictures[moving], pictures[moving + 1]) < STILL_DIFFERENCE:
        moving += 1
    never_moves = moving == len(pictures) - 1
    return black if never_moves or (moving - black) * step < SHORTEST_STILL_SECONDS else moving


def is_black(picture: np.ndarray) -> bool:
    """True for a thumbnail that is dark all over."""
    return bool(picture.mean() < BLACK_MEAN and np.quantile(picture, 0.99) < BLACK_PEAK)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())
