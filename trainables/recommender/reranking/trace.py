"""Who passed whom while a slate was filled, and why: the reasons of a re-ranked slate.

Dims: C candidates, the highest score first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np


class Trace:
    """The first cause for which each candidate was passed by a lower-scored one."""

    def __init__(self, product_ids: Sequence[str], blocked: Mapping[str, str]) -> None:
        self._ids, self._blocked = product_ids, blocked
        self._passed: dict[int, str] = {}

    def pass_by(self, chosen: int, waiting_C: np.ndarray, cause: Callable[[int], str]) -> None:
        """`chosen` was taken; those who wait with a higher score are asked for the cause, once each."""
        for i in np.flatnonzero(waiting_C[:chosen]).tolist():
            if i not in self._passed:
                self._passed[i] = cause(i)

    def moved(self, candidate: int, place: int) -> str | None:
        """Why a candidate does not stand at its place by score; None where it does."""
        rank = candidate + 1
        if place > rank:
            return f"down {place - rank}: {self._passed.get(candidate, 'below a pinned product')}"
        if place == rank:
            return None
        for other in range(candidate):
            cause = self._blocked.get(self._ids[other]) or self._passed.get(other)
            if cause:
                return f"up {rank - place}: past {self._ids[other]} ({cause})"
        return f"up {rank - place}"
