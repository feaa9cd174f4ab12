"""What the other frames know of a frame: running averages, forwards and backwards in time.

A frame is one noisy reading of the product, compression spoils each frame in another way, and a key frame less than
those after it. Each frame is therefore averaged with the average so far, either moved to where things are now (dense
inverse search, Kroeger et al. 2016) or in place; what does not fit is left out. Two passes reach all the way; of a long
clip, which comes in windows, the one forwards does, and the one backwards begins so far ahead that no seam shows.
Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import cv2
import numpy as np

MEMORY = 8.0
"""Most weight, in frames, of the average so far; what lies further back fades by 8/9 a frame."""
AHEAD = 26
"""Frames after a window that its average draws on; those further ahead would weigh under a twentieth, (8/9)^26."""
TOLERANCE = 25.0
"""Grey levels of difference at which a place counts e^(−1/2), along the motion."""
STILL = 6.0
"""The same in place, of slightly blurred frames: the flicker of noise and compression, not a movement."""
_SMALLEST = 32
"""The flow's coarsest grid needs so many pixels; smaller frames are mirrored at their border."""

Recall = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""A frame, the average so far and its weight → the average as it applies to the frame, and its weight there."""


def merge_neighbours(frames_THWC: np.ndarray, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
    """Frames 0…255 (T, H, W, 3) → their averages along the motion float32 (T, H, W, 3), and how many frames each place
    draws on, float32 (T, H, W), at least 1.
    """
    (merged,) = merge_windows([frames_THWC], tolerance)
    return merged


def merge_windows(windows: Iterable[np.ndarray], tolerance: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`merge_neighbours` of a clip that comes in windows of frames, one window after the other; at least one."""
    windows = iter(windows)
    first = next(windows)
    height, width = first.shape[1:3]
    short = [(0, max(_SMALLEST - side, 0)) for side in (height, width)]
    padded = (np.pad(window, ((0, 0), *short, (0, 0)), mode="symmetric") for window in chain([first], windows))
    recall = _along_motion((height + short[0][1], width + short[1][1]), tolerance)
    for merged, weight in _both_ways(padded, recall):
        yield merged[:, :height, :width].clip(0, 255), weight[:, :height, :width]


def settle_windows(windows: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Windows of frames 0…255 (T, H, W, 3) of one clip → float32, places that stand still averaged in place, so that
    they do not flicker.
    """
    for settled, _ in _both_ways(windows, _in_place):
        yield settled.clip(0, 255)


def _along_motion(size: tuple[int, int], tolerance: float) -> Recall:
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    rows, columns = (grid.astype(np.float32) for grid in np.indices(size))

    def recall(frame: np.ndarray, average: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = flow.calc(_outline(frame), _outline(average), None)
        x, y = columns + moved[..., 0], rows + moved[..., 1]
        before = cv2.remap(average, x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
        known = cv2.remap(weight, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        misfit = cv2.GaussianBlur(np.square(before - frame).mean(-1), (0, 0), 2.0)
        return before, known * np.exp(-misfit / (2 * tolerance**2))

    return recall


def _in_place(frame: np.ndarray, average: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    misfit = np.square(cv2.GaussianBlur(frame - average, (0, 0), 1.0)).sum(-1)
    return average, weight * np.exp(-cv2.GaussianBlur(misfit, (0, 0), 1.0) / (2 * STILL**2))


def _both_ways(windows: Iterable[np.ndarray], recall: Recall) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Averages and weights, a window after the other, each as soon as enough frames after it are there."""
    windows, waiting, before = iter(windows), [], None
    more = True
    while more or waiting:
        while more and sum(map(len, waiting[1:])) < AHEAD:
            window = next(windows, None)
            more = window is not None
            if more:
                waiting.append(window.astype(np.float32))
        frames_THWC, *later = waiting
        forward, known = _one_way(frames_THWC, recall, before)
        before = forward[-1], known[-1]
        seen_THWC = np.concatenate([frames_THWC, *later])[: len(frames_THWC) + AHEAD]
        backward, coming = (passed[: -len(frames_THWC) - 1 : -1] for passed in _one_way(seen_THWC[::-1], recall, None))
        weight = known + coming - 1  # the frame itself is in both
        yield (known[..., None] * forward + coming[..., None] * backward - frames_THWC) / weight[..., None], weight
        del waiting[0]


def _one_way(
    frames_THWC: np.ndarray, recall: Recall, before: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Averages and their weights in one direction; `before` is what the frame before the first one left."""
    averages, weights = [], []
    for frame in frames_THWC:
        if before is None:
            average, weight = frame, np.ones(frame.shape[:2], np.float32)
        else:
            recalled, trust = recall(frame, *before)
            average = (frame + trust[..., None] * recalled) / (1 + trust[..., None])
            weight = np.minimum(1 + trust, np.float32(MEMORY))
        before = average, weight
        averages.append(average)
        weights.append(weight)
    return np.stack(averages), np.stack(weights)


def _outline(frame_HWC: np.ndarray) -> np.ndarray:
    """Grey and slightly blurred, uint8: what the flow is searched on."""
    grey = cv2.cvtColor(np.clip(frame_HWC, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    return cv2.GaussianBlur(grey, (0, 0), 0.8)
