"""Dead ends of a clip: black or still stretches before the product appears and after it has gone.

A clip that never moves is content, not a dead end; it is left whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from av.video.frame import VideoFrame

SIDE = 48
BLACK_MEAN = 12.0  # of 255
BLACK_PEAK = 40.0  # 99 % quantile, of 255
STILL_DIFFERENCE = 0.35  # mean absolute difference of neighbours, of 255; below coding noise of a frozen picture
SHORTEST_STILL_SECONDS = 0.25
PROBE_FPS = 12.0


def thumbnail(frame: VideoFrame) -> np.ndarray:
    """float32 (48, 48) luma, 0…255."""
    return frame.reformat(width=SIDE, height=SIDE, format="gray").to_ndarray().astype(np.float32)


def without_dead_ends(
    thumbnails_at: Callable[[Sequence[float]], list[np.ndarray]],
    start: float,
    end: float,
    *,
    interval: float,
    max_dead_seconds: float,
    wanted_seconds: float,
) -> tuple[float, float]:
    """Move `start` and `end` (seconds) past dead stretches, each by at most `max_dead_seconds` and half the length.

    Leaves both where they are when too little would remain: less than half, and less than `wanted_seconds`.
    """
    reach = min(max_dead_seconds, (end - start) / 2)
    step = max(1 / PROBE_FPS, interval)
    steps = int(reach / step)
    if steps < 2:
        return start, end
    head = [start + i * step for i in range(steps + 1)]
    tail = [end - interval / 2 - i * step for i in range(steps, -1, -1)]
    cut_start = dead_steps(thumbnails_at(head), step) * step
    cut_end = dead_steps(thumbnails_at(tail)[::-1], step) * step
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
