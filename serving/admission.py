"""Whether a render may still join the queue: not where it would wait longer than whoever asks is ready to.

Renders under way times the usual time between two that come back is the time until all have (Little's law); less the
time one takes itself, it is the wait for a turn. Both times are means of the last sixteen renders that had to wait for
theirs, for only while some wait is every replica at work; so the wait follows the size of the clips, the number of
replicas and whatever else they render, and nobody has to know how many replicas there are. The longest time between two
is left out: a replica that died holds everything up once, which says nothing of the renders to come.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Iterator

from serving.problems import Problem
from serving.render_queue import Served

REMEMBERED = 16
"""Renders that came back and had waited."""
WAITED = 0.25
"""Share of the time a render takes from which on it counts as having waited."""


class Admission:
    """Counts the renders one ingress replica has asked for. Used by an event loop alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way = 0
        self._between_s: deque[float] = deque(maxlen=REMEMBERED)
        self._took_s: deque[float] = deque(maxlen=REMEMBERED)
        self._since = 0.0  # the last render came back, or the first one of a pause was asked for

    @property
    def expected_wait_s(self) -> float:
        """Until another render would have its turn; 0 while no render has had to wait."""
        if len(self._between_s) < 2:
            return 0.0
        usual_s = (sum(self._between_s) - max(self._between_s)) / (len(self._between_s) - 1)
        return max(0.0, self._under_way * usual_s - sum(self._took_s) / len(self._took_s))

    @contextlib.contextmanager
    def place(self, patience_s: float) -> Iterator[Callable[[Served], None]]:
        """A place in the queue for as long as the block lasts; a Problem 429 where the wait would be too long.

        The block calls what it is given with the render, as soon as it has come back.
        """
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
            yield self._came_back
        finally:
            self._under_way -= 1

    def _came_back(self, served: Served) -> None:
        now = self._clock()
        if served.waited_s > WAITED * served.took_s:
            self._between_s.append(now - self._since)
            self._took_s.append(served.took_s)
        self._since = now
