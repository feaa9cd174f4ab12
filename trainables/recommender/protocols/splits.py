"""Splits of MovieLens-like logs by the protocols of the literature; each gives a validation and a test question.

- A: each viewer's rows 80/10/10 at random; tested after a refit on train + validation.
- M: each viewer's rows 75/25 at random (Microsoft recommenders); a tenth of the 75 % validates.
- loo: each viewer's last row tests, the one before it validates. Equal times stand in random order, drawn by the seed.
- time: the log's rows 80/10/10 by time; asked are viewers with rows before and something new after.

Dims: V viewers, n products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from trainables.recommender.protocols.log import Log


@dataclass(frozen=True)
class Question:
    """Fit on `fit`, rank all products it does not hold for a viewer, be judged on `relevant_Vn`."""

    fit: Log
    relevant_Vn: sparse.csr_array

    @property
    def asked(self) -> np.ndarray:
        """Rows of the viewers with something to be found."""
        return np.flatnonzero(np.diff(self.relevant_Vn.indptr))


@dataclass(frozen=True)
class Split:
    """Settings are chosen on `validation`; `test` is asked once."""

    validation: Question
    test: Question


def protocol_a(log: Log, seed: int) -> Split:
    place, length = _shuffled(log, seed)
    tenth = np.round(length / 10)
    validation, test = place < tenth, (place >= tenth) & (place < 2 * tenth)
    return Split(_question(log, ~validation & ~test, validation), _question(log, ~test, test))


def protocol_m(log: Log, seed: int) -> Split:
    place, length = _shuffled(log, seed)
    quarter = np.round(length / 4)
    test = place < quarter
    validation = ~test & (place < quarter + np.round(length * 0.075))
    return Split(_question(log, ~validation & ~test, validation), _question(log, ~test, test))


def leave_one_out(log: Log, seed: int) -> Split:
    """The seed has drawn the order of ties already, when the log was read."""
    behind = log.from_last
    return Split(_question(log, behind > 1, behind == 1), _question(log, behind > 0, behind == 0))


def global_time(log: Log, seed: int) -> Split:
    order = np.argsort(log.at_N, kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order)) / max(len(order), 1)
    validation, test = (rank >= 0.8) & (rank < 0.9), rank >= 0.9
    return Split(_question(log, rank < 0.8, validation), _question(log, ~test, test))


SPLITS: dict[str, Callable[[Log, int], Split]] = {
    "A": protocol_a,
    "M": protocol_m,
    "loo": leave_one_out,
    "time": global_time,
}


def _shuffled(log: Log, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Place of each row in its viewer's random order, and the viewer's number of rows."""
    drawn = np.random.default_rng(seed).random(len(log.viewer_N))
    order = np.lexsort((drawn, log.viewer_N))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.searchsorted(log.viewer_N, log.viewer_N)  # rows are sorted by viewer
    return place, log.length


def _question(log: Log, fit: np.ndarray, wanted: np.ndarray) -> Question:
    known = np.bincount(log.viewer_N[fit], minlength=log.viewers) > 0
    return Question(log.where(fit), log.where(wanted & known[log.viewer_N]).matrix())
