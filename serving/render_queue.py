"""What waits for the generator inside a replica: the urgent first, batches of one shape, each clip handed back as soon
as it is made. What nobody waits for any more, or could no longer use, is never rendered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from cluster.errors import ShopreelError

logger = logging.getLogger("ray.serve")


class DeadlinePassedError(ShopreelError):
    """The caller's deadline passed before the work was begun; nothing was done."""


@dataclass(frozen=True)
class Served:
    """One outcome of the queue, and what it took."""

    outcome: Any
    waited_s: float
    """From its arrival until its batch began, seconds."""
    took_s: float
    """From the start of its batch until it was made, seconds."""
    batch: int
    """Items in its batch."""
    backend: str = "eager"
    """In which way the network was run."""


@dataclass(order=True)
class _Entry:
    priority: int
    number: int
    key: Hashable = field(compare=False)
    item: Any = field(compare=False)
    deadline: float | None = field(compare=False)
    arrived: float = field(compare=False)
    future: asyncio.Future = field(compare=False)


class RenderQueue:
    """One worker thread behind an event loop. Batches take what waits; they never wait to fill."""

    def __init__(self, render: Callable[[list[Any]], Iterator[Any]], *, max_batch: int) -> None:
        """`render` runs in the worker's thread: one outcome an item, in order, as each is made; an outcome that is an
        exception fails its own item.
        """
        self._render = render
        self._max_batch = max_batch
        self._waiting: list[_Entry] = []
        self._count = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="render")
        self._worker: asyncio.Task | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, item: Any, *, key: Hashable, deadline: float | None = None, priority: int = 0) -> Served:
        """Outcome of `item`, batched only with items of an equal `key`. Lower `priority` goes first.

        `deadline` is in seconds since 1970; DeadlinePassedError where it passes before the item's turn. A caller that
        is cancelled takes its item out of the queue.
        """
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        entry = _Entry(priority, self._count, key, item, deadline, time.perf_counter(), future)
        self._waiting.append(entry)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.ensure_future(self._work())
        try:
            served = await future
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        if isinstance(served.outcome, Exception):
            raise served.outcome
        return served

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next_batch():
            try:
                await loop.run_in_executor(self._thread, self._run, batch, loop)
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait for the batch
                logger.exception("a batch of %d renders failed", len(batch))
                for entry in batch:
                    _settle(entry, Served(error, 0.0, 0.0, len(batch)))

    def _next_batch(self) -> list[_Entry]:
        """The most urgent entry and those of its key behind it; entries whose deadline has passed are told so."""
        now = time.time()
        for entry in [entry for entry in self._waiting if entry.deadline is not None and entry.deadline <= now]:
            self._waiting.remove(entry)
            _settle(entry, Served(DeadlinePassedError("the deadline passed before the render began"), 0.0, 0.0, 0))
        waiting = sorted(entry for entry in self._waiting if not entry.future.done())
        batch = [entry for entry in waiting if entry.key == waiting[0].key][: self._max_batch]
        for entry in batch:
            self._waiting.remove(entry)
        return batch

    def _run(self, batch: list[_Entry], loop: asyncio.AbstractEventLoop) -> None:
        started = time.perf_counter()
        outcomes = self._render([entry.item for entry in batch])
        for entry, outcome in zip(batch, outcomes, strict=True):
            served = Served(outcome, started - entry.arrived, time.perf_counter() - started, len(batch))
            loop.call_soon_threadsafe(_settle, entry, served)


def _settle(entry: _Entry, served: Served) -> None:
    if not entry.future.done():
        entry.future.set_result(served)
