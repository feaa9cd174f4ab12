"""The client: every route of the API as a typed method."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from serving.client.errors import ClientError, UnreachableError
from serving.client.types import Clip, ClipStream, Status
from serving.client.wire import RetryConfig, Wire
from serving.messages import (
    ClipNews,
    ClipRequest,
    ErasureReceipt,
    EventIn,
    EventsStored,
    Feed,
    Hosts,
    JobOut,
    Similar,
    Slate,
)

Style = str | Mapping[str, float] | Sequence[float]
"""A preset's name, weights of presets, or a style code (36 numbers)."""


class ShopClient:
    """A running shopreel, over HTTP. Safe to share between threads; close it, or use it as a context manager.

    Every method raises a ClientError: UnreachableError, or the ProblemError that stands for the server's answer.
    Calls that change nothing by being repeated (all but starting a job) are tried again after 429, 503, a 5xx
    of what stands in front of the server, and broken connections.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout_s: float = 60.0,
        retry: RetryConfig | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`key`: an API key, where the server asks for one. `timeout_s`: the longest a call may take, its retries
        included, seconds; the server is told, and does no work for a call that is over. `sleep` waits between tries.
        """
        if not (math.isfinite(timeout_s) and timeout_s > 0):
            raise ValueError(f"timeout_s is {timeout_s}; give seconds above 0, such as 60")
        self._sleep = sleep
        self._wire = Wire(base_url, key, timeout_s, retry or RetryConfig(), sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._wire.close()

    def feed(self, viewer: str, k: int = 8, *, wait_s: float | None = None, consent: bool | None = None) -> Feed:
        """Products for a viewer, each with a clip. `wait_s`: how long to wait for clips that are not rendered yet; 0
        answers at once, and `follow` tells of those that are pending.
        """
        body = {"viewer": viewer, "k": k, "wait": wait_s, "consent": consent}
        return Feed.model_validate_json(self._wire.send("POST", "/v1/feed", json=body).content)

    def follow(self, feed: Feed) -> Iterator[ClipNews]:
        """What becomes of each pending clip of a feed, in the order in which it is known; each slot once, whatever
        connections break meanwhile.
        """
        known: set[int] = set()
        tried = 0
        while feed.events_url is not None:
            tried += 1
            try:
                for name, data in self._wire.events(feed.events_url):
                    if name == "done":
                        return
                    news = ClipNews.model_validate_json(data)
                    if news.position not in known:
                        known.add(news.position)
                        tried = 0
                        yield news
                broken = UnreachableError("the events of the feed ended before their end")
            except UnreachableError as error:
                broken = error
            if not self._wire.again(max(1, tried), None, math.inf):
                raise broken

    def recommend(self, viewer: str, k: int = 8, *, consent: bool | None = None) -> Slate:
        """The slate without clips."""
        body = {"viewer": viewer, "k": k, "consent": consent}
        return Slate.model_validate_json(self._wire.send("POST", "/v1/recommend", json=body).content)

    def hosts(
        self, viewer: str, k: int = 8, *, live: Sequence[str] | None = None, consent: bool | None = None
    ) -> Hosts:
        """Creators for a viewer, among the `live` ones where they are named."""
        body = {"viewer": viewer, "k": k, "consent": consent, "live": None if live is None else list(live)}
        return Hosts.model_validate_json(self._wire.send("POST", "/v1/hosts", json=body).content)

    def similar(self, product_id: str, k: int = 8) -> Similar:
        """Products most like one product."""
        path = f"/v1/products/{quote(product_id, safe='')}/similar"
        return Similar.model_validate_json(self._wire.send("GET", path, params={"k": k}).content)

    def record(self, *events: EventIn) -> EventsStored:
        """Store what viewers did: on the server's disk when this returns, all of them or none (at most 100).

        Events without an id or a time get them here, so that one sent twice is stored once, as of when it happened.
        """
        now = datetime.now(UTC)
        named = [
            event.model_copy(update={"event_id": event.event_id or uuid.uuid4().hex, "at": event.at or now})
            for event in events
        ]
        body = [event.model_dump(mode="json", exclude_none=True) for event in named]
        return EventsStored.model_validate_json(self._wire.send("POST", "/v1/events", json=body).content)

    def clip(self, product_id: str, style: Style, strength: float = 1.0, *, poster: bool = False) -> Clip:
        """A product's clip in a style, whole; its first frame (WebP) as a `poster`."""
        headers = {"accept": "image/webp" if poster else "video/mp4"}
        body = _clip(product_id, style, strength)
        return Clip.of(self._wire.send("POST", "/v1/clips", json=body, headers=headers))

    @contextmanager
    def clip_stream(self, product_id: str, style: Style, strength: float = 1.0) -> Iterator[ClipStream]:
        """A product's clip while it is being rendered. Leaving the block before its end stops the rendering."""
        with self._wire.opened("POST", "/v1/clips/stream", json=_clip(product_id, style, strength)) as response:
            yield ClipStream(response)

    def restyle(self, clip: bytes, style: str | Mapping[str, float], strength: float = 1.0) -> Clip:
        """A clip of your own in a style; `clip` is a video file's content, any common container."""
        named = style if isinstance(style, str) else json.dumps(dict(style))
        fields = {"style": named, "strength": str(strength)}
        return Clip.of(self._wire.send("POST", "/v1/clips", files={"file": clip}, data=fields))

    def download(self, url: str) -> bytes:
        """What an `url` of an answer holds (a feed's clip, a product's clip or poster, a job's result)."""
        if not url.startswith("/"):
            raise ValueError(f"url is {url[:80]!r}; give one as the server's answers have them: /v1/clips/…")
        return self._wire.send("GET", url).content

    def erase(self, viewer: str) -> ErasureReceipt:
        """Forget a viewer; the receipt says what is gone, without naming them. Needs the scope admin."""
        answer = self._wire.send("DELETE", f"/v1/viewers/{quote(viewer, safe='')}")
        return ErasureReceipt.model_validate_json(answer.content)

    def start_job(self, clips: Sequence[ClipRequest]) -> JobOut:
        """Render many clips in the background. Never tried again: twice would be two jobs."""
        body = {"clips": [clip.model_dump(mode="json") for clip in clips]}
        return JobOut.model_validate_json(self._wire.send("POST", "/v1/jobs", repeat=False, json=body).content)

    def job(self, job_id: str) -> JobOut:
        """How far a job is."""
        return JobOut.model_validate_json(self._wire.send("GET", f"/v1/jobs/{quote(job_id, safe='')}").content)

    def wait_for_job(
        self,
        job_id: str,
        *,
        timeout_s: float = 3600.0,
        every_s: float = 1.0,
        tell: Callable[[JobOut], None] | None = None,
    ) -> JobOut:
        """The job once it has ended. `tell` is called with each look at it; ClientError where it takes too long."""
        ends = time.monotonic() + timeout_s
        while True:
            job = self.job(job_id)
            if tell is not None:
                tell(job)
            if job.status != "running":
                return job
            if time.monotonic() + every_s > ends:
                raise ClientError(f"job {job_id} has done {job.done} of {job.total} clips after {timeout_s:g} s")
            self._sleep(every_s)

    def cancel_job(self, job_id: str) -> JobOut:
        """End a job; clips that are rendered already stay."""
        return JobOut.model_validate_json(self._wire.send("DELETE", f"/v1/jobs/{quote(job_id, safe='')}").content)

    def models(self) -> dict[str, Any]:
        """The model versions of the deployment with their metrics and lineage; `serving` names what answers now."""
        return self._wire.send("GET", "/v1/models").json()

    def status(self) -> Status:
        """Whether the server answers, and could answer a feed; asked once, and never an error."""
        try:
            self._wire.send("GET", "/healthz", repeat=False)
        except ClientError as error:
            return Status(alive=False, ready=False, reason=str(error))
        try:
            self._wire.send("GET", "/readyz", repeat=False)
        except ClientError as error:
            return Status(alive=True, ready=False, reason=str(error))
        return Status(alive=True, ready=True, reason=None)


def _clip(product_id: str, style: Style, strength: float) -> dict[str, Any]:
    chosen = style if isinstance(style, str) else dict(style) if isinstance(style, Mapping) else list(style)
    return {"product_id": product_id, "style": chosen, "strength": strength}
