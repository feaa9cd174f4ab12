"""What the other frames know of a frame: running averages, forwards and backwards in time.

A frame is one noisy reading of the product, compression spoils each frame in another way, and a key frame less than
those after it. Each frame is therefore averaged with the average so far, either moved to where things are now (dense
inverse search, Kroeger et al. 2016) or in place; what does not fit is left out. Two passes reach all the way.
Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

MEMORY = 8.0
"""Most weight, in frames, of the average so far; what lies further back fades by 8/9 a frame."""
REACH = 8
"""Frames on each side that leave a trace worth keeping."""
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
    height, width = frames_THWC.shape[1:3]
    short = [(0, max(_SMALLEST - side, 0)) for side in (height, width)]
    frames = np.pad(frames_THWC, ((0, 0), *short, (0, 0)), mode="symmetric").astype(np.float32)
    merged, weight = _both_ways(frames, _along_motion(frames.shape[1:3], tolerance))
    return merged[:, :height, :width].clip(0, 255), weight[:, :height, :width]


def settle(frames_THWC: np.ndarray) -> np.ndarray:
    """Frames 0…255 (T, H, W, 3) → float32, places that stand still averaged in place, so that they do not flicker."""
    return _both_ways(frames_THWC.astype(np.float32), _in_place)[0].clip(0, 255)


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


def _both_ways(frames_THWC: np.ndarray, recall: Recall) -> tuple[np.ndarray, np.ndarray]:
    forward, known = _one_way(frames_THWC, recall)
    backward, coming = (passed[::-1] for passed in _one_way(frames_THWC[::-1], recall))
    weight = known + coming - 1  # the frame itself is in both
    return (known[..., None] * forward + coming[..., None] * backward - frames_THWC) / weight[..., None], weight


def _one_way(frames_THWC: np.ndarray, recall: Recall) -> tuple[np.ndarray, np.ndarray]:
    average, weight = frames_THWC[0], np.ones(frames_THWC.shape[1:3], np.float32)
    averages, weights = [average], [weight]
    for frame in frames_THWC[1:]:
        before, trust = recall(frame, average, weight)
        average = (frame + trust[..., None] * before) / (1 + trust[..., None])
        weight = np.minimum(1 + trust, np.float32(MEMORY))
        averages.append(average)
        weights.append(weight)
    return np.stack(averages), np.stack(weights)


def _outline(frame_HWC: np.ndarray) -> np.ndarray:
    """Grey and slightly blurred, uint8: what the flow is searched on."""
    grey = cv2.cvtColor(np.clip(frame_HWC, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    return cv2.GaussianBlur(grey, (0, 0), 0.8)
