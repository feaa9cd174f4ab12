"""Dense motion between frames and the ways pixels go along it.

A flow (H, W, 2) holds, for every pixel of the frame it starts from, the step (x, y) in pixels to its place in the other
frame.
Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from trainables.generator.repair.fill import spread

LANDED = 0.25
"""Pixels that must have come to a place for it to count as seen."""


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


def origin(step_HW2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where pixels of an unseen frame lie in a seen one: positions (H, W, 2), and bool (H, W) whether anything of the
    seen frame came there; where nothing did, what lies around says where it would be. The step leads from each pixel of
    the seen frame to its place in the unseen one; each is dealt out to the four pixels around that place and the mean
    is taken (forward splatting: a search for the place that leads to a pixel finds none where motions part).
    """
    height, width = step_HW2.shape[:2]
    start = pixel_grid(height, width)
    to = start + step_HW2
    corner = np.floor(to)
    total, weight = np.zeros((2, height * width)), np.zeros(height * width)
    for across in (0, 1):
        for down in (0, 1):
            x, y = corner[..., 0] + across, corner[..., 1] + down
            share = (1 - np.abs(to[..., 0] - x)) * (1 - np.abs(to[..., 1] - y))
            there = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            place, share = (y * width + x)[there].astype(np.int64), share[there]
            weight += np.bincount(place, share, height * width)
            for axis in (0, 1):
                total[axis] += np.bincount(place, share * step_HW2[..., axis][there], height * width)
    landed = (weight > LANDED).reshape(height, width)
    if not landed.any():
        return start - step_HW2, landed
    mean = (total / np.maximum(weight, LANDED)).T.reshape(height, width, 2).astype(np.float32)
    return start - spread(mean, landed), landed


def along_parabola(
    first: np.ndarray, first_time: float, second: np.ndarray, second_time: float, time: float
) -> np.ndarray:
    """Step at a time, of what is at rest at time 0 and has taken the two other steps at theirs."""
    bend = (first / first_time - second / second_time) / (first_time - second_time)
    return bend * time**2 + (first / first_time - bend * first_time) * time
