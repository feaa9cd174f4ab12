"""Simple repairs that the network is measured against, uint8 (T, H, W, 3) and masks bool (T, H, W) in, clips out.

Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from trainables.generator.repair.fill import fill_in_space, fill_in_time

ECC_STEPS = 50
ECC_PRECISION = 1e-4
BLUR = 5
LEAST_SOUND = 0.25


def identity(frames_THWC: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    """The clip as it came: what leaving the damage costs."""
    return frames_THWC


def nearest_frame(frames_THWC: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    """Each damaged pixel copied from its own place in the nearest frame that has it, the earlier of two as near; Telea
    where no frame has it.
    """
    return _completed(*fill_in_time(frames_THWC, mask_THW, nearest=True))


def telea(frames_THWC: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    """Telea's inpainting frame by frame; a frame lost whole is the nearest frame that is not, mended."""
    whole = [t for t in range(len(mask_THW)) if not mask_THW[t].all()]
    mended = {t: fill_in_space(frames_THWC[t], mask_THW[t]) for t in whole}
    return np.stack([mended[min(whole, key=lambda s: abs(s - t))] for t in range(len(mask_THW))])


def linear_in_time(frames_THWC: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    """Each pixel from its own place in the frames before and after; Telea where no frame has it."""
    return _completed(*fill_in_time(frames_THWC, mask_THW))


def registered_copy(frames_THWC: np.ndarray, mask_THW: np.ndarray) -> np.ndarray:
    """Sound pixels of the other frames, the nearest first, through one affine motion a pair (ECC, Evangelidis and
    Psarakis 2008); what stays open is filled linearly in time.
    """
    start = linear_in_time(frames_THWC, mask_THW)
    luma = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in start]
    usable = [t for t in range(len(mask_THW)) if 1 - mask_THW[t].mean() >= LEAST_SOUND]
    mended = start.copy()
    for t in np.flatnonzero(mask_THW.any((1, 2))):
        if t not in usable:
            continue
        open_HW = mask_THW[t].copy()
        for s in sorted((s for s in usable if s != t), key=lambda s: abs(s - t))[:6]:
            motion = _affine(luma[t], luma[s], mask_THW[t])
            if motion is None:
                continue
            taken, sound = (_moved(v, motion) for v in (frames_THWC[s], (~mask_THW[s]).astype(np.uint8) * 255))
            fresh = open_HW & (sound > 250)
            mended[t][fresh] = taken[fresh]
            open_HW &= ~fresh
            if not open_HW.any():
                break
    return mended


def _completed(mended_THWC: np.ndarray, found_THW: np.ndarray) -> np.ndarray:
    return np.stack([fill_in_space(frame, ~have) for frame, have in zip(mended_THWC, found_THW, strict=True)])


def _affine(fixed_HW: np.ndarray, moving_HW: np.ndarray, mask_HW: np.ndarray) -> np.ndarray | None:
    """(2, 3) from the fixed to the moving frame; None where the search does not settle."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_STEPS, ECC_PRECISION)
    start, sound = np.eye(2, 3, dtype=np.float32), (~mask_HW).astype(np.uint8)
    try:
        return cv2.findTransformECC(fixed_HW, moving_HW, start, cv2.MOTION_AFFINE, criteria, sound, BLUR)[1]
    except cv2.error:
        return None


def _moved(value: np.ndarray, motion_23: np.ndarray) -> np.ndarray:
    height, width = value.shape[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(value, motion_23, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT)


BASELINES = {
    "identity": identity,
    "nearest frame": nearest_frame,
    "telea": telea,
    "linear in time": linear_in_time,
    "affine + copy": registered_copy,
}
