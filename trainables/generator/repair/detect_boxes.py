"""Logo boxes: upright rectangles that rest while what has contours moves.

Dims: T frames, H height, W width; luma float32, 0…255.
"""

from __future__ import annotations

import cv2
import numpy as np

EDGE = 14.0
"""Slope of luma, grey levels a pixel, that counts as a contour."""
REST = 6.0
"""Grey levels between a pixel's 5th and 95th percentile over time, at most, where it rests."""
MOVING_SHARE = 0.1
"""So much of all contours must move for anything at rest to be an overlay."""
SMALLEST, LARGEST = 0.002, 0.3
"""Share of the frame a box covers."""
SIDE_SHARE = 0.6
"""Each side of a box shows a resting contour over so much of its length."""
REST_SHARE = 0.9
"""So much of a box rests."""
LEAST_FRAMES = 4


def logo_boxes(luma_THW: np.ndarray) -> np.ndarray:
    """bool (H, W)."""
    mask = np.zeros(luma_THW.shape[1:], bool)
    if len(luma_THW) < LEAST_FRAMES:
        return mask
    low, middle, high = np.percentile(luma_THW, (5, 50, 95), axis=0)
    rests = high - low <= REST
    steep = _slopes(middle.astype(np.float32)) > EDGE
    moving = np.stack([_slopes(frame) > EDGE for frame in luma_THW[:: max(1, len(luma_THW) // 4)]]).any(0)
    if (moving & ~rests).sum() < MOVING_SHARE * moving.sum() or not moving.any():
        return mask
    contours = steep & rests
    joined = cv2.morphologyEx(contours.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for left, top, width, height, _ in stats[1:count]:
        inside = slice(top, top + height), slice(left, left + width)
        share = width * height / mask.size
        if min(width, height) < 4 or not SMALLEST <= share <= LARGEST or rests[inside].mean() < REST_SHARE:
            continue
        at_border = (top <= 1, top + height >= len(mask) - 1, left <= 1, left + width >= mask.shape[1] - 1)
        sides = zip(_sides(contours[inside]), at_border, strict=True)
        if all(share >= SIDE_SHARE or outside for share, outside in sides) and sum(at_border) <= 2:
            mask[inside] = True
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def _slopes(luma_HW: np.ndarray) -> np.ndarray:
    """Largest step to a neighbour, grey levels."""
    padded = cv2.copyMakeBorder(luma_HW, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    centre = padded[1:-1, 1:-1]
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.max([np.abs(centre - other) for other in around], axis=0)


def _sides(contours_hw: np.ndarray) -> list[float]:
    """Share of each side's length that has a contour within two pixels."""
    return [
        float(contours_hw[:2].any(0).mean()),
        float(contours_hw[-2:].any(0).mean()),
        float(contours_hw[:, :2].any(1).mean()),
        float(contours_hw[:, -2:].any(1).mean()),
    ]
