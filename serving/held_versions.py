"""The versions of the generator that one replica has at hand.

A render in one that is not waits for it to be loaded, as no other version may answer for it; renders in those that are
wait for nothing. For one event loop: what it waits for is read in a thread.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from cluster.errors import ShopreelError

T = TypeVar("T")

HELD = 4
"""Versions at hand: what was deployed or served before, what is served, on trial, and in the shadow."""
RETRY_S = 10.0
"""A version that could not be loaded is tried again this much later, where renders still ask for it."""


class HeldVersions(Generic[T]):
    """Versions by reference; the one that was not asked for the longest makes room."""

    def __init__(self, reference: str, first: T, load: Callable[[str], T]) -> None:
        """`load` makes a version, in a thread; it raises a ShopreelError where it cannot."""
        self._held = OrderedDict({reference: first})  # the one asked for last is at the end
        self._load = load
        self._turn = asyncio.Lock()
        self._loading: dict[str, asyncio.Task[T]] = {}
        self._failed: dict[str, tuple[float, ShopreelError]] = {}

    async def get(self, reference: str) -> T:
        """The version, for a render; raises what `load` raised where that was a moment ago."""
        failed_at, failure = self._failed.get(reference, (-math.inf, None))
        if failure is not None and time.monotonic() < failed_at + RETRY_S:
            raise failure.with_traceback(None)
        return await self.load(reference)

    async def load(self, reference: str) -> T:
        """The version, once it is at hand; raises what `load` raises."""
        if reference in self._held:
            self._held.move_to_end(reference)
            return self._held[reference]
        if reference not in self._loading:
            task = self._loading[reference] = asyncio.ensure_future(self._bring(reference))
            task.add_done_callback(lambda _: self._loading.pop(reference))
        return await asyncio.shield(self._loading[reference])  # whoever gives up leaves it to the others

    async def _bring(self, reference: str) -> T:
        async with self._turn:  # two at a time would need memory for two
            try:
                found = await asyncio.to_thread(self._load, reference)
            except ShopreelError as error:
                self._failed[reference] = time.monotonic(), error
                raise
        self._failed.pop(reference, None)
        while len(self._held) >= HELD:
            self._held.popitem(last=False)
        self._held[reference] = found
        return found
