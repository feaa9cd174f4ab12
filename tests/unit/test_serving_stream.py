"""Clips that are sent while they are rendered: in the replica, and over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import AsyncGenerator, Iterator
from types import SimpleNamespace

import av
import httpx
import numpy as np
import pytest

from serving.contracts import Refusal, RenderRequest, StreamEnd, StreamStart
from serving.generator import GeneratorReplica
from serving.held_versions import HeldVersions
from serving.problems import Problem
from serving.render_queue import RenderQueue, Served
from tests.e2e.tiny_shop import clip_frames
from tests.serving_site import Site
from trainables.data.style_code import CODE_DIM
from trainables.generator.provenance import read_provenance
from trainables.generator.usability.gate import UsabilityGate

FRAMES = clip_frames(1)
WINDOW = 4
REQUEST = RenderRequest(
    code_S=np.zeros(CODE_DIM, np.float32), strength=1.0, frames_THWC=FRAMES, fps=12.0, upload="abc", look="neon"
)


class WindowRestyler:
    """Darkens a window after the other, or ruins those from `ruined` on; counts what it painted."""

    backend = SimpleNamespace(name="bfloat16")

    def __init__(self, ruined: int = 99) -> None:
        self.ruined, self.painted = ruined, 0
        self.second, self.released = threading.Event(), threading.Event()
        self.released.set()

    def windows(self, frames_THWC: np.ndarray, code_S: np.ndarray, strength: float) -> Iterator[np.ndarray]:
        noise = np.random.default_rng(0)
        for place, start in enumerate(range(0, len(frames_THWC), WINDOW)):
            self.painted += 1
            if place == 1:
                self.second.set()
                assert self.released.wait(30)
            window = frames_THWC[start : start + WINDOW]
            ruin = place >= self.ruined
            yield noise.integers(0, 256, window.shape, np.uint8) if ruin else (window * 0.9).astype(np.uint8)


def replica(restyler: WindowRestyler) -> GeneratorReplica:
    made = object.__new__(GeneratorReplica)
    gate = UsabilityGate(safety=SimpleNamespace(scores=lambda x: np.zeros(1)))
    made._versions = HeldVersions("generator/7", restyler, made._load)
    made._gate = made._window_gate = gate
    made._deployed, made._label = "generator/7", False
    made._queue = RenderQueue(made._render_all, max_batch=1)
    return made


def messages(restyler: WindowRestyler) -> list:
    async def read() -> list:
        return [message async for message in replica(restyler).stream(REQUEST)]

    return asyncio.run(read())


def pictures(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def test_windows_leave_as_they_are_painted_and_the_whole_clip_comes_last() -> None:
    start, *pieces, end = messages(WindowRestyler())
    assert start == StreamStart(())
    assert len(pieces) == len(FRAMES) // WINDOW + 1
    data = b"".join(pieces)
    assert np.abs(pictures(data) - FRAMES * 0.9).mean() < 3
    assert (read_provenance(data).model, read_provenance(data).look) == ("generator/7", "neon")
    assert isinstance(end, Served)
    assert np.abs(pictures(end.outcome) - pictures(data)).mean() < 2


def test_clip_that_is_not_fit_from_the_start_is_the_original() -> None:
    start, *pieces, end = messages(WindowRestyler(ruined=0))
    assert start.refused
    data = b"".join(pieces)
    assert np.abs(pictures(data) - FRAMES).mean() < 3
    assert not read_provenance(data).generated
    assert isinstance(end.outcome, Refusal)


def test_fault_in_the_middle_is_not_sent_and_the_clip_is_not_kept() -> None:
    start, *pieces, end = messages(WindowRestyler(ruined=2))
    assert not start.refused
    shown = pictures(b"".join(pieces))
    assert np.abs(shown[:8] - FRAMES[:8] * 0.9).mean() < 3
    assert np.abs(shown[8:] - FRAMES[8:]).mean() < 3
    assert isinstance(end.outcome, Refusal)


def test_client_that_leaves_stops_the_painting() -> None:
    """The generator is free for the next one before the clip is whole."""
    restyler = WindowRestyler()

    async def scenario() -> None:
        leaving = replica(restyler).stream(REQUEST)
        assert isinstance(await anext(leaving), StreamStart)
        await asyncio.to_thread(restyler.second.wait, 30)
        await leaving.aclose()
        restyler.released.set()

    restyler.released.clear()
    asyncio.run(scenario())
    assert restyler.painted == 2


def test_stream_is_kept_and_the_next_request_gets_the_whole_clip(site: Site) -> None:
    body = {"product_id": "p00", "style": "neon"}
    first, second = (site("POST", "/v1/clips/stream", json=body) for _ in range(2))
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.content == second.content == site("GET", first.headers["location"]).content
    assert json.loads(first.headers["x-refused"]) == []
    assert len(site.generator.requests) == 1


def test_stream_that_cannot_begin_is_a_problem(site: Site) -> None:
    site.generator.failure = Problem(429, "the generator is busy; try again", headers={"retry-after": "2"})
    answer = site("POST", "/v1/clips/stream", json={"product_id": "p00", "style": "neon"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert site("POST", "/v1/clips/stream", json={"product_id": "nope", "style": "neon"}).status_code == 404


def test_first_byte_comes_before_the_clip_is_whole(site: Site) -> None:
    """What is sent first is on its way while the rest is still being painted; the two times are counted apart."""
    sent: list[bytes] = []

    async def slow(request: RenderRequest) -> AsyncGenerator[StreamStart | bytes | StreamEnd]:
        yield StreamStart(())
        yield b"begun"
        assert sent == [b"begun"]
        yield b"ended"
        yield StreamEnd(b"whole")

    async def scenario() -> None:
        site.generator.stream = slow

        bodies = [json.dumps({"product_id": "p00", "style": "neon"}).encode()]

        async def receive() -> dict:
            return {"type": "http.request", "body": bodies.pop()} if bodies else await asyncio.Event().wait()

        async def send(message: dict) -> None:
            if message.get("body"):
                sent.append(message["body"])

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/clips/stream",
            "headers": [(b"content-type", b"application/json")],
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "server": ("shop", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
            "app": site.app,
        }
        await site.app(scope, receive, send)

    asyncio.run(scenario())
    assert sent == [b"begun", b"ended"]
    text = site("GET", "/metrics").text
    assert 'http_server_first_byte_seconds_count{http_request_method="POST"' in text


@pytest.mark.parametrize("body", [{"product_id": "p00"}, {"product_id": "p00", "style": "baroque"}])
def test_wrong_stream_request_is_named(site: Site, body: dict) -> None:
    answer: httpx.Response = site("POST", "/v1/clips/stream", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "style")
