"""Simple fills that everything better starts from: linear in time, smooth in space, Telea.

Dims: T frames, H height, W width, C channels.
"""

from __future__ import annotations

import cv2
import numpy as np

TELEA_RADIUS = 4


def fill_in_time(
    frames_THWC: np.ndarray, mask_THW: np.ndarray, *, nearest: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Each damaged pixel from the same place in the nearest sound frames before and after, weighted by nearness; with
    `nearest` from the nearer of the two alone, the one before where both are as near.

    Returns uint8 (T, H, W, 3) and bool (T, H, W), false where a place is sound in no frame (left as it came).
    """
    mended, found = frames_THWC.copy(), ~mask_THW
    row, column = np.nonzero(mask_THW.any(0))
    if not len(row):
        return mended, found
    hurt_TN = mask_THW[:, row, column]
    frames, place_T1 = len(frames_THWC), np.arange(len(frames_THWC))[:, None]
    before = np.maximum.accumulate(np.where(hurt_TN, -1, place_T1), 0)
    after = np.minimum.accumulate(np.where(hurt_TN, frames, place_T1)[::-1], 0)[::-1]
    t, n = np.nonzero(hurt_TN & ((before >= 0) | (after < frames)))
    before, after = before[t, n], after[t, n]
    before, after = np.where(before < 0, after, before), np.where(after >= frames, before, after)
    share = ((t - before) / np.maximum(after - before, 1)).clip(0, 1)[:, None].astype(np.float32)
    if nearest:
        share = (share > 0.5).astype(np.float32)
    y, x = row[n], column[n]
    mended[t, y, x] = np.rint(frames_THWC[before, y, x] * (1 - share) + frames_THWC[after, y, x] * share)
    found[t, y, x] = True
    return mended, found


def fill_in_space(frame_HWC: np.ndarray, mask_HW: np.ndarray) -> np.ndarray:
    """Telea's inpainting of one frame (Telea 2004); a frame damaged everywhere is returned as it came."""
    if not mask_HW.any() or mask_HW.all():
        return frame_HWC
    return cv2.inpaint(np.ascontiguousarray(frame_HWC), mask_HW.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA)


def spread(value_HWC: np.ndarray, known_HW: np.ndarray) -> np.ndarray:
    """Carry float32 values smoothly into where they are not known: normalised averages, from fine to coarse.

    All zeros where nothing is known.
    """
    height, width = known_HW.shape
    weight = known_HW.astype(np.float32)
    value = value_HWC * weight[..., None]
    if min(height, width) <= 2 or known_HW.all() or not known_HW.any():
        total = weight.sum()
        mean = value.sum((0, 1)) / total if total > 0 else np.zeros(value.shape[-1], np.float32)
        return np.where(known_HW[..., None], value_HWC, mean).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    smaller_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    smaller = cv2.resize(value, half, interpolation=cv2.INTER_AREA).reshape(half[1], half[0], -1)
    coarse = spread(smaller / np.maximum(smaller_weight, 1e-6)[..., None], smaller_weight > 1e-3)
    coarse = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    return np.where(known_HW[..., None], value_HWC, coarse).astype(np.float32)
