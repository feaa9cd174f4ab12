"""At most so many products of one category and of one creator in a slate.

Dims: C candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UNKNOWN = "unknown"


class Caps:
    """Counts what was taken. 0 is no cap; unknown categories and creators are not counted."""

    def __init__(
        self, categories: Sequence[str], creators: Sequence[str | None], most_of_category: int, most_of_creator: int
    ) -> None:
        self.open_C = np.ones(len(categories), bool)
        """Candidates that may still be taken."""
        self._caps = [
            (kind, _groups(names), list(names), most)
            for kind, names, most in (
                ("category", categories, most_of_category),
                ("creator", creators, most_of_creator),
            )
            if most
        ]
        self._taken = [np.zeros(group_C.max(initial=-1) + 2, np.int64) for _, group_C, _, _ in self._caps]

    def take(self, candidate: int) -> None:
        """Count this one, and close its groups where they are full."""
        for (_, group_C, _, most), taken in zip(self._caps, self._taken, strict=True):
            group = group_C[candidate]
            if group >= 0:
                taken[group] += 1
                if taken[group] >= most:
                    self.open_C[group_C == group] = False

    def reason(self, candidate: int) -> str:
        """Why a candidate is not open."""
        for (kind, group_C, names, most), taken in zip(self._caps, self._taken, strict=True):
            if group_C[candidate] >= 0 and taken[group_C[candidate]] >= most:
                return f"{most} of {kind} {names[candidate]} above"
        raise ValueError(f"candidate {candidate} is open: no cap holds it back")


def _groups(names: Sequence[str | None]) -> np.ndarray:
    """Number of each one's group, −1 for unknown."""
    number: dict[str, int] = {}
    return np.array(
        [-1 if not name or name == UNKNOWN else number.setdefault(name, len(number)) for name in names], np.int64
    )
