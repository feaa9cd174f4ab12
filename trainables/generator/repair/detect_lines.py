"""Scratches: thin straight lines of one colour that are no part of the product.

A line of the product is found again, shifted, in the frames around; a scratch of one frame is not. One that runs
through most of the frame's height stays where it is and is told by that alone, unless there are so many that they are
a pattern: pinstripes, blinds.
Dims: T frames, H height, W width, C = 3 channels; P points along a line, (x, y).
"""

from __future__ import annotations

import cv2
import numpy as np

CONTRAST = 22
"""Grey levels a line stands out against both sides."""
THICKEST = 5
"""Pixels."""
SHORTEST, LONG = 0.15, 0.6
"""Length of a line and of one that runs through, shares of the frame's shorter side and height."""
PATTERN = 7
"""Lines side by side that run through are the product's own from here on."""
COVERED = 0.85
"""So much of a line stands out."""
EVEN = 12.0
"""Deviation of a line's colour along it, grey levels, at most."""
REACH = 8
"""Pixels a line of the product may have moved from frame to frame."""
ALIKE = 22.0
"""Grey levels, averaged along it, at which a shifted line counts as the same."""
GAP = 3


def scratches(frames_THWC: np.ndarray, known_THW: np.ndarray) -> np.ndarray:
    """bool (T, H, W); what is in `known_THW` already is left out of the search."""
    mask = np.zeros(known_THW.shape, bool)
    if len(frames_THWC) < 3:
        return mask
    for t in range(len(frames_THWC)):
        others = [frames_THWC[s].astype(np.float32) for s in (t - 1, t + 1) if 0 <= s < len(frames_THWC)]
        for thin in _thin(frames_THWC[t]):
            mask[t] |= _lines(thin * ~known_THW[t], frames_THWC[t].astype(np.float32), others)
    return mask


def _thin(frame_HWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much luma is lighter, and darker, than what is on both sides of a thin line, uint8 (H, W) each."""
    grey = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY)
    kernel = np.ones((THICKEST + 2, THICKEST + 2), np.uint8)
    lighter = cv2.subtract(grey, cv2.morphologyEx(grey, cv2.MORPH_OPEN, kernel))
    return lighter, cv2.subtract(cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel), grey)


def _lines(thin_HW: np.ndarray, frame_HWC: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    height, width = thin_HW.shape
    found = np.zeros((height, width), np.uint8)
    standing_out = (thin_HW > CONTRAST).astype(np.uint8)
    shortest = round(SHORTEST * min(height, width))
    segments = cv2.HoughLinesP(standing_out, 1, np.pi / 180, shortest // 2, minLineLength=shortest, maxLineGap=GAP)
    lines = []
    for x0, y0, x1, y1 in segments.reshape(-1, 4).tolist() if segments is not None else ():
        points_P2 = _points(x0, y0, x1, y1)
        x, y = points_P2.T
        out = standing_out[y, x] > 0
        if out.mean() >= COVERED and frame_HWC[y, x][out].std(0).max() <= EVEN:
            lines.append((points_P2, abs(y1 - y0) >= LONG * height))
    pattern = _side_by_side([points_P2[[0, -1], 0].mean() for points_P2, runs_through in lines if runs_through])
    for points_P2, runs_through in lines:
        x, y = points_P2.T
        alone = runs_through and not pattern
        if alone or all(_nearest(frame_HWC[y, x], other, points_P2) > ALIKE for other in others):
            cv2.line(found, points_P2[0].tolist(), points_P2[-1].tolist(), 1, THICKEST + 2)
    return cv2.dilate(found & (thin_HW > CONTRAST // 2), np.ones((3, 3), np.uint8)).astype(bool)


def _points(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """Pixels (P, 2) along a line."""
    count = max(abs(x1 - x0), abs(y1 - y0)) + 1
    return np.rint(np.stack([np.linspace(x0, x1, count), np.linspace(y0, y1, count)], 1)).astype(int)


def _side_by_side(places: list[float]) -> bool:
    """Whether lines through these columns are a pattern; columns closer than two lines can lie are one line's."""
    apart = np.diff(np.sort(places)) > THICKEST
    return 1 + apart.sum() >= PATTERN


def _nearest(colour_PC: np.ndarray, other_HWC: np.ndarray, points_P2: np.ndarray) -> float:
    """Least mean |difference| of the line's colours to the same line shifted in another frame."""
    height, width = other_HWC.shape[:2]
    shifts = np.stack(np.meshgrid(np.arange(-REACH, REACH + 1), np.arange(-REACH, REACH + 1, 2)), -1).reshape(-1, 2)
    at = points_P2[::2] + shifts[:, None]
    x, y = at[..., 0].clip(0, width - 1), at[..., 1].clip(0, height - 1)
    return float(np.abs(other_HWC[y, x] - colour_PC[::2]).mean((1, 2)).min())
