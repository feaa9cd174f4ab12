"""A log as bad as logs get: what cannot be used is counted and bounded, and a model is trained on the rest."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tests.recommender_log import DAY_MS, START_MS, events_table, preset_codes, products_table, two_tastes
from trainables.data.schemas import conform
from trainables.recommender.batch import pasts
from trainables.recommender.feedback import FeedbackConfig, collect
from trainables.recommender.model import ItemModel
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, end_of, train

CONFIG = RecommenderTrainConfig()
DATA = two_tastes(viewers=120)
IDS = DATA.products["product_id"].to_pylist()


def trained(events: pa.Table, data: TrainingData = DATA) -> ItemModel:
    return train(CONFIG, replace(data, events=events), preset_codes(), until_ms=end_of(events))


def with_rows(*rows: dict) -> pa.Table:
    more = events_table(rows)
    ids = pa.array([f"bad{place}" for place in range(len(rows))])
    return pa.concat_tables([DATA.events, more.set_column(0, more.schema.field(0), ids)])


def assert_usable(model: ItemModel) -> None:
    scores = model.scores(np.array([0, 2]), np.array([1.0, 1.0]))
    assert np.isfinite(scores).all() and len(set(scores.tolist())) > 10
    assert np.isfinite(model.popularity_n).all() and np.isfinite(model.content_nD).all()


def event(product: str, kind: str, at: int = START_MS, viewer: str = "v000", **more) -> dict:
    return {"viewer_id": viewer, "product_id": product, "event_type": kind, "at": at, **more}


GOOD = trained(DATA.events)


@pytest.mark.parametrize("days", [3000, 100_000])
def test_clocks_far_ahead_are_dropped_and_counted_and_those_far_behind_fade(days):
    ahead, behind = START_MS + days * DAY_MS, -START_MS
    events = with_rows(event("p00", "like", ahead), event("p01", "like", behind))
    found = collect(events, IDS, CONFIG.feedback)
    assert found.counts["far_future"] == 1 and found.at_ms_N.max() < ahead
    assert end_of(events) == end_of(DATA.events)
    model = trained(events)
    assert_usable(model)
    # A pair counts at its last time with its strongest event: the late clock is worth a like of one viewer at most.
    shift = np.abs(model.popularity_n - GOOD.popularity_n)
    assert shift.max() < 0.01 and set(np.flatnonzero(shift > 1e-6)) <= {1}


def test_a_viewer_who_comes_back_after_years_has_no_wrong_clock():
    """Which clocks are wrong is asked of the whole log, also where a slate is made for one viewer alone."""
    now_ms, wrong_ms = end_of(DATA.events), START_MS + 9000 * DAY_MS
    years_ago = event("p00", "like", now_ms - 1000 * DAY_MS, "back")
    events = with_rows(years_ago, event("p02", "like", now_ms - 1, "back"), event("p04", "like", wrong_ms, "ahead"))
    alone, beside_another = (pasts(GOOD, events, viewers, now_ms) for viewers in (["back"], ["ahead", "back"]))
    for past in (alone, beside_another):
        found = past.of("back")
        assert [IDS[row] for row in found.rows] == ["p00", "p02"]
        assert found.weights[1] > 0.9
    assert not len(pasts(GOOD, events, ["ahead"], now_ms).of("ahead").rows)


def test_duplicates_change_nothing():
    twice = pa.concat_tables([DATA.events] * 3)
    model = trained(twice)
    assert model.counts["events"] == 3 * DATA.events.num_rows and model.counts["pairs"] == GOOD.counts["pairs"]
    np.testing.assert_array_equal(model.item_item_mm, GOOD.item_item_mm)
    np.testing.assert_array_equal(model.popularity_n, GOOD.popularity_n)


@pytest.mark.parametrize("seconds", [-1.0, -1e30, -np.inf])
def test_negative_watch_times_are_counted_and_worth_nothing(seconds):
    product = "p58"  # never shown to anybody else
    model = trained(with_rows(event(product, "watch", watch_seconds=seconds, duration_seconds=8.0)))
    assert model.counts["bad_watch_time"] == 1
    assert model.viewers_n[IDS.index(product)] == 0 and model.popularity_n[IDS.index(product)] == 0
    assert_usable(model)


def test_unknown_products_types_and_viewers_are_counted():
    model = trained(with_rows(event("nowhere", "like"), event("p00", "teleport"), event("p00", "like", viewer="")))
    assert (model.counts["unknown_product"], model.counts["unknown_event_type"]) == (1, 1)
    assert model.counts["viewers"] == GOOD.counts["viewers"] + 1
    assert_usable(model)


def million(viewer: str, ids: list[str]) -> pa.Table:
    count = 1_000_000
    place = np.arange(count)
    columns = {
        "event_id": pa.array(place).cast(pa.string()),
        "viewer_id": pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [viewer]).cast(pa.string()),
        "product_id": pa.array(ids).take(pa.array(place % len(ids))),
        "event_type": pa.array(["like"]).take(pa.array(np.zeros(count, np.int64))),
        "at": pa.array(START_MS + place).cast(pa.timestamp("ms", tz="UTC")),
    }
    return conform(pa.table(columns), "events", "test")


def test_a_million_events_of_one_viewer_count_as_one_viewer_in_bounded_memory():
    events = pa.concat_tables([DATA.events, million("robot", IDS)])
    config = FeedbackConfig(max_products=20)
    tracemalloc.start()
    found = collect(events, IDS, config)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    robot = found.viewers.tolist().index("robot")
    assert (found.viewer_N == robot).sum() == config.max_products
    assert found.counts["over_cap"] >= len(IDS) - config.max_products
    assert peak < 500e6
    model = trained(events)
    assert_usable(model)
    assert (model.viewers_n - GOOD.viewers_n).max() <= 1


def test_a_product_with_no_features_is_recommended_by_what_viewers_did():
    bare = products_table(
        IDS, [DATA.products["category"][row].as_py() if row else "unknown" for row in range(len(IDS))]
    )
    codes = {name: code for name, code in DATA.style_codes.items() if name != IDS[0]}
    model = trained(DATA.events, replace(DATA, products=bare, style_codes=codes))
    assert not model.content_nD[0].any() and model.content_nD[1:].any()
    assert_usable(model)
    assert model.scores(np.array([2, 4]), np.ones(2))[0] > model.scores(np.array([1, 3]), np.ones(2))[0]
