"""Whether a render may still join the queue: not where it would wait longer than whoever asks is ready to.

The expected wait is the renders under way times the usual time between two that come back (Little's law). That time is
an average over the last dozen or so, of stretches in which there was always something to do; so it follows the size of
the clips, the number of replicas and whatever else they render. Nobody has to know how many replicas there are.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

from serving.problems import Problem

WEIGHT = 0.1
"""Of the newest render in the average."""


class Admission:
    """Counts the renders one ingress replica has asked for. Used by an event loop alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way = 0
        self._between_s: float | None = None
        self._since = 0.0  # the last render came back, or the first one of a pause was asked for

    @property
    def expected_wait_s(self) -> float:
        """Until all that is under way has come back; 0 while nothing is known."""
        return self._under_way * (self._between_s or 0.0)

    @contextlib.contextmanager
    def place(self, patience_s: float) -> Iterator[None]:
        """A place in the queue for as long as the block lasts; a Problem 429 where the wait would be too long."""
        if (wait_s := self.expected_wait_s) > patience_s:
            raise Problem(
                429,
                f"the generator is busy: a render would wait {wait_s:.1f} s; try again",
                headers={"retry-after": str(math.ceil(wait_s))},
            )
        if self._under_way == 0:
            self._since = self._clock()
        self._under_way += 1
        try:
            yield
            self._came_back()
        finally:
            self._under_way -= 1

    def _came_back(self) -> None:
        now = self._clock()
        took_s = now - self._since
        self._since = now
        self._between_s = took_s if self._between_s is None else self._between_s + WEIGHT * (took_s - self._between_s)
