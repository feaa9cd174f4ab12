"""Token buckets: a steady rate with room for a burst, one bucket a client."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_CLIENTS = 10_000
"""Buckets kept; whose bucket is dropped starts again with a full one."""


class TokenBuckets:
    """Fill at a rate, up to a burst; a request takes one token. For one event loop: it does not lock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def take(self, client: str, rate: float, burst: float) -> float:
        """0 where the client may go on, else seconds to wait. `rate` in tokens a second; `burst` in tokens, ≥ 1."""
        now = self._clock()
        tokens, counted = self._buckets.pop(client, (burst, now))
        tokens = min(burst, tokens + (now - counted) * rate)
        self._buckets[client] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if tokens >= 1 else (1 - tokens) / rate
