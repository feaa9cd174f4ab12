"""`DELETE /v1/viewers/{id}`: nothing of the viewer is left anywhere, and the receipt names nobody. And consent."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from serving import clip_cache
from serving.catalogue import Catalogue
from serving.clip_cache import ClipCache
from serving.contracts import RenderRequest
from serving.door.settings import AccessArgs
from serving.erasures_elsewhere import ErasuresElsewhere
from serving.event_store import EventStore, StoredEvent
from serving.problems import Problem
from tests.e2e.tiny_shop import PRODUCTS, VIEWERS, make_dataset
from tests.serving_site import KEY, Site, make_site

RAW = VIEWERS[3]
NAME = Pseudonymiser(KEY).of(RAW)


@pytest.fixture
def shop_site(storage: Storage, database_url: str) -> Site:
    """A site over a dataset of its own, whose log knows the viewer."""
    catalogue = Catalogue(make_dataset(storage, Pseudonymiser(KEY)))
    made = make_site(catalogue, storage, database_url)
    made.events.seed(catalogue._dataset, 100)
    return made


def traces(root: Path, database: str, *names: str) -> list[str]:
    """Where on disk any of the names is: as bytes of any file, inside any Parquet file, in any row of the database."""
    found = []
    for path in (path for path in root.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found += [f"{path}: bytes" for name in names if name.encode() in data]
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            texts = str([column.to_pylist() for column in table.columns if str(column.type) == "string"])
            found += [f"{path}: rows" for name in names if name in texts]
    engine = sa.create_engine(database)
    with engine.connect() as connection:
        for table in sa.inspect(connection).get_table_names():
            rows = str(connection.exec_driver_sql(f'SELECT * FROM "{table}"').all())
            found += [f"table {table}" for name in names if name in rows]
    engine.dispose()
    return found


def watch(viewer: str, product: str, **fields: Any) -> dict[str, Any]:
    return {"viewer": viewer, "product_id": product, "event_type": "click", **fields}


def test_nothing_of_an_erased_viewer_is_left_on_disk(
    shop_site: Site, storage: Storage, tmp_path: Path, database_url: str
) -> None:
    """Many events of many viewers, so that pages of the database split; then one of them is looked for everywhere."""
    others = [f"other-{number}" for number in range(40)]
    for round_ in range(10):
        batch = [watch(viewer, f"p{round_ % 6:02d}", request_id=f"r{round_}") for viewer in [RAW, *others]]
        assert shop_site("POST", "/v1/events", json=batch).status_code == 202
    before = shop_site.events.count()
    feed = shop_site("POST", "/v1/feed", json={"viewer": RAW, "k": 5}).json()
    assert len(feed["look"]["weights"]) > 1
    assert traces(tmp_path, database_url, NAME)
    answer = shop_site("DELETE", f"/v1/viewers/{quote(RAW, safe='')}")
    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    assert traces(tmp_path, database_url, NAME, RAW, "other-") == []
    assert receipt["viewer_sha256"] == hashlib.sha256(NAME.encode()).hexdigest()
    removed = receipt["removed"]
    assert removed["events"] == 10 + removed["dataset_events"]
    assert removed["dataset_events"] > 0
    assert removed["clips"] == len(feed["items"])
    assert shop_site.events.count() == before - removed["events"]
    assert NAME not in answer.text and RAW not in answer.text
    assert shop_site("GET", feed["items"][0]["clip"]["url"]).status_code == 404
    slate = shop_site("POST", "/v1/recommend", json={"viewer": RAW}).json()
    assert {item["source"] for item in slate["items"]} == {"popular"}


def test_clips_in_the_viewer_s_look_leave_the_memory_of_other_replicas(shop_site: Site, storage: Storage) -> None:
    feed = shop_site("POST", "/v1/feed", json={"viewer": RAW, "k": 3}).json()
    clips = [item["clip"]["id"] for item in feed["items"]]
    other = ClipCache(storage, memory_bytes=10**6, storage_bytes=10**7)
    elsewhere = ErasuresElsewhere(shop_site.events, other, longest_render_s=0)
    elsewhere.look()
    assert all(other.get(clip) and other.peek(clip) for clip in clips)
    elsewhere.look()
    assert all(other.peek(clip) for clip in clips)
    assert shop_site("DELETE", f"/v1/viewers/{quote(RAW, safe='')}").json()["removed"]["clips"] == 3
    elsewhere.look()
    assert [other.get(clip) for clip in clips] == [None] * 3
    assert other.sizes()["memory"] == 0
    other.put(clips[0], b"what was under way")
    elsewhere.look()
    assert other.peek(clips[0]) is None
    other.put(clips[0], b"what began later")
    elsewhere.look()
    assert other.peek(clips[0]) == b"what began later"


def test_what_another_replica_was_rendering_for_an_erased_viewer_leaves_storage(
    shop_site: Site, storage: Storage
) -> None:
    """It comes to storage after the erasure; once no render of then can be under way, it is gone."""
    other = ClipCache(storage, memory_bytes=0, storage_bytes=10**7)

    async def scenario() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(shop_site.app), base_url="http://shop") as client:
            feed = (await client.post("/v1/feed", json={"viewer": RAW, "k": 3})).json()
            clip = feed["items"][0]["clip"]["id"]
            await client.delete(f"/v1/viewers/{quote(RAW, safe='')}")
            assert other.get(clip) is None
            other.put(clip, b"rendered elsewhere meanwhile")
            async with asyncio.timeout(30):
                while other.get(clip):
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_requests_are_answered_while_a_viewer_s_clips_are_looked_for(
    shop_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large catalogue has many."""
    begun, answered, clip_id = threading.Event(), threading.Event(), clip_cache.clip_id

    def slow(*args: Any) -> str:
        begun.set()
        assert answered.wait(30)
        return clip_id(*args)

    async def scenario() -> frozenset[str]:
        looking = asyncio.ensure_future(shop_site.shop.personal_clips(RAW))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        answered.set()
        return await looking

    monkeypatch.setattr(clip_cache, "clip_id", slow)
    assert len(asyncio.run(scenario())) == len(PRODUCTS)


def test_a_clip_that_is_still_being_rendered_goes_as_well(shop_site: Site, storage: Storage) -> None:
    """A feed that did not wait left its renders to go on."""
    render = shop_site.generator.render

    async def scenario() -> dict:
        let_go = asyncio.Event()

        async def late(request: RenderRequest) -> bytes:
            await let_go.wait()
            return await render(request)

        shop_site.generator.render = late
        async with httpx.AsyncClient(transport=httpx.ASGITransport(shop_site.app), base_url="http://shop") as client:
            await client.post("/v1/feed", json={"viewer": RAW, "k": 3, "wait": 0})
            erasing = asyncio.ensure_future(client.delete(f"/v1/viewers/{quote(RAW, safe='')}"))
            await asyncio.wait([erasing], timeout=0.5)
            let_go.set()
            receipt = (await erasing).json()
            await shop_site.shop.quiet()
        return receipt

    assert asyncio.run(scenario())["removed"]["clips"] == 3
    assert ClipCache(storage, memory_bytes=0, storage_bytes=1).sizes()["storage"] == 0


def test_erasing_twice_gives_two_receipts(shop_site: Site) -> None:
    first, second = (shop_site("DELETE", f"/v1/viewers/{RAW}").json() for _ in range(2))
    assert sum(first["removed"].values()) > 0
    assert sum(second["removed"].values()) == 0
    assert first["receipt_id"] != second["receipt_id"]
    assert shop_site.events.erasures() == 2
    assert shop_site("DELETE", "/v1/viewers/nobody/with/slashes").status_code == 200


def test_an_erased_viewer_can_begin_again(shop_site: Site) -> None:
    shop_site("DELETE", f"/v1/viewers/{RAW}")
    assert shop_site("POST", "/v1/events", json=watch(RAW, "p00")).json()["stored"] == 1
    assert shop_site.events.count(NAME) == 1


def test_events_of_the_log_do_not_come_back_with_a_restart(
    shop_site: Site, storage: Storage, database_url: str
) -> None:
    shop_site("DELETE", f"/v1/viewers/{RAW}")
    reopened = EventStore(database_url)
    reopened.seed(shop_site.shop.catalogue._dataset, 100)
    assert reopened.count(NAME) == 0
    assert reopened.count() == shop_site.events.count()


def test_nothing_is_erased_while_the_dataset_is_imported_into(shop_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 without a word about the other process; once the import has ended, the viewer is erased."""
    monkeypatch.setattr("trainables.runs.driver_lock.LOCK_SECONDS", 0.2)
    before = shop_site.events.count(NAME)
    with shop_site.shop.catalogue._dataset.imported_into():
        answer = shop_site("DELETE", f"/v1/viewers/{quote(RAW, safe='')}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "under way" in answer.json()["detail"] and "process" not in answer.text
    assert shop_site.events.count(NAME) == before > 0
    assert shop_site("DELETE", f"/v1/viewers/{quote(RAW, safe='')}").json()["removed"]["events"] == before


def test_nothing_is_erased_while_the_look_is_unknown(shop_site: Site) -> None:
    """The recommender does not answer: 503, and the whole viewer is still there to be erased later."""

    async def silent(*_: Any) -> Any:
        raise Problem(503, "the recommender does not answer; try again")

    shop_site.recommender.recommend = silent
    before = shop_site.events.count(NAME)
    assert shop_site("DELETE", f"/v1/viewers/{RAW}").status_code == 503
    assert shop_site.events.count(NAME) == before > 0


def test_a_database_of_before_is_rewritten_where_it_holds_old_bytes(tmp_path: Path) -> None:
    """Rows deleted by a program that does not zero them are gone from the file after the next erasure."""
    url = f"sqlite:///{tmp_path}/old.db"
    store = EventStore(url)
    store.append(
        [StoredEvent(event_id=f"e{i}", viewer_id=NAME, product_id="p", event_type="click", at_ms=i) for i in range(99)]
    )
    store.close()
    engine = sa.create_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        connection.exec_driver_sql("DELETE FROM events")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    assert NAME.encode() in (tmp_path / "old.db").read_bytes()
    EventStore(url).forget(NAME)
    assert all(NAME.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_without_consent_nothing_is_kept_and_nothing_is_used(shop_site: Site) -> None:
    before = shop_site.events.count()
    batch = [watch("mia", "p00", consent=False), watch("mia", "p01", consent=True), watch("mia", "p02")]
    answer = shop_site("POST", "/v1/events", json=batch).json()
    assert answer == {"accepted": 3, "stored": 2, "without_consent": 1}
    assert shop_site.events.count() == before + 2
    for route in ("/v1/recommend", "/v1/feed"):
        known = shop_site("POST", route, json={"viewer": "mia", "k": 3}).json()
        stranger = shop_site("POST", route, json={"viewer": "mia", "k": 3, "consent": False}).json()
        assert {item["source"] for item in known["items"]} == {"history"}
        assert {item["source"] for item in stranger["items"]} == {"popular"}


def test_where_consent_is_not_assumed_it_has_to_be_said(storage: Storage, tmp_path: Path) -> None:
    catalogue = Catalogue(make_dataset(storage, Pseudonymiser(KEY)))
    site = make_site(catalogue, storage, f"sqlite:///{tmp_path}/e.db", access=AccessArgs(assume_consent=False))
    assert site("POST", "/v1/events", json=watch("mia", "p00")).json()["without_consent"] == 1
    assert site("POST", "/v1/events", json=watch("mia", "p00", consent=True)).json()["stored"] == 1
    assert site("POST", "/v1/recommend", json={"viewer": "mia"}).json()["items"][0]["source"] == "popular"
    assert (
        site("POST", "/v1/recommend", json={"viewer": "mia", "consent": True}).json()["items"][0]["source"] == "history"
    )
    assert site("POST", "/v1/events", json=watch("mia", "p00", consent="yes")).status_code == 422
