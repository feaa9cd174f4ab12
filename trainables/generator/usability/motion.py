"""What the gate reads off the change between frames: flicker, jumps and freezes, against the source. Pure functions.

Changes are taken over the colour channels, not luma: what moves may stand out from its ground by colour alone.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import numpy as np

from trainables.generator.usability.pixels import agreement

STILL = 1.5
"""Grey levels: a block of the source that changes by no more stands still."""
MOVING = 1.0
"""Grey levels: a step of the source that changes by more on average moves."""
BLOCK = 4
"""Pixels: changes are averaged over blocks, so that coding noise does not count as motion."""
COARSE = 8
"""Pixels of a block whose mean light is followed where there is no source."""
MOST_JERK = 3.0
FROZEN = 0.1
"""A step that changes by less than this share of the source's stands still."""


def changes(frames_THW3: np.ndarray) -> np.ndarray:
    """(T − 1, H // 4, W // 4) mean |change| of the channels between frames, grey levels, in blocks of 4 × 4 pixels."""
    moved_THW3 = np.abs(np.diff(frames_THW3.astype(np.float32), axis=0))
    moved = (moved_THW3[..., 0] + moved_THW3[..., 1] + moved_THW3[..., 2]) / 3  # numpy's mean over three is slow
    height, width = moved.shape[1] // BLOCK * BLOCK, moved.shape[2] // BLOCK * BLOCK
    return moved[:, :height, :width].reshape(len(moved), height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean((2, 4))


def flicker_at_rest(change_THW: np.ndarray, source_THW: np.ndarray) -> float:
    """Mean change where the source stands still, grey levels; 0 where hardly anything does."""
    still = source_THW <= STILL
    return float(change_THW[still].mean()) if still.mean() > 0.02 else 0.0


def jerk(frames_THW3: np.ndarray) -> float:
    """Mean |second difference in time| over mean |difference across two frames|: small for smooth motion, large where
    frames come and go. At most 3: a source that itself comes back every second frame says no more than that.
    """
    if len(frames_THW3) < 3:
        return 0.0
    frames = frames_THW3[:, ::2, ::2].astype(np.float32)
    bend = np.abs(frames[2:] - 2 * frames[1:-1] + frames[:-2]).mean()
    return float(min(bend / max(np.abs(frames[2:] - frames[:-2]).mean(), 0.5), MOST_JERK))


def restlessness(luma_THW: np.ndarray) -> float:
    """Median over coarse blocks (8 × 8 pixels) and time of |second difference| of their mean luma, grey levels: near 0
    where things rest or move smoothly, whatever the source; large where light or grain changes from frame to frame.
    """
    if len(luma_THW) < 3:
        return 0.0
    height, width = luma_THW.shape[1] // COARSE * COARSE, luma_THW.shape[2] // COARSE * COARSE
    blocks = luma_THW[:, :height, :width].reshape(len(luma_THW), height // COARSE, COARSE, width // COARSE, COARSE)
    mean_THW = blocks.mean((2, 4))
    return float(np.median(np.abs(mean_THW[2:] - 2 * mean_THW[1:-1] + mean_THW[:-2])))


def jump(change_THW: np.ndarray, source_THW: np.ndarray) -> float:
    """The largest step of the clip over what the source's step and the clip's usual gain make expected."""
    own, source = change_THW.mean((1, 2)), source_THW.mean((1, 2))
    gain = max(np.median(own) / max(np.median(source), 0.5), 1.0)
    return float((own / np.maximum(gain * np.maximum(source, np.median(source)), 1.0)).max())


def frozen(change_THW: np.ndarray, source_THW: np.ndarray) -> float:
    """Share of the steps in which the source moves and the clip does not; 0 for a source that stands still."""
    own, source = change_THW.mean((1, 2)), source_THW.mean((1, 2))
    moving = source > MOVING
    return float((own[moving] < FROZEN * source[moving]).mean()) if moving.any() else 0.0


def moves_alike(change_THW: np.ndarray, source_THW: np.ndarray) -> float:
    """Correlation of where the clip changes with where the source does, over the steps in which the source moves; 1
    for a source that stands still.
    """
    moving = source_THW.mean((1, 2)) > MOVING
    return float(agreement(change_THW[moving], source_THW[moving]).mean()) if moving.any() else 1.0
