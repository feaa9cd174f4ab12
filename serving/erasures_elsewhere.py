"""Erasures through other ingress replicas: what this one has in memory of the viewer's clips goes as well."""

from __future__ import annotations

from serving.clip_cache import ClipCache
from serving.event_store import EventStore
from serving.repeated import Repeated

LOOK_S = 10.0


class ErasuresElsewhere:
    """Empties the cache's memory after an erasure. Which clips were meant nobody can tell any more; the others are read
    from storage again.
    """

    def __init__(self, events: EventStore, cache: ClipCache) -> None:
        self._events, self._cache = events, cache
        self._known = events.erasures()

    def start(self) -> None:
        """Look every `LOOK_S` seconds, in the background."""
        Repeated("erasures-elsewhere", self.look, LOOK_S).start()

    def look(self) -> None:
        """Empty the memory where there was an erasure since the last look; its clips have left storage by then."""
        if (erasures := self._events.erasures()) != self._known:
            self._cache.empty_memory()
            self._known = erasures
