"""What the other frames know of a frame: a running average along the motion, forwards and backwards in time.

A frame is one noisy reading of the product, compression spoils each frame in another way, and a key frame less than
those after it. Each frame is therefore averaged with the average so far, moved to where things are now (dense inverse
search, Kroeger et al. 2016); places that do not fit are left out. Two flows a frame reach all the way.
Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import cv2
import numpy as np

MEMORY = 8.0
"""Most weight, in frames, of the average so far; what lies further back fades by 8/9 a frame."""
REACH = 12
"""Frames on each side that leave a trace worth keeping."""
TOLERANCE = 25.0
"""Grey levels of difference at which a place counts e^(−1/2)."""
_SMALLEST = 32
"""The flow's coarsest grid needs so many pixels; smaller frames are mirrored at their border."""


def merge_neighbours(frames_THWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 (T, H, W, 3) → their averages float32 (T, H, W, 3), 0…255, and how many frames each place draws on,
    float32 (T, H, W), at least 1.
    """
    height, width = frames_THWC.shape[1:3]
    short = [(0, max(_SMALLEST - side, 0)) for side in (height, width)]
    frames = np.pad(frames_THWC, ((0, 0), *short, (0, 0)), mode="symmetric").astype(np.float32)
    forward, known = _one_way(frames)
    backward, coming = (passed[::-1] for passed in _one_way(frames[::-1]))
    weight = known + coming - 1
    merged = (known[..., None] * forward + coming[..., None] * backward - frames) / weight[..., None]
    return merged[:, :height, :width].clip(0, 255), weight[:, :height, :width]


def _one_way(frames_THWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    rows, columns = (grid.astype(np.float32) for grid in np.indices(frames_THWC.shape[1:3]))
    average, weight = frames_THWC[0], np.ones(frames_THWC.shape[1:3], np.float32)
    averages, weights = [average], [weight]
    for frame in frames_THWC[1:]:
        moved = flow.calc(_outline(frame), _outline(average), None)
        x, y = columns + moved[..., 0], rows + moved[..., 1]
        before = cv2.remap(average, x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
        trust = cv2.remap(weight, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        misfit = cv2.GaussianBlur(np.square(before - frame).mean(-1), (0, 0), 2.0)
        trust = trust * np.exp(-misfit / (2 * TOLERANCE**2))
        average = (frame + trust[..., None] * before) / (1 + trust[..., None])
        weight = np.minimum(1 + trust, np.float32(MEMORY))
        averages.append(average)
        weights.append(weight)
    return np.stack(averages), np.stack(weights)


def _outline(frame_HWC: np.ndarray) -> np.ndarray:
    """Grey and slightly blurred, uint8: what the flow is searched on."""
    grey = cv2.cvtColor(np.clip(frame_HWC, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    return cv2.GaussianBlur(grey, (0, 0), 0.8)
