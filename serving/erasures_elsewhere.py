"""Erasures through other ingress replicas: what this one has in memory of the viewer's clips goes as well."""

from __future__ import annotations

import math
import time

from serving.clip_cache import ClipCache
from serving.event_store import EventStore
from serving.repeated import Repeated

LOOK_S = 10.0


class ErasuresElsewhere:
    """Empties the cache's memory after an erasure, and once more when the renders that were under way then have ended.
    Which clips were meant nobody can tell any more; the others are read from storage again.
    """

    def __init__(self, events: EventStore, cache: ClipCache, *, longest_render_s: float) -> None:
        self._events, self._cache, self._longest_render_s = events, cache, longest_render_s
        self._known = events.erasures()
        self._again_at = math.inf

    def start(self) -> None:
        """Look every `LOOK_S` seconds, in the background."""
        Repeated("erasures-elsewhere", self.look, LOOK_S).start()

    def look(self) -> None:
        """Empty the memory where there was an erasure since the last look; its clips have left storage by then."""
        if (erasures := self._events.erasures()) != self._known:
            self._cache.empty_memory()
            self._known, self._again_at = erasures, time.monotonic() + self._longest_render_s
        elif time.monotonic() >= self._again_at:
            self._cache.empty_memory()
            self._again_at = math.inf
