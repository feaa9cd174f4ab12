"""Creators and live hosts: a log of products told of who made them, and slates of those who are live."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import InputError
from tests.recommender_log import events_table, preset_codes, products_table, two_tastes
from trainables.recommender.entities import creators, history_of_creators, live_slate, of_creators
from trainables.recommender.history import HistoryEvent, histories
from trainables.recommender.recommender import Recommender
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, train

NOW = 1_700_000_000_000 + 30 * 86_400_000


def small() -> TrainingData:
    products = products_table(
        ["a", "b", "c", "d"],
        ["shoe", "hat", "hat", "bag"],
        creator=["mia", "mia", "mia", None],
        tags=[["red"], ["red", "wool"], None, ["blue"]],
    )
    events = events_table(
        {"viewer_id": "v", "product_id": product, "event_type": "click", "at": 1000 + i}
        for i, product in enumerate(["a", "d", "b", "ghost"])
    )
    return TrainingData(events, products, {"a": np.zeros(3, np.float32), "b": np.ones(3, np.float32)})


def test_events_and_catalogue_are_told_of_creators() -> None:
    data = of_creators(small())
    assert data.events["product_id"].to_pylist() == ["mia", "mia"]
    assert data.events["at"].cast(pa.int64()).to_pylist() == [1000, 1002]
    row = data.products.to_pylist()
    assert [(r["product_id"], r["category"], r["tags"]) for r in row] == [("mia", "hat", ["red", "wool"])]
    np.testing.assert_allclose(data.style_codes["mia"], 0.5)
    history = [HistoryEvent("d", "click", 1), HistoryEvent("b", "like", 2)]
    assert history_of_creators(history, creators(small().products)) == [HistoryEvent("mia", "like", 2)]
    with pytest.raises(InputError, match="no product has a creator"):
        of_creators(replace(small(), products=products_table(["a"])))


@pytest.fixture(scope="module")
def hosts() -> tuple[Recommender, TrainingData, TrainingData]:
    """Sixty products by twelve hosts; viewers like those of one parity."""
    data = two_tastes()
    names = pa.array([f"host{i % 12:02d}" for i in range(60)], pa.string())
    column = data.products.schema.get_field_index("creator")
    data = replace(data, products=data.products.set_column(column, data.products.schema.field(column), names))
    told = of_creators(data)
    return Recommender(train(RecommenderTrainConfig(), told, preset_codes(), until_ms=NOW)), told, data


def test_viewers_get_live_hosts_of_their_taste_with_reasons_that_sum_to_the_score(hosts) -> None:
    recommender, told, _ = hosts
    assert list(recommender.products) == [f"host{i:02d}" for i in range(12)]
    history = histories(told.events, ["v000"])["v000"]
    live = {"host00", "host01", "host02", "host03", "host10", "nobody"}
    slate = live_slate(recommender, history, 10, NOW, live)
    assert {item.product_id for item in slate} == live - {"nobody"}
    assert {item.product_id for item in slate[:3]} == {"host00", "host02", "host10"}
    for item in slate:
        assert item.score == pytest.approx(math.fsum([item.popularity, *(r.share for r in item.reasons)]))
    assert [item.score for item in slate] == sorted((item.score for item in slate), reverse=True)
    assert live_slate(recommender, history, 2, NOW, live) == slate[:2]


def test_a_host_who_goes_off_air_leaves_and_one_never_met_can_be_shown(hosts) -> None:
    recommender, _, _ = hosts
    met = [HistoryEvent("host04", "like", NOW - 1000)]
    assert live_slate(recommender, met, 3, NOW, {"host04", "host06"})[0].product_id == "host04"
    assert [item.product_id for item in live_slate(recommender, met, 3, NOW, {"host06"})] == ["host06"]
    assert live_slate(recommender, met, 3, NOW, set()) == []
    nobody_knows = live_slate(recommender, [], 3, NOW, {"host01", "host02"})
    assert all(item.reasons == [] and item.source == "popular" for item in nobody_knows)
    with pytest.raises(InputError, match="k is 0"):
        live_slate(recommender, [], 0, NOW, {"host01"})
