"""Who passed whom while a slate was filled, and why: the reasons of a re-ranked slate.

Dims: C candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np


class Trace:
    """Places by score alone, and the first cause for which each candidate was passed by a lower-scored one."""

    def __init__(self, product_ids: Sequence[str], scores_C: np.ndarray, blocked: Mapping[str, str]) -> None:
        self._ids, self._blocked = product_ids, blocked
        self._by_score = np.argsort(-scores_C, kind="stable")
        self.rank_C = np.empty(len(scores_C), np.int64)
        """1 for the highest score; equal scores in order of the candidates."""
        self.rank_C[self._by_score] = np.arange(1, len(scores_C) + 1)
        self._passed: dict[int, str] = {}

    def largest(self, value_C: np.ndarray) -> int:
        """The candidate of the largest value; of several, the one with the highest score."""
        return int(self._by_score[value_C[self._by_score].argmax()])

    def pass_by(self, chosen: int, waiting_C: np.ndarray, cause: Callable[[int], str]) -> None:
        """`chosen` was taken; those who wait with a higher score are asked for the cause, once each."""
        above = self._by_score[: self.rank_C[chosen] - 1]
        for i in above[waiting_C[above]].tolist():
            if i not in self._passed:
                self._passed[i] = cause(i)

    def moved(self, candidate: int, place: int) -> str | None:
        """Why a candidate does not stand at its place by score; None where it does."""
        rank = int(self.rank_C[candidate])
        if place > rank:
            return f"down {place - rank}: {self._passed.get(candidate, 'below a pinned product')}"
        if place == rank:
            return None
        for other in self._by_score[: rank - 1].tolist():
            cause = self._blocked.get(self._ids[other]) or self._passed.get(other)
            if cause:
                return f"up {rank - place}: past {self._ids[other]} ({cause})"
        return f"up {rank - place}"
