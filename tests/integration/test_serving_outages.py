"""What clients see while the database, the disk or the registry is away, and what wakes a generator that sleeps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import ray
import sqlalchemy as sa
from ray import serve

from cluster.errors import StorageError
from cluster.settings import Settings
from serving.args import AppArgs
from serving.client import EventIn, ProblemError, ShopClient, UnavailableError
from serving.run import APP_NAME, serve_app
from tests.e2e.tiny_models import make_shop
from tests.e2e.tiny_shop import NAME, PRODUCTS
from tests.integration.test_serving_app import PATIENCE_S, SCALING, stored_event_ids
from tests.postgresql import postgresql_server
from tests.serving_load import ONCE, load, served
from tests.serving_processes import REPLICA, pids
from tests.small_disk import disk_of
from tests.waiting import free_port, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("outages"))})
    make_shop(made)
    return made


def test_postgresql_that_crashes_and_comes_back_loses_no_acknowledged_event(settings: Settings) -> None:
    """While it is down requests that need it are 503 with Retry-After, never a false acknowledgement and no other
    fault; when it is back they are served, without a restart.
    """
    with postgresql_server() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed here")
        on_it = Settings.load({"SHOPREEL_HOME": settings.storage_root, "SHOPREEL_EVENT_STORE": server.url})
        fast = {"trend_refresh_s": 0.5}
        with served(on_it, **fast) as base_url, load(base_url) as working:
            for _ in range(2):
                server.crash()
                working.refused()
                server.come_back()
                working.going_on()
        assert working.broken == []
        assert {type(problem) for problem in working.problems} == {UnavailableError}
        assert all(problem.retry_after_s for problem in working.problems)
        engine = sa.create_engine(server.url)
        with engine.connect() as connection:
            stored = set(connection.execute(sa.text("SELECT event_id FROM events")).scalars())
        engine.dispose()
    assert working.acknowledged
    assert working.acknowledged <= stored


def test_full_disk_serves_feeds_from_memory_and_refuses_events(tmp_path: Path) -> None:
    """Clips are rendered and shown; events are refused with 507, not acknowledged; with space again they are stored."""
    with disk_of(64, tmp_path / "disk") as disk:
        settings = Settings.load({"SHOPREEL_HOME": str(disk)})
        make_shop(settings)
        with served(settings) as base_url, ShopClient(base_url, retry=ONCE, timeout_s=PATIENCE_S) as shop:
            shop.record(EventIn(viewer="mia", product_id="p01", event_type="like", event_id="before"))
            with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            refused = 0
            for number in range(40):
                event = EventIn(viewer="mia", product_id="p02", event_type="like", event_id=f"full-{number}")
                with pytest.raises(ProblemError) as problem:
                    shop.record(event)
                refused += problem.value.status == 507
            assert refused == 40
            feed = shop.feed("somebody new", k=4)
            assert {item.clip.status for item in feed.items} == {"ready"}
            assert all(shop.download(item.clip.url) for item in feed.items)
            (disk / "filler").unlink()
            shop.record(EventIn(viewer="mia", product_id="p03", event_type="like", event_id="after"))
            stored = stored_event_ids(settings)
    assert {event_id for event_id in stored if not event_id.startswith("e")} == {"before", "after"}


def test_burst_from_zero_replicas_loses_no_request_and_needs_no_registry(settings: Settings) -> None:
    """No generator runs at rest, though readiness is asked for all the time. 24 requests at once wake it: all are
    answered. The registry is away meanwhile: versions that serve need it no more. Then back to zero.
    """
    scaling = {**SCALING, "min_replicas": 0, "max_queued_requests": 64}
    registry = Path(settings.tracking_uri.removeprefix("sqlite:///"))
    away = registry.with_suffix(".away")
    with served(settings, generator_replicas=scaling) as base_url, httpx.Client(base_url=base_url) as client:

        def at_rest() -> bool:
            assert client.get("/readyz", timeout=PATIENCE_S).status_code == 200
            return not pids(REPLICA.format("generator"))

        wait_for(at_rest, "no generator runs")
        registry.rename(away)
        registry.mkdir()  # what is there is no database
        try:
            with ThreadPoolExecutor(24) as pool:
                statuses = list(pool.map(lambda number: ask_for_clip(base_url, number), range(24)))
            refused = client.put("/v1/models/generator", json={"reference": "generator/1"}, timeout=PATIENCE_S)
        finally:
            registry.rmdir()
            away.rename(registry)
        assert statuses == [200] * 24
        wait_for(at_rest, "back to zero")
    assert refused.status_code == 503
    assert str(registry.parent) not in refused.text


def ask_for_clip(base_url: str, number: int) -> int:
    body = {"product_id": PRODUCTS[number % 12], "style": {"warm_film": 1 + number, "ink": 3}}
    return httpx.post(f"{base_url}/v1/clips", json=body, timeout=PATIENCE_S).status_code


def test_registry_that_is_down_at_deploy_is_named_and_nothing_is_deployed(settings: Settings) -> None:
    """An alias means nothing without the registry, and a version's files cannot be told to be its own: the error names
    the address within half a minute, before Ray is started.
    """
    address = f"http://127.0.0.1:{free_port()}"
    down = AppArgs.for_settings(settings, NAME, tracking_uri=address)
    with pytest.raises(StorageError, match=address), serve_app(down.model_dump(), port=free_port()):
        pass
    assert not ray.is_initialized() or APP_NAME not in serve.status().applications
