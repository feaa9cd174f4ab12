"""Scratches: thin straight lines of one colour that the frames before and after do not have at that place.

Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import cv2
import numpy as np

CONTRAST = 18.0
"""Grey levels a line stands out against both sides."""
THICKEST = 5
"""Pixels."""
SHORTEST = 0.12
"""Length of a line, share of the frame's shorter side."""
EVEN = 14.0
"""Deviation of a line's colour along it, grey levels, at most."""
STRAIGHT = 1.6
"""Deviation of a line's pixels from its axis, pixels, at most."""


def scratches(frames_THWC: np.ndarray, known_THW: np.ndarray) -> np.ndarray:
    """bool (T, H, W); what is in `known_THW` already is left out of the search."""
    frames = len(frames_THWC)
    mask = np.zeros(known_THW.shape, bool)
    if frames < 3:
        return mask
    thin = np.stack([_thin(frame) for frame in frames_THWC])
    for t in range(frames):
        others = [s for s in (t - 2, t - 1, t + 1, t + 2) if 0 <= s < frames]
        # A line of the product itself is near the same place in the frames around; a scratch trembles or is gone.
        for sign in (1, -1):
            lines = (sign * thin[t] > CONTRAST) & ~known_THW[t]
            mask[t] |= _lines(lines, frames_THWC, t, others)
    return mask


def _thin(frame_HWC: np.ndarray) -> np.ndarray:
    """How far luma stands out against what is on both sides, float32 (H, W), light lines positive."""
    grey = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY)
    kernel = np.ones((2 * THICKEST - 1, 2 * THICKEST - 1), np.uint8)
    light = cv2.subtract(grey, cv2.morphologyEx(grey, cv2.MORPH_OPEN, kernel[:THICKEST + 2, :THICKEST + 2]))
    dark = cv2.subtract(cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel[:THICKEST + 2, :THICKEST + 2]), grey)
    return light.astype(np.float32) - dark.astype(np.float32)


def _lines(lines_HW: np.ndarray, frames_THWC: np.ndarray, t: int, others: list[int]) -> np.ndarray:
    found = np.zeros(lines_HW.shape, bool)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lines_HW.astype(np.uint8), connectivity=8)
    shortest = SHORTEST * min(lines_HW.shape)
    for label in range(1, count):
        left, top, width, height, area = stats[label]
        if np.hypot(width, height) < shortest or area > THICKEST * np.hypot(width, height):
            continue
        y, x = np.nonzero(labels[top : top + height, left : left + width] == label)
        y, x = y + top, x + left
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(np.stack([x, y]))).clip(0))
        if spread[0] > STRAIGHT or spread[1] < shortest / 4:
            continue
        colour = frames_THWC[t, y, x].astype(np.float32)
        if colour.std(0).max() > EVEN:
            continue
        apart = [np.abs(frames_THWC[s, y, x].astype(np.float32) - colour).mean(-1) for s in others]
        if np.median(np.min(apart, 0)) > CONTRAST:
            found[y, x] = True
    return cv2.dilate(found.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
