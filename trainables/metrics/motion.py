"""How a clip moves, and how a restyled one moves against its source. Pure functions on uint8 clips (T, H, W, 3).

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import numpy as np

from cluster.errors import InputError
from trainables.metrics.image import luma


def temporal_error(restyled_THWC: np.ndarray, source_THWC: np.ndarray) -> float:
    """mean |(y_{t+1} − y_t) − (x_{t+1} − x_t)| over mean |x_{t+1} − x_t|: 0 moves exactly like the source, 1 as far
    off as standing still would be. A source that stands still counts as moving by a tenth of a grey level.
    """
    moved, source = _changes(restyled_THWC, source_THWC)
    return float(np.abs(moved - source).mean() / max(np.abs(source).mean(), 0.1))


def static_flicker(restyled_THWC: np.ndarray, source_THWC: np.ndarray, still: float = 1.0) -> float:
    """Mean change of luma between frames, in grey levels, where the source's luma changes by at most `still` grey
    levels. 0 where nothing stands still.
    """
    _changes(restyled_THWC, source_THWC)
    moved, source = np.abs(np.diff(luma(restyled_THWC), axis=0)), np.abs(np.diff(luma(source_THWC), axis=0))
    at_rest = source <= still
    return float(moved[at_rest].mean()) if at_rest.any() else 0.0


def motion_magnitude(clip_THWC: np.ndarray) -> float:
    """Mean |x_{t+1} − x_t| in grey levels; 0 for a clip that stands still."""
    return float(np.abs(_changes(clip_THWC, clip_THWC)[0]).mean())


def flicker_ratio(made_THWC: np.ndarray, clean_THWC: np.ndarray) -> float:
    """Mean |y_{t+1} − y_t| over mean |x_{t+1} − x_t|: 1 moves as much as the clean clip, more flickers, less is
    frozen. A clean clip that stands still counts as moving by a tenth of a grey level.
    """
    made, clean = _changes(made_THWC, clean_THWC)
    return float(np.abs(made).mean() / max(np.abs(clean).mean(), 0.1))


def _changes(restyled_THWC: np.ndarray, source_THWC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if restyled_THWC.shape != source_THWC.shape or restyled_THWC.ndim != 4 or len(source_THWC) < 2:
        raise InputError(
            f"clips to compare must share one shape (T ≥ 2, H, W, 3), not {restyled_THWC.shape} and {source_THWC.shape}"
        )
    return np.diff(restyled_THWC.astype(np.float64), axis=0), np.diff(source_THWC.astype(np.float64), axis=0)
