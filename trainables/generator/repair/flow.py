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


def origin(step_HW2: np.ndarray) -> np.ndarray:
    """Where pixels of an unseen frame lie in a seen one: positions (H, W, 2), by a fixed point of x = p − step(x). The
    step leads from each pixel of the seen frame to its place in the unseen one.
    """
    start = pixel_grid(*step_HW2.shape[:2])
    at = start - step_HW2
    for _ in range(FIXED_POINT_STEPS):
        at = start - sample(step_HW2, at)
    return at


def along_parabola(
    first: np.ndarray, first_time: float, second: np.ndarray, second_time: float, time: float
) -> np.ndarray:
    """Step at a time, of what is at rest at time 0 and has taken the two other steps at theirs."""
    bend = (first / first_time - second / second_time) / (first_time - second_time)
    return bend * time**2 + (first / first_time - bend * first_time) * time
