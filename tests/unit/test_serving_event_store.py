"""The event store keeps what it acknowledged, once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from cluster.errors import InputError, StorageError
from cluster.storage import Storage
from serving import database
from serving.database import DatabaseError
from serving.event_store import EventStore, StoredEvent
from trainables.data.dataset import Dataset


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/events/events.db"


def event(
    event_id: str, *, viewer: str = "v1", product: str = "p1", kind: str = "click", at_ms: int = 1
) -> StoredEvent:
    return StoredEvent(event_id=event_id, viewer_id=viewer, product_id=product, event_type=kind, at_ms=at_ms)


def test_event_sent_twice_is_stored_once(database_url: str) -> None:
    store = EventStore(database_url)
    assert store.append([event("a"), event("b")]) == 2
    assert store.append([event("b"), event("c")]) == 1
    assert store.append([event("d"), event("d")]) == 1
    assert store.count() == 4


def test_history_is_the_viewers_newest_without_impressions_oldest_first(database_url: str) -> None:
    store = EventStore(database_url)
    store.append(
        [event("a", product="old", at_ms=1), event("b", product="new", at_ms=3), event("c", product="mid", at_ms=2)]
    )
    store.append([event("d", kind="impression", at_ms=9), event("e", viewer="v2", at_ms=9)])
    assert [(e.product_id, e.at_ms) for e in store.history("v1", 10)] == [("old", 1), ("mid", 2), ("new", 3)]
    assert [e.product_id for e in store.history("v1", 2)] == ["mid", "new"]
    assert store.history("nobody", 10) == []


def test_opening_twice_keeps_the_events(database_url: str) -> None:
    EventStore(database_url).append([event("a")])
    assert EventStore(database_url).count() == 1


def test_commits_reach_the_disk(url: str) -> None:
    """WAL and synchronous=FULL (2): a commit that returned survives a power cut."""
    with EventStore(url)._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


WRITER = """
import itertools, sys
from serving.event_store import EventStore, StoredEvent
store = EventStore(sys.argv[1])
for i in itertools.count():
    store.append([StoredEvent(event_id=f"e{i}", viewer_id="v", product_id="p", event_type="click", at_ms=i)])
    print(i, flush=True)
"""


def test_acknowledged_events_survive_kill_9(url: str) -> None:
    """A process is killed while it writes; every event it had acknowledged is there, in a sound database."""
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True) as writer:
        acknowledged = [writer.stdout.readline().strip() for _ in range(50)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += writer.stdout.read().split()
    store = EventStore(url)
    stored = {e.at_ms for e in store.history("v", 10**6)}
    assert {int(number) for number in acknowledged} <= stored
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def events_table(rows: list[tuple[str, str, str, int]]) -> pa.Table:
    ids, viewers, kinds, times = zip(*rows, strict=True)
    return pa.table({
        "event_id": ids,
        "viewer_id": viewers,
        "product_id": ["p1"] * len(rows),
        "event_type": kinds,
        "at": pa.array([datetime.fromtimestamp(t, UTC) for t in times], pa.timestamp("ms", "UTC")),
    })  # fmt: skip


def test_seeding_brings_each_viewers_newest_events_once(database_url: str, storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    rows = [(f"a{i}", "v1", "watch", i) for i in range(5)] + [("b", "v2", "click", 3), ("c", "v2", "impression", 4)]
    dataset.append("events", events_table(rows), "test")
    store = EventStore(database_url)
    assert store.seed(dataset, 3) == 4
    assert store.seed(dataset, 3) == 0
    assert [e.at_ms for e in store.history("v1", 10)] == [2000, 3000, 4000]
    dataset.append("events", events_table([("d", "v2", "click", 9)]), "test")
    assert store.seed(dataset, 3) == 1


def test_what_a_log_has_is_longer_than_the_store_s_columns(database_url: str, storage: Storage) -> None:
    """A request's id that is a whole address is not told; an event of a product no request can name is left out."""
    dataset = Dataset.create(storage, "shop")
    table = events_table([("a", "v1", "click", 1), ("b", "v1", "click", 2), ("c", "v1", "click", 3)])
    table = table.set_column(2, "product_id", pa.array(["p1", "p" * 257, "é" * 256]))
    table = table.append_column("request_id", pa.array(["r" * 65, "r1", None]))
    dataset.append("events", table.append_column("style", pa.array(["s" * 65, None, "ink"])), "test")
    store = EventStore(database_url)
    assert store.seed(dataset, 3) == 2
    assert [(e.product_id, e.at_ms) for e in store.history("v1", 10)] == [("p1", 1000), ("é" * 256, 3000)]


def test_seeding_nothing_is_fine(url: str, storage: Storage) -> None:
    assert EventStore(url).seed(Dataset.create(storage, "empty"), 5) == 0


@pytest.mark.parametrize("url", ["no url", "nosuchdatabase://x/y"])
def test_wrong_url_is_an_input_error_that_names_the_setting(url: str) -> None:
    with pytest.raises(InputError, match="SHOPREEL_EVENT_STORE"):
        EventStore(url)


def test_a_database_that_is_waited_for_by_too_many_does_not_answer(url: str) -> None:
    store = EventStore(url)
    store._engine = sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with store._engine.connect(), pytest.raises(DatabaseError):
        store.history("v1", 10)


def test_a_postgresql_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database.PATIENCE, "connect_timeout", "2")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DatabaseError):
        EventStore(f"postgresql+psycopg://tests@127.0.0.1:{silent.getsockname()[1]}/shop")


def test_full_disk_raises_and_loses_nothing(url: str) -> None:
    """SQLite's page limit stands for a full disk: the append that does not fit raises, what was stored stays."""
    store = EventStore(url)
    store.append([event("a")])
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StorageError, match="full"):
        store.append([event(f"x{i}", product="p" * 200) for i in range(500)])
    assert store.count() == 1
