"""The typed client against real servers: the shop's own application, and one that fails as it is told to."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from serving.client import (
    AccessError,
    BusyError,
    ClipRequest,
    DeadlineError,
    EventIn,
    InvalidError,
    MissingError,
    RetryConfig,
    ServerError,
    ShopClient,
    UnavailableError,
    UnreachableError,
)
from serving.contracts import RenderRequest, StreamStart
from serving.door.keys import KeyStore
from serving.door.ring import KeyRing
from serving.problems import Problem
from tests.live_server import over_http
from tests.serving_site import Site, make_site
from tests.waiting import free_port

PROBLEM = {"type": "urn:shopreel:problem:503", "title": "Not available", "status": 503, "detail": "try again"}
SLATE = {"request_id": "r", "items": [], "latency_ms": {}}
SLATE |= {"look": {"style": "neon", "weights": {}, "text": ""}, "models": {"generator": "g/1", "recommender": "r/1"}}


@pytest.fixture
def shop(site: Site) -> Iterator[ShopClient]:
    with over_http(site.app) as url, ShopClient(url) as client:
        yield client


def test_importing_the_client_loads_neither_torch_nor_ray() -> None:
    code = "import sys, serving.client; print({'torch', 'ray', 'mlflow', 'fastapi'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


def test_a_pending_feed_is_followed_to_its_clips(shop: ShopClient, site: Site) -> None:
    known, render = threading.Event(), site.generator.render

    async def late(request: RenderRequest) -> bytes:
        await asyncio.to_thread(known.wait)
        return await render(request)

    site.generator.render = late
    feed = shop.feed("mia", k=3, wait_s=0)
    known.set()
    news = list(shop.follow(feed))
    assert sorted(n.position for n in news) == [0, 1, 2]
    assert {n.clip.status for n in news} == {"ready"}
    clip = shop.download(news[0].clip.url)
    assert clip.startswith(f"mp4 of {news[0].product_id}".encode())
    assert list(shop.follow(shop.feed("mia", k=3))) == []  # nothing is pending any more


def test_events_change_the_next_slate_and_carry_ids_and_times_of_the_client(shop: ShopClient, site: Site) -> None:
    before = shop.recommend("ann", k=3).items
    event = EventIn(viewer="ann", product_id=before[0].product.id, event_type="click")
    assert shop.record(event).stored == 1
    assert shop.record(event.model_copy(update={"event_id": "once"}), event).stored == 2
    assert shop.record(event.model_copy(update={"event_id": "once"})).stored == 0
    assert before[0].product.id not in [item.product.id for item in shop.recommend("ann", k=3).items]
    receipt = shop.erase("ann")
    assert receipt.removed["events"] == 3
    assert site.events.count(site.shop._pseudonymiser.of("ann")) == 0


def test_clips_come_whole_as_a_stream_and_as_an_upload(shop: ShopClient, tmp_path: Path) -> None:
    clip = shop.clip("p01", "neon", 0.5)
    assert (clip.cached, clip.model_version, clip.refused) == (False, "generator/3", ())
    assert shop.clip("p01", "neon", 0.5).cached
    assert clip.save(tmp_path / "a.mp4").read_bytes() == clip.data
    with shop.clip_stream("p02", {"ink": 3, "neon": 1}) as stream:
        saved = stream.save(tmp_path / "b.mp4")
    assert saved.read_bytes() == shop.clip("p02", {"ink": 3, "neon": 1}).data
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["a.mp4", "b.mp4"]
    assert {item.product.id for item in shop.similar("p03", k=2).items} == {"p00", "p01"}


def test_a_job_is_waited_for(shop: ShopClient) -> None:
    job = shop.start_job([ClipRequest(product_id=p, style="ink") for p in ("p01", "p02")])
    seen: list[int] = []
    done = shop.wait_for_job(job.id, every_s=0.01, tell=lambda now: seen.append(now.done))
    assert (done.status, done.done, done.failed, seen[-1]) == ("done", 2, 0, 2)
    assert shop.cancel_job(job.id).status == "done"
    assert shop.models()["serving"]["generator"] == "generator/3"


def test_problems_are_exceptions_that_name_the_fields(shop: ShopClient, site: Site) -> None:
    with pytest.raises(InvalidError) as invalid:
        shop.feed("mia", k=0)
    assert [fault["field"] for fault in invalid.value.errors] == ["k"]
    assert len(invalid.value.request_id) == 32
    with pytest.raises(MissingError):
        shop.clip("p99", "neon")
    site.generator.failure = Problem(504, "too late")
    with pytest.raises(DeadlineError):
        shop.clip("p05", "neon")
    site.generator.failure = Problem(503, "no generator")
    assert (shop.status().alive, shop.status().ready) == (True, False)


def test_a_key_is_sent_and_missed(site: Site, catalogue, storage, tmp_path: Path) -> None:
    keys = KeyStore(f"sqlite:///{tmp_path}/events.db")
    text, _ = keys.create("client", ["read"])
    door = make_site(catalogue, storage, f"sqlite:///{tmp_path}/events.db", ring=KeyRing(keys))
    with over_http(door.app) as url:
        with ShopClient(url) as stranger, pytest.raises(AccessError, match="401"):
            stranger.models()
        with ShopClient(url, key=text) as reader:
            assert reader.recommend("mia").items
            with pytest.raises(AccessError, match="scope admin"):
                reader.erase("mia")


def test_a_stream_nobody_reads_to_its_end_stops_the_rendering(site: Site, tmp_path: Path) -> None:
    stopped = asyncio.Event()

    async def endless(request: RenderRequest) -> Any:
        yield StreamStart(())
        try:
            while True:
                yield b"x" * 100_000
                await asyncio.sleep(0)
        finally:
            stopped.set()

    site.generator.stream = endless
    with over_http(site.app) as url, ShopClient(url) as client:
        with client.clip_stream("p01", "neon") as stream:
            assert next(iter(stream))
        while not stopped.is_set():
            client.status()
        assert client.clip("p01", "neon").cached is False


@dataclass
class Script:
    """Answers one after the other: (status, headers, body), or None to break the connection; the last one stays."""

    answers: list[tuple[int, dict[str, str], Any] | None]
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (message := await receive()).get("more_body") or message.get("body"):
            body += message["body"]
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append({"path": scope["path"], "body": body, **headers})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:  # uvicorn closes the connection of an application that answers nothing after its head
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
            await send({"type": "http.response.body", "body": b"x", "more_body": False})
            return
        status, more, said = answer
        kind = "text/event-stream" if isinstance(said, str) else "application/json"
        sent = {"content-type": kind, **more}
        await send({
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        })  # fmt: skip
        data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        await send({"type": "http.response.body", "body": data})


@pytest.mark.parametrize(
    ("answers", "waits"),
    [
        pytest.param([(429, {"retry-after": "3"}, PROBLEM), (200, {}, SLATE)], [3.0], id="429-with-seconds"),
        pytest.param([(503, {}, PROBLEM), (503, {}, PROBLEM), (200, {}, SLATE)], [0.25, 0.5], id="503-without"),
        pytest.param([None, (200, {}, SLATE)], [0.25], id="broken-connection"),
        pytest.param([(500, {}, "Internal Server Error"), (200, {}, SLATE)], [0.25], id="a-proxy-s-own-500"),
    ],
)
def test_idempotent_calls_are_tried_again_when_the_server_says(answers: list, waits: list[float]) -> None:
    """Retry-After is waited for to the second; without it the wait doubles, with jitter, never above the step."""
    script, slept = Script(answers), []
    with over_http(script) as url, ShopClient(url, sleep=slept.append) as client:
        assert client.recommend("mia").request_id == "r"
    assert len(slept) == len(waits)
    assert all(wait / 2 <= slept_s <= wait for slept_s, wait in zip(slept, waits, strict=True))
    assert len({asked["x-request-id"] for asked in script.asked}) == 1
    assert all(0 < float(asked["x-request-timeout"]) <= 60 for asked in script.asked)


def test_a_date_is_a_wait_too() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=9), usegmt=True)
    script, slept = Script([(503, {"retry-after": at}, PROBLEM), (200, {}, SLATE)]), []
    with over_http(script) as url, ShopClient(url, sleep=slept.append) as client:
        client.recommend("mia")
    assert 6 < slept[0] <= 9


@pytest.mark.parametrize(
    ("status", "error", "asked"),
    [(429, BusyError, 3), (503, UnavailableError, 3), (500, ServerError, 1), (507, ServerError, 1)],
)
def test_tries_are_bounded_and_other_faults_are_not_repeated(status: int, error: type, asked: int) -> None:
    script = Script([(status, {}, {**PROBLEM, "status": status})])
    retry = RetryConfig(tries=3)
    with over_http(script) as url, ShopClient(url, retry=retry, sleep=lambda _: None) as client, pytest.raises(error):
        client.recommend("mia")
    assert len(script.asked) == asked


def test_a_wait_beyond_the_call_s_time_or_the_limit_ends_it_at_once() -> None:
    script, slept = Script([(429, {"retry-after": "300"}, {**PROBLEM, "status": 429})]), []
    with over_http(script) as url, ShopClient(url, sleep=slept.append) as client, pytest.raises(BusyError) as busy:
        client.recommend("mia")
    assert (slept, busy.value.retry_after_s) == ([], 300)


def test_a_repeated_event_keeps_its_id_and_a_job_is_not_repeated() -> None:
    """What the server may have stored before it failed is sent again under the same id and time."""
    script = Script([None, (202, {}, {"accepted": 1, "stored": 0}), None])
    with over_http(script) as url, ShopClient(url, sleep=lambda _: None) as client:
        client.record(EventIn(viewer="mia", product_id="p01", event_type="like"))
        first, second = (json.loads(asked["body"]) for asked in script.asked)
        assert first == second
        assert first[0]["event_id"]
        with pytest.raises(UnreachableError):
            client.start_job([ClipRequest(product_id="p01", style="ink")])
    assert [asked["path"] for asked in script.asked] == ["/v1/events", "/v1/events", "/v1/jobs"]


def test_a_broken_event_stream_is_taken_up_again_and_tells_each_slot_once(shop: ShopClient) -> None:
    feed = shop.feed("mia", k=2).model_copy(update={"events_url": "/v1/feed/token/events"})

    def ready(position: int) -> str:
        clip = feed.items[position].clip.model_dump()
        news = {"position": position, "product_id": feed.items[position].product.id, "clip": clip}
        return f"event: ready\ndata: {json.dumps(news)}\n\n"

    script = Script([(200, {}, ": ping\n\n" + ready(1)), (200, {}, ready(1) + ready(0) + "event: done\ndata: {}\n\n")])
    with over_http(script) as url, ShopClient(url, sleep=lambda _: None) as client:
        assert [news.position for news in client.follow(feed)] == [1, 0]


def test_a_followed_feed_has_no_deadline_and_any_id(shop: ShopClient) -> None:
    """Clips may take longer than one call, and an id may hold what Unicode calls the end of a line."""
    feed = shop.feed("mia", k=1)
    news = {"position": 0, "product_id": "a\u2028b\x85c", "clip": feed.items[0].clip.model_dump()}
    told = f"event: ready\r\ndata: {json.dumps(news, ensure_ascii=False)}\r\n\r\nevent: done\ndata: {{}}\n\n"
    script = Script([(200, {}, told)])
    with over_http(script) as url, ShopClient(url, timeout_s=1) as client:
        followed = client.follow(feed.model_copy(update={"events_url": "/v1/feed/token/events"}))
        assert [news.product_id for news in followed] == ["a\u2028b\x85c"]
    assert "x-request-timeout" not in script.asked[0]


def test_nobody_there_is_unreachable() -> None:
    with ShopClient(f"http://127.0.0.1:{free_port()}", sleep=lambda _: None) as client:
        with pytest.raises(UnreachableError, match="does not answer"):
            client.recommend("mia")
        assert client.status().alive is False
