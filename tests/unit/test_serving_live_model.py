"""The served statistics follow the events, wait for nobody, and are the same after a restart."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from cluster.storage import Storage
from serving.event_store import EventStore, StoredEvent
from serving.live_model import LiveModel
from tests.recommender_log import preset_codes
from tests.tiny_shop import DAY_MS, make_tiny_shop
from trainables.data.dataset import Dataset
from trainables.recommender.history import HistoryEvent
from trainables.recommender.model import ItemModel
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import end_of, read_training_data, train


@pytest.fixture
def shop(storage: Storage) -> Dataset:
    return make_tiny_shop(storage)


@pytest.fixture
def model(shop: Dataset) -> ItemModel:
    data = read_training_data(shop)
    return train(RecommenderTrainConfig(), data, preset_codes(), until_ms=end_of(data.events))


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    return EventStore(f"sqlite:///{tmp_path}/events.db")


def watches(store: EventStore, product: str, viewers: int, at_ms: int) -> None:
    store.append(
        [
            StoredEvent(
                event_id=f"{product}-{viewer}-{at_ms}",
                viewer_id=f"new{viewer}",
                product_id=product,
                event_type="watch",
                at_ms=at_ms + viewer,
                watch_seconds=6.0,
                duration_seconds=6.0,
            )
            for viewer in range(viewers)
        ]
    )


def test_what_is_popular_moves_with_the_events(shop: Dataset, model: ItemModel, store: EventStore) -> None:
    live = LiveModel(model, shop, store)
    before = live.recommender.model
    live.follow_trends()
    assert live.recommender.model is before  # nothing new, nothing done
    watches(store, "p07", 40, model.trained_until_ms + DAY_MS)
    live.follow_trends()
    assert live.recommender.recommend([], 1, model.trained_until_ms)[0].product_id == "p07"
    np.testing.assert_array_equal(live.recommender.model.item_item_mm, before.item_item_mm)


def test_a_rebuild_is_a_training_on_all_events_also_after_a_restart(
    shop: Dataset, model: ItemModel, store: EventStore
) -> None:
    """Events that were acknowledged are in the statistics of whichever process counts next."""
    for product in ("p00", "p01"):  # a taste across parities, which the log does not have
        watches(store, product, 25, model.trained_until_ms + 1000)
    live, restarted = LiveModel(model, shop, store), LiveModel(model, shop, store)
    live.rebuild()
    restarted.rebuild()
    rebuilt = live.recommender.model
    known = {product_id: row for row, product_id in enumerate(np.array(model.product_ids)[model.item_rows])}
    weight = (known["p00"], known["p01"])
    assert rebuilt.item_item_mm[weight] > model.item_item_mm[weight] + 0.05
    assert rebuilt.viewers_n.sum() == model.viewers_n.sum() + 50
    np.testing.assert_array_equal(restarted.recommender.model.item_item_mm, rebuilt.item_item_mm)


def test_an_erased_viewer_is_counted_no_more_also_after_a_restart(
    shop: Dataset, model: ItemModel, store: EventStore
) -> None:
    """The last viewer to come goes: the statistics step back to those without them."""
    watches(store, "p07", 3, model.trained_until_ms + DAY_MS)
    live = LiveModel(model, shop, store)
    live.rebuild()
    assert live.recommender.model.viewers_n.sum() == model.viewers_n.sum() + 3
    store.forget("new2")
    store.keep_receipt("r", "0" * 64, 1, "{}")
    live.follow_trends()
    assert live.recommender.model.viewers_n.sum() == model.viewers_n.sum() + 2
    restarted = LiveModel(model, shop, store)
    restarted.follow_trends()
    np.testing.assert_array_equal(restarted.recommender.model.viewers_n, live.recommender.model.viewers_n)


def test_a_pause_between_the_log_and_the_first_visit_fades_nothing(
    shop: Dataset, model: ItemModel, store: EventStore
) -> None:
    watches(store, "p07", 1, model.trained_until_ms + 1000 * DAY_MS)
    live = LiveModel(model, shop, store)
    live.follow_trends()
    popular = live.recommender.model.popularity_n
    assert (popular > 0.01).sum() > 6


def test_viewers_of_an_old_log_are_still_known(shop: Dataset, model: ItemModel, store: EventStore) -> None:
    """Three years after the log their past weighs as it did a day after it, and so it does once others have come; what
    they do now is as fresh as it is.
    """
    years_ms = 1000 * DAY_MS
    opened_ms = model.trained_until_ms + years_ms
    old, fresh = (HistoryEvent("p00", "like", at_ms) for at_ms in (model.trained_until_ms - DAY_MS, opened_ms + 1))
    live = LiveModel(model, shop, store)
    assert live.without_pause([old], model.trained_until_ms + DAY_MS) == [old]
    assert [event.at_ms for event in live.without_pause([old, fresh], opened_ms)] == [
        opened_ms - 2 * DAY_MS,
        opened_ms + 1,
    ]
    watches(store, "p07", 1, opened_ms)
    live.follow_trends()
    later_ms = opened_ms + 5 * DAY_MS
    assert live.without_pause([old], later_ms)[0].at_ms == opened_ms - 2 * DAY_MS  # from now on time goes on
    slate = live.recommender.recommend(live.without_pause([old], opened_ms), 1, opened_ms)
    assert slate[0].reasons[0].share > 0.1 * slate[0].score


def test_requests_are_answered_while_a_rebuild_goes_on(
    shop: Dataset, model: ItemModel, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuild that is stuck holds no request up, and none sees half of it."""
    entered, leave = threading.Event(), threading.Event()

    def slow(model: ItemModel, *_: object) -> ItemModel:
        entered.set()
        leave.wait(30)
        return model

    monkeypatch.setattr("serving.live_model.rebuild", slow)
    watches(store, "p07", 3, model.trained_until_ms + DAY_MS)
    live = LiveModel(model, shop, store)
    live.start(trend_s=60, rebuild_s=900)
    assert entered.wait(30)
    past = [HistoryEvent("p00", "like", model.trained_until_ms)]
    assert len(live.recommender.recommend(past, 5, model.trained_until_ms)) == 5
    leave.set()
    live.stop()


def test_a_refresh_that_fails_leaves_the_last_statistics_and_says_so(
    shop: Dataset,
    model: ItemModel,
    store: EventStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    failed = threading.Event()

    def broken(*_: object) -> ItemModel:
        failed.set()
        raise OSError("the log's disk is gone")

    monkeypatch.setattr("serving.live_model.read_training_data", broken)
    live = LiveModel(model, shop, store)
    live.start(trend_s=60, rebuild_s=900)
    assert failed.wait(30)
    live.stop()
    assert live.recommender.model is model
    assert "the log's disk is gone" in caplog.text
