"""Dense motion between frames and the ways pixels go along it.

A flow (H, W, 2) holds, for every pixel of the frame it starts from, the step (x, y) in pixels to its place in the other
frame.
Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import cv2
import numpy as np

FIXED_POINT_STEPS = 4


def make_flow() -> cv2.DISOpticalFlow:
    """Dense inverse search (Kroeger et al. 2016) down to single pixels: the clips are small and move far."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    return dis


def pixel_grid(height: int, width: int) -> np.ndarray:
    """float32 (H, W, 2): x and y of every pixel."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)


def sample(value: np.ndarray, at_HW2: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """A map at pixel positions; outside its border it is carried on."""
    return cv2.remap(value, at_HW2[..., 0], at_HW2[..., 1], interpolation, borderMode=cv2.BORDER_REPLICATE)


def inside(at_hw2: np.ndarray, height: int, width: int) -> np.ndarray:
    """bool (h, w): which positions lie in the frame."""
    x, y = at_hw2[..., 0], at_hw2[..., 1]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def between(to_next_HW2: np.ndarray, from_next_HW2: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Where pixels of an unseen frame at `share` (0…1) of the way between two seen ones lie in the first and in the
    second: positions (H, W, 2) each, by a fixed point of x = p + share·flow(p).
    """
    start = pixel_grid(*to_next_HW2.shape[:2])
    ahead, behind = share * to_next_HW2, (1 - share) * from_next_HW2
    first, second = start - ahead, start - behind
    for _ in range(FIXED_POINT_STEPS):
        first, second = start - sample(ahead, first), start - sample(behind, second)
    return first, second
