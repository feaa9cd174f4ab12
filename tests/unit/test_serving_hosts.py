"""Hosts over HTTP: the creators of what a viewer took to, only those who are live, counted when first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.errors import NotFoundError
from cluster.storage import Storage
from serving.contracts import NotCountedError
from serving.event_store import EventStore, StoredEvent
from serving.live_hosts import LiveHosts
from serving.live_model import LiveModel
from tests.recommender_log import preset_codes
from tests.serving_site import Site
from tests.tiny_shop import make_tiny_shop
from tests.waiting import wait_for
from trainables.data.dataset import Dataset
from trainables.recommender.history import HistoryEvent
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import end_of, read_training_data, train


def asked(site: Site, **body: Any) -> Any:
    return site("POST", "/v1/hosts", json={"viewer": "mia", "k": 5, **body})


def test_hosts_come_with_reasons_and_only_those_who_are_live(site: Site) -> None:
    items = asked(site).json()["items"]
    assert [item["host"] for item in items] == ["acme", "brio", "cara"]
    assert items[0]["reasons"] == [{"host": "acme", "share": 0.5}]
    assert [item["host"] for item in asked(site, live=["cara", "ghost"]).json()["items"]] == ["cara"]
    assert asked(site, live=[]).json()["items"] == []


@pytest.mark.parametrize("body", [{"k": 0}, {"live": [""]}, {"live": "acme"}, {"live": ["x"] * 10_001}])
def test_a_wrong_request_is_named(site: Site, body: dict[str, Any]) -> None:
    answer = asked(site, **body)
    assert answer.status_code == 422
    assert next(iter(body)) in answer.json()["detail"]


def test_what_keeps_hosts_from_being_ranked_is_said(site: Site) -> None:
    site.recommender.hosts_failure = NotCountedError("hosts are being counted for the first time; ask again")
    busy = asked(site)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
    site.recommender.hosts_failure = NotFoundError("no product of this shop says who made it")
    assert asked(site).status_code == 404


def with_creators(dataset: Dataset, storage: Storage) -> Dataset:
    """A copy of the shop whose products have one creator for even and one for odd numbers."""
    copied = Dataset.create(storage, "made")
    products = dataset.arrow("products")
    names = pa.array([f"host{int(p[1:]) % 2}" for p in products["product_id"].to_pylist()])
    place = products.schema.get_field_index("creator")
    copied.append("products", products.set_column(place, products.schema.field(place), names), "test")
    copied.append("events", dataset.arrow("events"), "test")
    return copied


def hosts_of(dataset: Dataset, tmp_path: Path) -> tuple[LiveHosts, EventStore, int]:
    data = read_training_data(dataset)
    end_ms = end_of(data.events)
    store = EventStore(f"sqlite:///{tmp_path}/events.db")
    live = LiveModel(train(RecommenderTrainConfig(), data, preset_codes(), until_ms=end_ms), dataset, store)
    return LiveHosts(live, refresh_s=0.05), store, end_ms


def test_hosts_are_counted_from_the_first_request_on_and_follow_the_events(storage: Storage, tmp_path: Path) -> None:
    hosts, store, end_ms = hosts_of(with_creators(make_tiny_shop(storage), storage), tmp_path)
    with pytest.raises(NotCountedError):
        hosts.slate([], 2, end_ms, None)
    hosts.begin(patience_s=60)
    odd = [HistoryEvent("p03", "like", end_ms), HistoryEvent("p05", "like", end_ms)]
    first, *_ = hosts.slate(odd, 2, end_ms, None)
    assert first.product_id == "host1"
    assert [reason.product_id for reason in first.reasons][0] == "host1"
    assert [host.product_id for host in hosts.slate(odd, 2, end_ms, ["host0", "ghost"])] == ["host0"]
    before = hosts._counted
    store.append([StoredEvent(event_id="e", viewer_id="new", product_id="p00", event_type="like", at_ms=end_ms + 1000)])
    wait_for(lambda: hosts._counted is not before, "a count with the new event")
    assert hosts._counted.recommender.model.viewers_n.sum() == before.recommender.model.viewers_n.sum() + 1


def test_a_shop_that_knows_no_creators_says_so(storage: Storage, tmp_path: Path) -> None:
    hosts, _, end_ms = hosts_of(make_tiny_shop(storage), tmp_path)
    hosts.begin(patience_s=60)
    with pytest.raises(NotFoundError, match="says who made it"):
        hosts.slate([], 2, end_ms, None)
