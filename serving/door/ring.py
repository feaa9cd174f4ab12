"""The keys as an ingress replica holds them: read again every second, so that a revoked key is out within two."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from serving.database import DatabaseError, now_ms
from serving.door.keys import ApiKey, KeyStore, find
from serving.problems import Problem

REFRESH_S = 1.0
PATIENCE_S = 0.5
"""How long a request waits for newer keys while the last ones known are good enough."""
STALE_S = 30.0
"""How long the last keys known are good enough while the database does not answer."""


class KeyRing:
    """Finds keys by their text without asking the database for each request."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._keys: dict[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task | None = None

    async def find(self, text: str) -> ApiKey | None:
        """The valid key with this text, or None. A Problem 503 where the keys cannot be read.

        A database that takes long is waited for once it has to be; until then the last keys known are good enough.
        """
        if (age_s := self._clock() - self._read_at) > REFRESH_S:
            if self._reading is None:
                self._reading = asyncio.ensure_future(self._read())
            read, _ = await asyncio.wait([self._reading], timeout=PATIENCE_S if age_s < STALE_S else None)
            for reading in read:
                reading.result()
        return find(text, self._keys, now_ms())

    async def _read(self) -> None:
        started = self._clock()
        try:
            self._keys = {key.key_id: key for key in await asyncio.to_thread(self._store.all)}
            self._read_at = started
        except DatabaseError as error:
            if started - self._read_at > STALE_S:
                raise Problem(
                    503, "keys cannot be checked at the moment; try again", headers={"retry-after": "2"}
                ) from error
        finally:
            self._reading = None
