import numpy as np
import pyarrow as pa
import pytest

from cluster.config import override
from cluster.errors import InputError
from tests.recommender_log import DAY_MS, START_MS, events_table
from trainables.recommender.feedback import FeedbackConfig, collect
from trainables.recommender.settings import RecommenderTrainConfig

IDS = ["a", "b", "c"]
CONFIG = FeedbackConfig()


def event(product: str, kind: str, at: int = START_MS, viewer: str = "v1", **more):
    return {"viewer_id": viewer, "product_id": product, "event_type": kind, "at": at, **more}


def watch(product: str, seconds: float | None, duration: float | None = 10.0, **more):
    return event(product, "watch", watch_seconds=seconds, duration_seconds=duration, **more)


def weights(*rows) -> dict[str, float]:
    feedback = collect(events_table(rows), IDS, CONFIG)
    return {IDS[p]: w for p, w in zip(feedback.product_N, feedback.weight_N, strict=True)}


def test_a_purchase_outweighs_a_like_a_watch_to_the_end_a_click_and_an_impression():
    order = [weights(event("a", kind))["a"] for kind in ("purchase", "like")]
    order += [weights(watch("a", 10.0))["a"], weights(event("a", "click"))["a"]]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == 4
    assert weights(event("a", "impression")) == {}


def test_a_watch_counts_by_its_share_and_twenty_seconds_are_enough():
    assert weights(watch("a", 5.0)) == {"a": pytest.approx(0.5)}
    assert weights(watch("a", 20.0, 600.0)) == {"a": pytest.approx(1.0)}
    assert weights(watch("a", 35.0)) == {"a": pytest.approx(1.0)}
    assert weights(watch("a", None)) == {"a": pytest.approx(CONFIG.click)}


def test_the_strongest_event_of_a_pair_counts_at_its_last_time():
    rows = [event("a", "click", START_MS + DAY_MS), watch("a", 10.0), *[event("a", "click")] * 5]
    feedback = collect(events_table(rows), IDS, CONFIG)
    assert feedback.weight_N.tolist() == [1.0]
    assert feedback.at_ms_N.tolist() == [START_MS + DAY_MS]


@pytest.mark.parametrize("seconds", [-5.0, -np.inf])
def test_negative_watch_times_are_clamped_and_counted(seconds):
    feedback = collect(events_table([watch("a", seconds)]), IDS, CONFIG)
    assert feedback.weight_N.tolist() == [0.0]  # seen, not taken to
    assert feedback.counts["bad_watch_time"] == 1


@pytest.mark.parametrize("seconds", [np.inf, 1e9])
def test_absurd_watch_times_are_clamped_and_counted(seconds):
    feedback = collect(events_table([watch("a", seconds)]), IDS, CONFIG)
    assert feedback.weight_N.tolist() == [1.0]
    assert feedback.counts["bad_watch_time"] == 1


def test_a_duration_of_zero_counts_as_unknown():
    feedback = collect(events_table([watch("a", 10.0, 0.0), watch("b", 10.0, -3.0)]), IDS, CONFIG)
    assert feedback.weight_N.tolist() == [0.5, 0.5]
    assert feedback.counts["bad_duration"] == 2


def test_unknown_products_and_types_are_dropped_and_counted():
    rows = [event("a", "like"), event("nowhere", "like"), event("b", "teleport")]
    feedback = collect(events_table(rows), IDS, CONFIG)
    assert feedback.product_N.tolist() == [0]
    assert (feedback.counts["unknown_product"], feedback.counts["unknown_event_type"]) == (1, 1)


def test_a_wrong_clock_is_dropped_and_counted():
    rows = [event("a", "like"), event("b", "like"), event("c", "like", START_MS + 3000 * DAY_MS)]
    feedback = collect(events_table(rows), IDS, CONFIG)
    assert feedback.product_N.tolist() == [0, 1]
    assert feedback.counts["far_future"] == 1


def test_one_viewer_with_a_million_events_is_capped_to_the_newest_products():
    count = 1_000_000
    table = events_table([event("a", "like", viewer="v2"), event("a", "click", viewer="robot")])
    robot = table.slice(1, 1)
    ids = [f"p{i}" for i in range(5000)]
    take = np.zeros(count, np.int64)
    many = robot.take(take)
    products = np.array(ids)[np.arange(count) % 5000]
    times = START_MS + np.arange(count)
    many = many.set_column(2, many.schema.field(2), pa.array(products, pa.string()))
    many = many.set_column(4, many.schema.field(4), pa.array(times, pa.int64()).cast(many.schema.field(4).type))
    feedback = collect(pa.concat_tables([table.slice(0, 1), many]), ["a", *ids], CONFIG)
    robot_row = feedback.viewers.tolist().index("robot")
    kept = feedback.product_N[feedback.viewer_N == robot_row]
    assert len(kept) == CONFIG.max_products
    assert set(kept) == set(range(4001, 5001))
    assert feedback.counts["over_cap"] == 4000
    assert (feedback.viewer_N != robot_row).sum() == 1


def test_the_order_of_the_log_does_not_matter():
    rng = np.random.default_rng(0)
    picks = rng.integers((3, 9, 5), size=(60, 3)).tolist()
    rows = [event(IDS[product], "click", START_MS + at, f"v{viewer}") for product, at, viewer in picks]
    table = events_table(rows)
    one, other = collect(table, IDS, CONFIG), collect(table.take(rng.permutation(60)), IDS, CONFIG)
    for name in ("viewers", "viewer_N", "product_N", "at_ms_N", "weight_N"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_an_empty_log_is_no_error():
    feedback = collect(events_table([]), IDS, CONFIG)
    assert len(feedback.viewer_N) == 0
    assert feedback.counts["events"] == 0


def test_settings_are_checked_by_name():
    with pytest.raises(InputError, match="feedback.like is -1"):
        override(RecommenderTrainConfig(), ["feedback.like=-1"])
    with pytest.raises(InputError, match=r"ease\.l2 is 0"):
        override(RecommenderTrainConfig(), ["ease.l2=0"])
    with pytest.raises(InputError, match="history_half_life_days"):
        override(RecommenderTrainConfig(), ["history_half_life_days=0"])
