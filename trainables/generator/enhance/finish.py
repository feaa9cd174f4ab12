"""The last touch of the vivid mode: sharper where there is detail, true to the upload's hue where there is none.

Dims: T frames, H height, W width, C = 3 channels; pixels 0…255.
"""

from __future__ import annotations

import cv2
import numpy as np

FLAT = 2.0
"""Grey levels of detail at which half of the sharpening is done."""
TINT = 6.0
"""Deviation in pixels of the surroundings whose hue a flat place keeps."""


def untinted(frame_HWC: np.ndarray, source_HWC: np.ndarray, amount: float) -> np.ndarray:
    """Where a frame is flat its hue is the upload's: what the vivid part is trained for hardly minds a tint there, who
    looks at a white backdrop does.
    """
    _, share_HW = _detail(frame_HWC)
    flat_HW1 = np.square(1 - share_HW)[..., None]
    tint = frame_HWC - source_HWC
    tint -= tint.mean(-1, keepdims=True)
    around = cv2.GaussianBlur(tint * flat_HW1, (0, 0), TINT) / (
        cv2.GaussianBlur(flat_HW1, (0, 0), TINT)[..., None] + 1e-3
    )
    return frame_HWC - amount * flat_HW1 * around


def sharpened(frames_THWC: np.ndarray, amount: float) -> np.ndarray:
    """Unsharp mask of lightness, 0…255, where there is something to see: a flat background stays flat. Colour has no
    detail of its own at this size, only noise.
    """
    result = np.empty_like(frames_THWC)
    for index, frame in enumerate(frames_THWC):
        detail, share = _detail(frame)
        result[index] = frame + (share * amount * detail)[..., None]
    return result.clip(0, 255)


def _detail(frame_HWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Detail of lightness (H, W) in grey levels, and how much of it there is around each place, 0 flat … 1."""
    luma = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY)
    detail = luma - cv2.GaussianBlur(luma, (0, 0), 1.0)
    contrast = 3 * cv2.GaussianBlur(np.square(detail), (0, 0), 2.0)
    return detail, contrast / (contrast + FLAT**2)
