"""Renders and where they are kept: found in the cache, joined where one is under way, or asked of the generator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass

from cluster.errors import StorageReadError
from serving import clip_cache, deadlines
from serving.clip_cache import ClipCache
from serving.contracts import GeneratorClient, Refusal, RenderRequest, StreamEnd
from serving.flights import Flights
from serving.metrics import Metrics
from serving.problems import Problem
from trainables.generator.provenance import read_provenance

logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Rendered:
    """A clip ready to send."""

    clip_id: str
    data: bytes
    cached: bool
    refused: tuple[str, ...] = ()
    """Why the render may not be shown; `data` is then the original."""


@dataclass(frozen=True)
class Streamed:
    """A clip that is being sent while it is rendered."""

    clip_id: str
    refused: tuple[str, ...]
    """Why the original is shown from the first frame on; empty where it is not."""
    pieces: AsyncIterator[bytes]
    """Fragmented MP4. Close it where it is not read to its end: the rendering stops."""


class Renders:
    """Renders by the id of their clip; identical ones in flight are done once."""

    def __init__(self, cache: ClipCache, generator: GeneratorClient, metrics: Metrics) -> None:
        self._cache = cache
        self._generator = generator
        self._metrics = metrics
        self._flights = Flights()

    async def kept(self, key: str) -> bytes | None:
        """What the cache has under this id; StorageReadError where storage cannot be read."""
        data, tier = self._cache.peek(key), "memory"
        if data is None:
            data, tier = await asyncio.to_thread(self._cache.get, key), "storage"
        if data is not None:
            self._metrics.cache_hits.labels(tier).inc()
        return data

    async def find(self, key: str) -> Rendered | None:
        """The render where it is kept; where it was refused before, the original with the reasons.

        None also where storage cannot be read: the clip is rendered again.
        """
        with self._rather_made(key):
            if (data := await self.kept(key)) is not None:
                return Rendered(key, data, cached=True)
            refused_key = clip_cache.refusal_id(key)
            if (data := await self.kept(refused_key)) is not None:
                said = await asyncio.to_thread(read_provenance, data)
                return Rendered(refused_key, data, cached=True, refused=said.refused if said else ())
        self._metrics.cache_misses.inc()
        return None

    async def quiet(self) -> None:
        """Returns when no render is under way."""
        await self._flights.quiet()

    async def landed(self, clips: Collection[str]) -> None:
        """Returns when none of these clips is being rendered: those that were are kept now."""
        await self._flights.quiet(lambda flight: flight.rpartition(" ")[2] in clips)

    async def made(self, key: str, request: Callable[[], Awaitable[RenderRequest]], *, priority: int = 0) -> Rendered:
        """The render; where it is refused, the original with the reasons. `request` is asked for only where needed.

        A render that is under way is shared with requests of its `priority` and with those in less of a hurry.
        """
        if (found := await self.find(key)) is not None:
            return found

        began = False

        async def render_and_keep() -> Rendered:
            nonlocal began
            began = True
            if (data := self._cache.peek(key)) is not None:  # another flight landed while this one looked in storage
                return Rendered(key, data, cached=True)
            return await self._keep(key, await self._generator.render(await request()))

        while True:
            try:
                return await self._flights.run(self._flight(key, priority), render_and_keep)
            except Problem as problem:
                # The deadline of whoever began this flight is not that of those who joined it. One that this call began
                # is not begun again: a generator whose clock is ahead would be asked without end.
                if began or problem.status_code != 504 or deadlines.has_passed():
                    raise

    def _flight(self, key: str, priority: int) -> str:
        """The most urgent flight of a clip, where there is one that is urgent enough; else its own."""
        urgent = (f"{rank} {key}" for rank in range(priority))
        return next((flight for flight in urgent if flight in self._flights), f"{priority} {key}")

    async def streamed(self, key: str, request: RenderRequest) -> Rendered | Streamed:
        """The render where it is kept, or its beginning; what was sent is kept as any other render."""
        if (found := await self.find(key)) is not None:
            return found
        messages = self._generator.stream(request)
        try:
            start = await anext(messages)
        except BaseException:
            await messages.aclose()
            raise

        async def pieces() -> AsyncIterator[bytes]:
            async with contextlib.aclosing(messages):
                async for message in messages:
                    if isinstance(message, StreamEnd):
                        await self._keep(key, message.outcome)
                    else:
                        yield message

        return Streamed(key, start.refused, pieces())

    async def encoded(self, key: str, encode: Callable[[], bytes]) -> Rendered:
        """What `encode` makes in a thread, kept under this id."""
        with self._rather_made(key):
            if (data := await self.kept(key)) is not None:
                return Rendered(key, data, cached=True)
        self._metrics.cache_misses.inc()

        async def encode_and_keep() -> bytes:
            made = await asyncio.to_thread(encode)
            await asyncio.to_thread(self._cache.put, key, made)
            return made

        return Rendered(key, await self._flights.run(key, encode_and_keep), cached=False)

    @contextlib.contextmanager
    def _rather_made(self, key: str) -> Iterator[None]:
        """A clip that cannot be looked for is one that is not kept."""
        try:
            yield
        except StorageReadError as error:
            logger.error("clip %s is made anew: %s", key, error)

    async def _keep(self, key: str, outcome: bytes | Refusal) -> Rendered:
        if isinstance(outcome, Refusal):
            rendered = Rendered(clip_cache.refusal_id(key), outcome.original, cached=False, refused=outcome.reasons)
        else:
            rendered = Rendered(key, outcome, cached=False)
        await asyncio.to_thread(self._cache.put, rendered.clip_id, rendered.data)
        return rendered
