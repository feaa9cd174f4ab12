"""What anybody can do without training: bicubic upscaling alone, after a bilateral filter, after non-local means.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np


def bicubic(frames_THWC: np.ndarray, scale: int) -> np.ndarray:
    """uint8 (T, H, W, 3) → (T, scale·H, scale·W, 3); scale 1 gives the frames themselves."""
    if scale == 1:
        return frames_THWC
    height, width = frames_THWC.shape[1:3]
    size = (scale * width, scale * height)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames_THWC])


def bilateral(frames_THWC: np.ndarray, scale: int) -> np.ndarray:
    """Bilateral filter of 5 pixels (30 grey levels, 3 pixels), then bicubic."""
    return bicubic(np.stack([cv2.bilateralFilter(frame, 5, 30, 3) for frame in frames_THWC]), scale)


def non_local_means(frames_THWC: np.ndarray, scale: int) -> np.ndarray:
    """Non-local means of each frame (h 5, patches of 5 pixels within 15), then bicubic."""
    return bicubic(np.stack([_nlm(frame) for frame in frames_THWC]), scale)


def _nlm(frame_HWC: np.ndarray) -> np.ndarray:
    # OpenCV tells light from colour by channels in the order blue, green, red.
    return cv2.fastNlMeansDenoisingColored(np.ascontiguousarray(frame_HWC[..., ::-1]), None, 5, 5, 5, 15)[..., ::-1]


BASELINES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "bicubic": bicubic,
    "bilateral + bicubic": bilateral,
    "non-local means + bicubic": non_local_means,
}
