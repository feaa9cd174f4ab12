"""What clients see while processes of the serving side die or stall. Each test says what is promised."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pyarrow as pa
import pytest

from cluster.settings import Settings
from cluster.storage import Storage
from serving.client import RetryConfig, ShopClient
from tests.e2e.tiny_models import make_shop
from tests.e2e.tiny_shop import NAME, clip_frames
from tests.integration.test_serving_app import PATIENCE_S, decode, running_replicas, stored_event_ids
from tests.serving_load import load, served
from tests.serving_processes import CONTROLLER, HAPROXY, HAPROXY_MANAGER, REPLICA, kill, pids
from tests.waiting import wait_for
from trainables.data import schemas
from trainables.data.dataset import Dataset
from trainables.data.style_code import style_code

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

LONG, LONG_FRAMES = "long", 240
BODY_S = 2
PATIENT = RetryConfig(tries=60, first_wait_s=0.25, longest_wait_s=2)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("chaos"))})
    make_shop(made)
    add_long_clip(Storage(made.storage_root))
    return made


@pytest.fixture(scope="module")
def base_url(settings: Settings) -> Iterator[str]:
    with served(settings, limits={"body_seconds": BODY_S}) as url:
        yield url


def add_long_clip(storage: Storage) -> None:
    """A product whose clip takes many windows to paint."""
    frames = clip_frames(3).repeat(LONG_FRAMES // len(clip_frames(3)), axis=0).repeat(2, axis=1).repeat(2, axis=2)
    product = {"product_id": LONG, "title": "Long", "category": "mug", "price": 1.0}
    clip = {
        "clip_id": "clip-long",
        "product_id": LONG,
        "num_frames": len(frames),
        "height": frames.shape[1],
        "width": frames.shape[2],
        "fps": 12.0,
        "frames": frames.tobytes(),
        "style_code": style_code(frames[:8]).tolist(),
        "source": "long.mp4",
        "source_sha256": "f" * 64,
    }
    dataset = Dataset.open(storage, NAME)
    dataset.append("products", pa.Table.from_pylist([product]), "long")
    dataset.append("clips", pa.Table.from_pylist([clip], schemas.CLIPS), "long")


@pytest.mark.parametrize("title", [HAPROXY, HAPROXY_MANAGER])
def test_killed_proxy_costs_a_client_that_asks_again_nothing(base_url: str, settings: Settings, title: str) -> None:
    """kill -9 to the only HTTP proxy, or to the process that looks after it. Connections break and are refused until
    the next one listens on the same port; `ShopClient` asks again and sees no error; replicas live on; acknowledged
    events are stored.
    """
    # One that the autoscaler is about to end would be missed below.
    wait_for(lambda: len(pids(REPLICA.format("generator"))) == 1, "the generator has come to rest")
    replicas = {name: pids(REPLICA.format(name)) for name in ("ingress", "recommender", "generator")}
    with load(base_url, retry=PATIENT) as working:
        kill(title)
        working.going_on()
    assert (working.problems, working.broken) == ([], [])
    assert working.acknowledged <= stored_event_ids(settings)
    assert all(processes <= pids(REPLICA.format(name)) for name, processes in replicas.items())


def test_killed_controller_costs_no_request_and_its_successor_is_in_charge(base_url: str, settings: Settings) -> None:
    """kill -9 to Serve's controller. Requests never pass through it; the next one knows the application and replaces
    a generator that dies later.
    """
    with load(base_url) as working:
        kill(CONTROLLER)
        working.going_on()
        wait_for(lambda: running_replicas("generator") >= 1, "the controller knows the generator")
        kill(REPLICA.format("generator"))
        working.going_on()
    assert (working.problems, working.broken) == ([], [])
    assert working.acknowledged <= stored_event_ids(settings)


def figure(client: httpx.Client, name: str, labels: str = "") -> float:
    """Sum of one figure of /metrics over its samples with these labels."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}[{{ ]", line) and labels in line)


def test_client_that_leaves_in_the_middle_of_a_stream_stops_its_render(base_url: str) -> None:
    """The connection is closed after the first bytes: the rest is not painted, nothing of it is kept, and the next clip
    does not wait for it.
    """
    with httpx.Client(base_url=base_url, timeout=PATIENCE_S) as client, ShopClient(base_url) as shop:
        cancelled = figure(client, "shopreel_renders_total", 'outcome="cancelled"')
        style = {"vintage": 1, "sport": 2}
        with shop.clip_stream(LONG, style) as stream:
            assert next(iter(stream))
        wait_for(
            lambda: figure(client, "shopreel_renders_total", 'outcome="cancelled"') == cancelled + 1, "it is cancelled"
        )
        assert figure(client, "shopreel_renders_in_flight") == 0
        assert len(decode(shop.clip("p00", style).data)[2]) == len(clip_frames(0))
        assert shop.clip(LONG, style).cached is False


@contextmanager
def slow_clients(base_url: str, number: int, request: bytes) -> Iterator[list[socket.socket]]:
    """Connections that send a request's beginning and then a byte now and then."""
    address = ("127.0.0.1", int(base_url.rpartition(":")[2]))
    connections = [socket.create_connection(address, timeout=PATIENCE_S) for _ in range(number)]
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.2):
            for connection in connections:
                with suppress(OSError):  # closed by the server, as it should be
                    connection.send(b"x")

    for connection in connections:
        connection.sendall(request)
    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        yield connections
    finally:
        stop.set()
        dripping.join()
        for connection in connections:
            connection.close()


def test_slow_clients_are_bounded_and_harm_nobody(base_url: str) -> None:
    """Clients that drip their headers, or a body of which HAProxy has not seen a bufferful, are answered 408 by it
    after ten seconds: they are no request yet and take no place of one. Those that drip the rest of a larger body are
    answered 408 after `limits.body_seconds`. Others are served all the while.
    """
    head = b"POST /v1/recommend HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n"
    large = head + b"content-length: 100000\r\n\r\n{" + b" " * 40_000
    with (
        slow_clients(base_url, 50, large) as large_bodies,
        slow_clients(base_url, 50, head + b"content-length: 500\r\n\r\n{") as bodies,
        slow_clients(base_url, 100, head) as heads,
        load(base_url) as working,
    ):
        answers = [connection.recv(12) for connection in (*large_bodies, *bodies, *heads)]
        working.going_on()
    assert set(answers) == {b"HTTP/1.1 408"}
    assert (working.problems, working.broken) == ([], [])
