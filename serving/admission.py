"""Whether a render may still join the queue: not where it would wait longer than whoever asks is ready to.

The expected wait is the renders under way times the usual time between two that come back (Little's law). That time is
the mean of the last sixteen, of stretches in which there was always something to do; so it follows the size of the
clips, the number of replicas and whatever else they render. Nobody has to know how many replicas there are. The longest
of the sixteen is left out: a replica that died holds everything up once, which says nothing of the renders to come.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator

from serving.problems import Problem

REMEMBERED = 16
"""Times between renders that came back."""


class Admission:
    """Counts the renders one ingress replica has asked for. Used by an event loop alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way = 0
        self._between_s: deque[float] = deque(maxlen=REMEMBERED)
        self._since = 0.0  # the last render came back, or the first one of a pause was asked for

    @property
    def expected_wait_s(self) -> float:
        """Until all that is under way has come back; 0 while nothing is known."""
        if len(self._between_s) < 2:
            return 0.0
        usual_s = (sum(self._between_s) - max(self._between_s)) / (len(self._between_s) - 1)
        return self._under_way * usual_s

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
        self._between_s.append(now - self._since)
        self._since = now
