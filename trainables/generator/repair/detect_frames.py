"""Frames that are missing, frozen or corrupted, told by luma against the frames around them.

Dims: T frames, H height, W width; luma float32, 0…255.
"""

from __future__ import annotations

import numpy as np

FLAT = 2.0
"""Deviation of luma, grey levels, below which a frame shows nothing."""
LIVELY = 8.0
"""Deviation of a usual frame of a clip in which a flat one stands out."""
STILL_SHARE = 0.08
"""A frozen step changes by less than this share of the steps around it."""
MOVED_ON = 0.7
"""From before a freeze to after it the clip changes by at least this share of a usual step; at a turning point, where
two frames are alike as well, it comes back."""
LEAST_MOTION = 0.4
"""Grey levels a step in a clip that moves."""
OUTLIER = 1.5
"""A corrupted frame is so many times farther from its neighbours than they are from each other, and from the frames
beyond."""
LEAST_OUTLIER = 4.0
"""Grey levels that a corrupted frame is away from its neighbours' mean, at least."""


def missing_frames(luma_THW: np.ndarray) -> np.ndarray:
    """bool (T,): frames of one colour in a clip that shows something."""
    deviation = luma_THW.std((1, 2))
    return (deviation < FLAT) & bool(deviation.max() >= LIVELY)


def frozen_frames(luma_THW: np.ndarray, lost_T: np.ndarray) -> np.ndarray:
    """bool (T,): frames that repeat the one before while the clip moves on, told from a turning point by where
    the clip goes on.
    """
    frozen = np.zeros(len(luma_THW), bool)
    sound = np.flatnonzero(~lost_T)
    if len(sound) < 5:
        return frozen
    step = np.abs(np.diff(luma_THW[sound], axis=0)).mean((1, 2))
    t = 0
    while t < len(step):
        last = t
        while last < len(step) and step[last] < LEAST_MOTION:
            last += 1
        around = np.concatenate([step[max(t - 2, 0) : t], step[last + 1 : last + 3]])
        if last > t and last < len(step) and len(around):
            usual = float(np.mean(around))
            still = step[t:last].max() < STILL_SHARE * usual and usual > LEAST_MOTION
            moved = np.abs(luma_THW[sound[last + 1]] - luma_THW[sound[max(t - 1, 0)]]).mean()
            if still and moved > MOVED_ON * usual:
                frozen[sound[t + 1 : last + 1]] = True
        t = last + 1
    return frozen


def corrupted_frames(luma_THW: np.ndarray, lost_T: np.ndarray) -> np.ndarray:
    """bool (T,): frames far from the mean of their neighbours, where these are near each other and near the frames
    beyond. At a turning point the neighbours are alike as well, but the clip comes and goes as fast.
    """
    corrupted = np.zeros(len(luma_THW), bool)
    sound = np.flatnonzero(~lost_T)
    step = np.abs(np.diff(luma_THW[sound], axis=0)).mean((1, 2))
    for place, (before, t, after) in enumerate(zip(sound, sound[1:], sound[2:], strict=False)):
        if corrupted[before]:
            continue
        away = np.abs(luma_THW[t] - (luma_THW[before] + luma_THW[after]) / 2).mean()
        apart = np.abs(luma_THW[after] - luma_THW[before]).mean()
        # Steps to and from a corrupted frame are large; the smaller one is a step between sound frames.
        coming = step[place - 1 : place] if place and not corrupted[sound[place - 1]] else step[:0]
        usual = min([*coming, *step[place + 2 : place + 3]], default=0.0)
        corrupted[t] = away > max(LEAST_OUTLIER, OUTLIER * max(apart, usual))
    return corrupted
