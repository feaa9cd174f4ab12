"""Counts and sums per key as they stood at any moment: strictly from the past, with decay or without.

Dims: E events, R rows asked about, V values summed.
"""

from __future__ import annotations

import numpy as np

REMEMBERED_HALF_LIVES = 12
"""A decayed counter forgets events between one and two times this old; they would weigh less than 1/4000."""


class AsOfCounter:
    """Sums over the events of a key that happened *before* a moment; events at that very moment do not count."""

    def __init__(self, key_E: np.ndarray, at_ms_E: np.ndarray, values_EV: np.ndarray | None = None) -> None:
        self._keys, code_E = np.unique(key_E, return_inverse=True)
        # Moments are counted, not measured: keys × milliseconds of a log with one event of the year 1 overflow.
        self._moments, moment_E = np.unique(at_ms_E, return_inverse=True)
        self._span = len(self._moments) + 1
        place_E = code_E * self._span + moment_E
        self.order = np.argsort(place_E, kind="stable")
        """Event indices sorted by key, then time."""
        self._place = place_E[self.order]
        self._first = np.searchsorted(self._place, np.arange(len(self._keys)) * self._span)
        values = np.ones((len(key_E), 1)) if values_EV is None else np.column_stack([np.ones(len(key_E)), values_EV])
        self._sums = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values[self.order], axis=0)])

    def span_before(self, key_R: np.ndarray, at_ms_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Half-open range into `order`, per row: the key's events before the moment; empty for an unknown key."""
        if not len(self._keys):
            nothing = np.zeros(len(key_R), np.int64)
            return nothing, nothing
        code_R = np.minimum(np.searchsorted(self._keys, key_R), len(self._keys) - 1)
        known_R = self._keys[code_R] == key_R
        moment_R = np.searchsorted(self._moments, at_ms_R, side="left")
        end_R = np.searchsorted(self._place, code_R * self._span + moment_R, side="left")
        return np.where(known_R, self._first[code_R], 0), np.where(known_R, end_R, 0)

    def before(self, key_R: np.ndarray, at_ms_R: np.ndarray) -> np.ndarray:
        """(R, 1 + V): count of the earlier events, then their sums of values."""
        first_R, end_R = self.span_before(key_R, at_ms_R)
        return self._sums[end_R] - self._sums[first_R]

    def latest(self, key_R: np.ndarray, at_ms_R: np.ndarray, back: int = 1) -> np.ndarray:
        """(R,): index of the `back`-th latest event before the moment, 1 the latest; −1 where there is none."""
        first_R, end_R = self.span_before(key_R, at_ms_R)
        if not len(self.order):
            return np.full(len(key_R), -1)
        return np.where(end_R - back >= first_R, self.order[np.maximum(end_R - back, 0)], -1)

    def count_between(self, key_R: np.ndarray, from_ms_R: np.ndarray, until_ms_R: np.ndarray) -> np.ndarray:
        """(R,): events of the key at or after one moment and before another."""
        return self.span_before(key_R, until_ms_R)[1] - self.span_before(key_R, from_ms_R)[1]


class DecayedCounter:
    """The same sums where an event of age a weighs 2^(−a / half-life).

    Time is cut into blocks; a moment sees its own block and the one before, with weights kept relative to the block's
    end, so that no weight ever under- or overflows however long the log is.
    """

    def __init__(self, key_E: np.ndarray, at_ms_E: np.ndarray, values_EV: np.ndarray, half_life_ms: float) -> None:
        self._half_life_ms = half_life_ms
        self._block_ms = REMEMBERED_HALF_LIVES * half_life_ms
        self._start = int(at_ms_E.min()) if len(at_ms_E) else 0
        self._keys, code_E = np.unique(key_E, return_inverse=True)
        block_E = self._block(at_ms_E)
        self._blocks = int(block_E.max()) + 2 if len(at_ms_E) else 2
        values = np.column_stack([np.ones(len(key_E)), values_EV])
        codes, times, weighted = [], [], []
        for later in (0, 1):
            age = (self._block_end(block_E + later) - at_ms_E) / half_life_ms
            codes.append(code_E * self._blocks + block_E + later)
            times.append(at_ms_E)
            weighted.append(values * np.exp2(-age)[:, None])
        self._counter = AsOfCounter(np.concatenate(codes), np.concatenate(times), np.concatenate(weighted))

    def before(self, key_R: np.ndarray, at_ms_R: np.ndarray) -> np.ndarray:
        """(R, 1 + V): decayed count of the earlier events, then their decayed sums of values."""
        block_R = self._block(at_ms_R)
        code_R = np.minimum(np.searchsorted(self._keys, key_R), max(len(self._keys) - 1, 0))
        seen_R = np.isin(key_R, self._keys) & (block_R >= 0) & (block_R < self._blocks)
        sums = self._counter.before(np.where(seen_R, code_R * self._blocks + block_R, -1), at_ms_R)[:, 1:]
        ahead_R = np.where(seen_R, (self._block_end(block_R) - at_ms_R) / self._half_life_ms, 0.0)
        return sums * np.exp2(ahead_R)[:, None]

    def _block(self, at_ms: np.ndarray) -> np.ndarray:
        return ((at_ms - self._start) // self._block_ms).astype(np.int64)

    def _block_end(self, block: np.ndarray) -> np.ndarray:
        return self._start + (block + 1) * self._block_ms


def joint_key(*parts: np.ndarray) -> np.ndarray:
    """One int64 key of up to three codes from −1 (unknown) to 2 million."""
    key = np.zeros(len(parts[0]), np.int64)
    for part in parts:
        key = key * 2_000_003 + np.asarray(part, np.int64) + 1
    return key
