"""Identical work in flight is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class _Flight:
    task: asyncio.Task
    waiting: int = 0


@dataclass
class Flights:
    """Work by key; it is cancelled when the last one who waits for it is gone."""

    _flights: dict[str, _Flight] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    async def run(self, key: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Result of `work()`, shared with every concurrent call of the same key."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(work()))
            flight.task.add_done_callback(lambda _: self._land(key, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                self._land(key, flight)
                flight.task.cancel()

    async def quiet(self, meant: Callable[[str], bool] = lambda _: True) -> None:
        """Returns when nothing is in flight, or nothing under a key that is `meant`."""
        while tasks := [flight.task for key, flight in self._flights.items() if meant(key)]:
            await asyncio.wait(tasks)

    def _land(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
