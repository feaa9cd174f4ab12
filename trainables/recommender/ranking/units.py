"""Milliseconds, and lengths in buckets."""

from __future__ import annotations

import numpy as np

HOUR_MS = 3_600_000
LENGTH_EDGES = (0.001, 7, 10, 13, 18, 24, 32, 42, 56, 75, 100, 130, 170, 220, 300)
"""Seconds; bucket 0 is an unknown length."""
LENGTHS = len(LENGTH_EDGES) + 1


def length_bucket(seconds: np.ndarray) -> np.ndarray:
    """0 for an unknown length, else 1…15."""
    return np.searchsorted(LENGTH_EDGES, seconds, side="right")


def log_gap(later_ms: np.ndarray, earlier_ms: np.ndarray, exists: np.ndarray) -> np.ndarray:
    """log(1 + seconds between); NaN where there is no earlier one."""
    return np.where(exists, np.log1p(np.maximum(later_ms - earlier_ms, 0) / 1000), np.nan)
