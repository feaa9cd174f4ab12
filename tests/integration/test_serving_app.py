"""One Serve application over a tiny shop, asked over HTTP."""

from __future__ import annotations

import io
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import av
import httpx
import numpy as np
import psutil
import pytest
from ray import serve

from cluster.pseudonym import Pseudonymiser
from cluster.settings import Settings
from serving.args import AppArgs
from serving.event_store import EventStore
from serving.problems import MEDIA_TYPE
from serving.run import APP_NAME, serve_app
from tests.e2e.tiny_models import make_shop, register_generator, register_recommender
from tests.e2e.tiny_shop import FRAMES, NAME, PRODUCTS, SIDE, clip_frames
from tests.serving_processes import REPLICA, kill, pids
from tests.waiting import free_port, wait_for
from trainables.data.video import encode_mp4

PATIENCE_S = 120
"""Ceiling of every wait: reached only where something hangs, not where the machine is busy."""
SCALING = {
    "num_cpus": 0.5,
    "max_batch_size": 4,
    "max_ongoing_requests": 4,
    "max_queued_requests": 12,
    "target_ongoing_requests": 2,
    "upscale_delay_s": 0.5,
    "downscale_delay_s": 2,
    "metrics_interval_s": 0.2,
    "look_back_period_s": 1,
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("served"))})


@pytest.fixture(scope="module")
def base_url(settings: Settings) -> Iterator[str]:
    make_shop(settings)
    args = AppArgs.for_settings(
        settings,
        NAME,
        feed_wait_s=PATIENCE_S,
        generator_replicas=SCALING,
        demo_viewers=[{"id": "viewer-0", "label": "Vi"}],
    )
    with serve_app(args.model_dump(), port=free_port()) as url:
        yield url


@pytest.fixture
def client(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=PATIENCE_S) as open_client:
        yield open_client


def decode(data: bytes) -> tuple[str, str, np.ndarray]:
    """Codec, pixel format and frames of an MP4."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        return stream.codec_context.name, stream.codec_context.pix_fmt, frames


def running_replicas(name: str) -> int:
    states = serve.status().applications[APP_NAME].deployments[name].replica_states
    return states.get("RUNNING", 0)


def test_feed_of_eight_restyled_clips_that_play(client: httpx.Client) -> None:
    """An unknown viewer gets the fallback: what is popular, in the default look, H.264 as browsers want it."""
    feed = client.post("/v1/feed", json={"viewer": "a stranger"}).json()
    assert len({item["product"]["id"] for item in feed["items"]}) == 8
    assert {item["source"] for item in feed["items"]} == {"popular"}
    assert feed["look"]["style"] == "minimal"
    assert feed["degraded"] is False
    item = feed["items"][0]
    codec, pixels, frames = decode(client.get(item["clip"]["url"]).content)
    assert (codec, pixels, frames.shape) == ("h264", "yuv420p", (FRAMES, SIDE, SIDE, 3))
    *_, original = decode(client.get(item["product"]["clip_url"]).content)
    assert np.abs(frames.astype(int) - original).mean() > 2


def test_second_feed_is_cached(client: httpx.Client) -> None:
    first = client.post("/v1/feed", json={"viewer": "again", "k": 5}).json()
    second = client.post("/v1/feed", json={"viewer": "again", "k": 5}).json()
    assert [item["clip"]["id"] for item in first["items"]] == [item["clip"]["id"] for item in second["items"]]
    assert all(item["clip"]["cached"] for item in second["items"])


def test_viewer_of_the_log_is_known_under_the_raw_id(client: httpx.Client) -> None:
    """viewer-0 watched the mugs p00, p03, p06 and p09; the slate has none of them and says why it has others."""
    slate = client.post("/v1/recommend", json={"viewer": "viewer-0", "k": 12}).json()
    watched = {"p00", "p03", "p06", "p09"}
    assert watched.isdisjoint(item["product"]["id"] for item in slate["items"])
    reasons = {reason["product_id"] for item in slate["items"] for reason in item["reasons"]}
    assert reasons
    assert reasons <= watched | {"p01"}


def watch(viewer: str, product: str, style: str | None = None) -> dict[str, Any]:
    event = {"viewer": viewer, "product_id": product, "event_type": "watch", "watch_seconds": 1, "duration_seconds": 1}
    return {**event, "style": style} if style else event


def test_event_is_durable_and_changes_the_next_slate(client: httpx.Client, settings: Settings) -> None:
    before = client.post("/v1/recommend", json={"viewer": "lena"}).json()["items"]
    chosen = before[0]["product"]["id"]
    answer = client.post("/v1/events", json={**watch("lena", chosen), "event_id": "lena-1"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "stored": 1, "without_consent": 0})
    pseudonym = Pseudonymiser.load(settings).of("lena")
    assert [e.product_id for e in EventStore(settings.event_store_url).history(pseudonym, 9)] == [chosen]
    after = client.post("/v1/recommend", json={"viewer": "lena"}).json()["items"]
    assert chosen not in [item["product"]["id"] for item in after]
    assert after[0]["reasons"][0]["product_id"] == chosen
    repeated = client.post("/v1/events", json={**watch("lena", chosen), "event_id": "lena-1"})
    assert repeated.json() == {"accepted": 1, "stored": 0, "without_consent": 0}


def test_two_viewers_of_different_taste_get_two_looks(client: httpx.Client) -> None:
    clips = {}
    for viewer, style in (("nora", "neon"), ("ivan", "ink")):
        client.post("/v1/events", json=[watch(viewer, product, style) for product in PRODUCTS[:3]])
        feed = client.post("/v1/feed", json={"viewer": viewer, "k": 9}).json()
        assert feed["look"]["style"] == style
        clips[viewer] = {item["product"]["id"]: item["clip"]["id"] for item in feed["items"]}
    shared = clips["nora"].keys() & clips["ivan"].keys()
    assert shared
    assert all(clips["nora"][product] != clips["ivan"][product] for product in shared)


def test_event_for_an_unknown_product_stores_nothing_and_names_it(client: httpx.Client, settings: Settings) -> None:
    answer = client.post("/v1/events", json=[watch("otto", "p00"), watch("otto", "p99")])
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "1.product_id", "message": "there is no product 'p99'"}]
    assert EventStore(settings.event_store_url).count(Pseudonymiser.load(settings).of("otto")) == 0


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status"),
    [
        pytest.param("POST", "/v1/feed", {"content": b"no json"}, 400, id="body-is-no-json"),
        pytest.param("POST", "/v1/feed", {"json": {"viewer": "x", "k": 0}}, 422, id="k-is-0"),
        pytest.param("POST", "/v1/recommend", {"json": {"viewer": "x", "k": 10**6}}, 422, id="k-is-a-million"),
        pytest.param("POST", "/v1/clips", {"json": {"product_id": "p99", "style": "neon"}}, 404, id="unknown-product"),
        pytest.param("POST", "/v1/clips", {"json": {"product_id": "p00", "style": "x"}}, 422, id="unknown-style"),
        pytest.param(
            "POST", "/v1/clips", {"files": {"file": b"text"}, "data": {"style": "ink"}}, 422, id="text-as-mp4"
        ),
        pytest.param("GET", "/v1/clips/" + "0" * 32, {}, 404, id="unknown-clip"),
        pytest.param("GET", "/v1/nowhere", {}, 404, id="unknown-route"),
        pytest.param("DELETE", "/v1/feed", {}, 405, id="wrong-method"),
    ],
)
def test_bad_input_is_a_problem_document(
    client: httpx.Client, method: str, path: str, arguments: dict[str, Any], status: int
) -> None:
    answer = client.request(method, path, **arguments)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert answer.json()["status"] == status
    assert "Traceback" not in answer.text
    assert "/" not in answer.json()["detail"].replace(path, "")


def test_clip_takes_ranges_and_conditional_requests(client: httpx.Client) -> None:
    made = client.post("/v1/clips", json={"product_id": "p02", "style": {"neon": 1, "sport": 1}})
    assert (made.status_code, made.headers["content-type"]) == (200, "video/mp4")
    path = made.headers["location"]
    part = client.get(path, headers={"range": "bytes=0-99"})
    assert (part.status_code, part.content) == (206, made.content[:100])
    assert client.get(path, headers={"if-none-match": part.headers["etag"]}).status_code == 304
    beyond = client.get(path, headers={"range": "bytes=9999999-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(made.content)}")
    assert "immutable" in part.headers["cache-control"]


def test_strength_zero_gives_the_clip_itself(client: httpx.Client) -> None:
    *_, still = decode(client.post("/v1/clips", json={"product_id": "p04", "style": "ink", "strength": 0}).content)
    *_, original = decode(client.get("/v1/products/p04/clip").content)
    np.testing.assert_array_equal(still, original)


def test_uploaded_clip_is_restyled(client: httpx.Client) -> None:
    files = {"file": ("mine.mp4", encode_mp4(clip_frames(5), 12.0), "video/mp4")}
    answer = client.post("/v1/clips", files=files, data={"style": "vintage"})
    codec, pixels, frames = decode(answer.content)
    assert (codec, pixels, frames.shape[1:]) == ("h264", "yuv420p", (128, 128, 3))


def test_pending_feed_fills_in_by_events(client: httpx.Client) -> None:
    client.post("/v1/events", json=[watch("piet", product, "sport") for product in PRODUCTS[:2]])
    feed = client.post("/v1/feed", json={"viewer": "piet", "k": 4, "wait": 0}).json()
    assert {item["clip"]["status"] for item in feed["items"]} == {"pending"}
    with client.stream("GET", feed["events_url"]) as events:
        lines = list(events.iter_lines())
    assert [line for line in lines if line.startswith("event:")] == ["event: ready"] * 4 + ["event: done"]
    again = client.post("/v1/feed", json={"viewer": "piet", "k": 4, "wait": 0}).json()
    assert {item["clip"]["status"] for item in again["items"]} == {"ready"}


def test_streamed_clip_plays_and_is_kept(client: httpx.Client) -> None:
    body = {"product_id": "p05", "style": {"neon": 1, "vintage": 1}}
    streamed = client.post("/v1/clips/stream", json=body)
    assert (streamed.status_code, streamed.headers["x-cache"]) == (200, "miss")
    codec, pixels, frames = decode(streamed.content)
    assert (codec, pixels, frames.shape) == ("h264", "yuv420p", (FRAMES, SIDE, SIDE, 3))
    assert b"moof" in streamed.content
    assert client.post("/v1/clips", json=body).headers["x-cache"] == "hit"


def test_caller_s_deadline_reaches_the_generator(client: httpx.Client, base_url: str) -> None:
    """Under load a request that cannot wait is answered 504 and leaves the queue."""
    with load_on_clips(base_url, clients=6) as statuses:
        wait_for(lambda: statuses[200] > 0, "renders")
        body = {"product_id": "p00", "style": {"ink": 7, "sport": 3}}
        answer = client.post("/v1/clips", json=body, headers={"x-request-timeout": "0.001"})
    assert (answer.status_code, answer.headers["content-type"]) == (504, MEDIA_TYPE)
    figures = client.get("/metrics").text
    assert 'shopreel_replicas{deployment="generator"' in figures
    assert "shopreel_render_seconds_count" in figures


def test_models_health_docs_and_storefront(client: httpx.Client) -> None:
    assert [client.head(path).status_code for path in ("/healthz", "/", "/v1/products/p00/clip")] == [200] * 3
    models = client.get("/v1/models").json()
    assert (models["generator"]["reference"], models["recommender"]["reference"]) == ("generator/1", "recommender/1")
    assert models["generator"]["aliases"] == ["champion"]
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert "/v1/feed" in client.get("/openapi.json").json()["paths"]
    for page in ("/", "/docs", "/storefront/storefront.js", "/storefront/storefront.css"):
        assert client.get(page).status_code == 200, page
    assert client.get("/v1/storefront").json()["viewers"] == [{"id": "viewer-0", "label": "Vi"}]


def test_no_process_listens_but_on_loopback(base_url: str) -> None:
    """Ray, Serve, HAProxy and every replica: nobody on another machine can reach any of their ports."""
    port, found = int(base_url.rpartition(":")[2]), set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found |= {c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert ("127.0.0.1", port) in found
    assert {address.ip.removeprefix("::ffff:") for address in found} == {"127.0.0.1"}


@contextmanager
def load_on_clips(base_url: str, clients: int) -> Iterator[Counter]:
    """So many clients that ask for renders no cache has, until the block ends; yields the statuses so far."""
    stop, statuses, lock = threading.Event(), Counter(), threading.Lock()
    numbers = count()

    def ask() -> None:
        with httpx.Client(base_url=base_url, timeout=PATIENCE_S) as own:
            while not stop.is_set():
                with lock:
                    number = next(numbers)
                style = {"neon": 1 + number % 997, "ink": 1 + number // 997}
                answer = own.post("/v1/clips", json={"product_id": PRODUCTS[number % 12], "style": style})
                with lock:
                    statuses[answer.status_code] += 1
                    if answer.status_code != 200:
                        assert answer.headers["content-type"] == MEDIA_TYPE
                        assert int(answer.headers["retry-after"]) > 0

    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask) for _ in range(clients)]
        try:
            yield statuses
        finally:
            stop.set()
        for future in asking:
            future.result()


def test_generator_scales_up_and_back_while_the_recommender_answers(client: httpx.Client, base_url: str) -> None:
    """24 clients on one replica that holds 4 and queues 12: a second replica comes, 429 tells the rest to come back,
    recommendations stay fast; when the load is gone the second replica goes."""
    wait_for(lambda: running_replicas("generator") == 1, "one replica at rest")
    with load_on_clips(base_url, clients=24) as statuses:
        wait_for(lambda: statuses[200] > 0, "renders")
        started = time.monotonic()
        assert client.post("/v1/recommend", json={"viewer": "busy"}).status_code == 200
        assert time.monotonic() - started < 5
        assert client.get("/readyz").status_code == 200
        wait_for(lambda: running_replicas("generator") == 2, "a second replica under load")
    assert set(statuses) == {200, 429}
    wait_for(lambda: running_replicas("generator") == 1, "back to one replica")


def test_rolling_to_another_version_fails_no_request(client: httpx.Client, base_url: str, settings: Settings) -> None:
    """Feeds go on while the generator changes; each has clips of one version, the one it names."""
    version = register_generator(settings, seed=1).reference
    seen: list[set[str]] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        with httpx.Client(base_url=base_url, timeout=PATIENCE_S) as own:
            while not stop.is_set():
                answer = own.post("/v1/feed", json={"viewer": f"roll-{number}", "k": 3})
                assert answer.status_code == 200
                feed = answer.json()
                seen.append({item["clip"]["model_version"] for item in feed["items"]} | {feed["models"]["generator"]})

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask, number) for number in range(2)]
        wait_for(lambda: {"generator/1"} in seen, "feeds of the version deployed")
        assert client.put("/v1/models/generator", json={"reference": version}).json()["serving"] == version
        wait_for(lambda: {version} in seen, "feeds of the new version")
        refused = client.put("/v1/models/generator", json={"reference": "generator/99"})
        assert client.delete("/v1/models/generator").json()["serving"] == "generator/1"
        wait_for(lambda: seen[-1] == {"generator/1"}, "feeds of the version before")
        stop.set()
        for future in asking:
            future.result()
    assert all(len(versions) == 1 for versions in seen)
    assert refused.status_code == 422
    assert "versions: 1, 2" in refused.json()["detail"]


def test_rolling_the_recommender_fails_no_request(client: httpx.Client, base_url: str, settings: Settings) -> None:
    """Slates go on while the recommender changes, its replicas are the same; each names the version that made it. The
    new version knows the events that came while the one before was served.
    """
    client.post("/v1/events", json={"viewer": "roller", "product_id": "p01", "event_type": "like"})
    version = register_recommender(settings, "another-recommender").reference
    before = pids(REPLICA.format("recommender"))
    seen: list[str] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        with httpx.Client(base_url=base_url, timeout=PATIENCE_S) as own:
            while not stop.is_set():
                answer = own.post("/v1/recommend", json={"viewer": f"roll-{number}", "k": 3})
                assert answer.status_code == 200
                seen.append(answer.json()["models"]["recommender"])

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask, number) for number in range(2)]
        wait_for(lambda: "recommender/1" in seen, "slates of the version deployed")
        assert client.put("/v1/models/recommender", json={"reference": version}).json()["serving"] == version
        wait_for(lambda: version in seen, "slates of the new version")
        slate = client.post("/v1/recommend", json={"viewer": "roller", "k": 3}).json()
        assert "p01" in {reason["product_id"] for item in slate["items"] for reason in item["reasons"]}
        assert client.delete("/v1/models/recommender").json()["serving"] == "recommender/1"
        wait_for(lambda: seen[-1] == "recommender/1", "slates of the version before")
        stop.set()
        for future in asking:
            future.result()
    assert set(seen) == {"recommender/1", version}
    assert pids(REPLICA.format("recommender")) == before


def test_killed_generator_costs_no_request(client: httpx.Client, base_url: str) -> None:
    """kill -9 under load: its requests are sent again to its successor; the other replicas live on."""
    others = {name: pids(REPLICA.format(name)) for name in ("recommender", "ingress")}
    with load_on_clips(base_url, clients=3) as statuses:
        wait_for(lambda: statuses[200] > 5, "renders")
        kill(REPLICA.format("generator"))
        served = statuses[200]
        assert client.post("/v1/recommend", json={"viewer": "calm"}).status_code == 200
        feed = client.post("/v1/feed", json={"viewer": "calm", "k": 2, "wait": 0})
        assert (feed.status_code, len(feed.json()["items"])) == (200, 2)
        wait_for(lambda: statuses[200] > served + 3, "renders by the successor")
    assert set(statuses) == {200}
    assert {name: pids(REPLICA.format(name)) for name in others} == others


@contextmanager
def viewers_at_work(base_url: str, clients: int) -> Iterator[tuple[Counter, list[str]]]:
    """Viewers who get slates and do something, until the block ends; yields statuses (or how the
    connection broke) and acknowledged event ids.
    """
    stop, statuses, acknowledged, numbers = threading.Event(), Counter(), [], count()

    def act(viewer: str) -> None:
        with httpx.Client(base_url=base_url, timeout=PATIENCE_S) as own:
            while not stop.is_set():
                event = {**watch(viewer, "p01"), "event_id": f"{viewer}-{next(numbers)}"}
                try:
                    stored = own.post("/v1/events", json=event)
                    if stored.status_code == 202:
                        acknowledged.append(event["event_id"])
                    slate = own.post("/v1/recommend", json={"viewer": viewer, "k": 3})
                except httpx.TransportError as error:
                    statuses[repr(error)] += 1
                else:
                    statuses.update([stored.status_code, slate.status_code])

    with ThreadPoolExecutor(clients) as pool:
        acting = [pool.submit(act, f"chaos-{number}") for number in range(clients)]
        try:
            yield statuses, acknowledged
        finally:
            stop.set()
        for future in acting:
            future.result()


@pytest.mark.parametrize("deployment", ["recommender", "ingress"])
def test_killed_replica_loses_no_acknowledged_event(base_url: str, settings: Settings, deployment: str) -> None:
    """kill -9 to the only replica under load. Requests wait for the next one, or are told to come back (503) where it
    takes its time; no connection breaks. Every event that was acknowledged is in the store.
    """
    with viewers_at_work(base_url, clients=3) as (statuses, acknowledged):
        wait_for(lambda: len(acknowledged) > 10, "events")
        kill(REPLICA.format(deployment))
        before = len(acknowledged)
        wait_for(lambda: len(acknowledged) > before + 10, "events after the kill")
    assert set(statuses) <= {200, 202, 503}, statuses
    assert set(acknowledged) <= stored_event_ids(settings)


def stored_event_ids(settings: Settings) -> set[str]:
    with sqlite3.connect(settings.event_store_url.removeprefix("sqlite:///")) as connection:
        return {row[0] for row in connection.execute("SELECT event_id FROM events")}
