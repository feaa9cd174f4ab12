"""The ranker: learns what matters, knows no future, comes back from its arrays unchanged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.impression_log import TINY_RANKER, as_shown, impressions_log
from tests.recommender_log import DAY_MS, START_MS, events_table, products_table
from trainables.metrics import impressions as measures
from trainables.recommender.ranking.bundle_parts import from_tensors, to_tensors
from trainables.recommender.ranking.calibration import Calibration, sigmoid
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.log import Codes, Log, common_surfaces, read_log, viewer_codes
from trainables.recommender.ranking.ranker import Ranker, Shown
from trainables.recommender.ranking.train import TooFewImpressionsError, train_ranker
from trainables.recommender.train import TrainingData

CUT_MS = START_MS + 4 * DAY_MS
CONFIG = TINY_RANKER


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return impressions_log()


@pytest.fixture(scope="module")
def past(data: TrainingData) -> TrainingData:
    before = pc.less(data.events["at"].cast(pa.int64()), CUT_MS)
    return replace(data, events=data.events.filter(before))


@pytest.fixture(scope="module")
def ranker(data: TrainingData) -> Ranker:
    return train_ranker(CONFIG, data, until_ms=CUT_MS)


def later(data: TrainingData) -> tuple[Shown, np.ndarray]:
    """Impressions from the cut on, and whether they were clicked."""
    at = data.events["at"].cast(pa.int64())
    shown = data.events.filter(pc.and_(pc.equal(data.events["event_type"], "impression"), pc.greater_equal(at, CUT_MS)))
    clicked = data.events.filter(pc.equal(data.events["event_type"], "click"))["request_id"]
    happened = pc.is_in(shown["request_id"], value_set=clicked.combine_chunks()).to_numpy(zero_copy_only=False)
    return as_shown(shown), happened * 1.0


def part(rows: Shown, chosen: np.ndarray) -> Shown:
    take = pa.array(np.flatnonzero(chosen) if chosen.dtype == bool else chosen)
    return Shown(
        rows.viewer_ids.take(take), rows.product_ids.take(take), rows.at_ms[take], rows.surfaces.take(take),
        rows.seconds[take],
    )  # fmt: skip


def test_it_is_far_better_than_chance_and_calibrated(data, past, ranker) -> None:
    rows, clicked = later(data)
    scores = ranker.score(past, rows)
    assert measures.auc(clicked, scores.click_N) > 0.68  # the true chances reach about 0.74
    assert measures.expected_calibration_error(clicked, scores.click_N) < 0.08  # 0.03 is the noise of so few rows
    assert np.isfinite(scores.watch_seconds_N).all() and (scores.watch_seconds_N >= 0).all()


def test_training_again_gives_the_same_scores(data, past, ranker) -> None:
    rows, _ = later(data)
    again = train_ranker(CONFIG, data, until_ms=CUT_MS).score(past, rows)
    np.testing.assert_array_equal(again.click_N, ranker.score(past, rows).click_N)


def test_events_after_the_boundary_do_not_reach_training(past, data, ranker) -> None:
    rows, _ = later(data)
    without = train_ranker(CONFIG, past, until_ms=CUT_MS)
    np.testing.assert_array_equal(without.score(past, rows).click_N, ranker.score(past, rows).click_N)


def test_later_rows_of_the_file_change_nothing(data, past, ranker) -> None:
    rows, _ = later(data)
    early = rows.at_ms < CUT_MS + DAY_MS
    alone, among = ranker.score(past, part(rows, early)), ranker.score(past, rows)
    for name in ("click_N", "long_view_N", "watch_seconds_N"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(among, name)[early])


def test_outcomes_at_or_after_a_row_change_nothing(data, past, ranker) -> None:
    rows, _ = later(data)
    first = rows.at_ms < rows.at_ms.min() + 1
    known = ranker.score(past, part(rows, first))
    told = ranker.score(data, part(rows, first))
    np.testing.assert_array_equal(known.click_N, told.click_N)


def test_the_order_of_the_file_does_not_matter_and_duplicates_score_alike(data, past, ranker) -> None:
    rows, _ = later(data)
    order = np.random.default_rng(0).permutation(len(rows.at_ms))
    straight = ranker.score(past, rows)
    np.testing.assert_array_equal(ranker.score(past, part(rows, order)).click_N, straight.click_N[order])
    twice = np.concatenate([np.arange(len(rows.at_ms)), [3, 5]])
    doubled = ranker.score(past, part(rows, twice))
    np.testing.assert_array_equal(doubled.click_N, straight.click_N[twice])


def test_unknown_viewers_products_and_surfaces_get_sensible_scores(data, past, ranker) -> None:
    rows = Shown(
        pa.array(["nobody", "v001"]), pa.array(["p03", "new"]), np.array([CUT_MS, CUT_MS]),
        pa.array(["tab-1", "elsewhere"]), np.array([10.0, 0.0]),
    )  # fmt: skip
    scores = ranker.score(past, rows)
    assert ((scores.click_N > 0.02) & (scores.click_N < 0.98)).all()


@pytest.mark.filterwarnings("error")
def test_a_row_before_the_log_begins_is_scored_as_if_nothing_were_known(past, ranker) -> None:
    times = np.array([0, START_MS - DAY_MS])
    rows = Shown(pa.array(["v001"] * 2), pa.array(["p03"] * 2), times, pa.array(["tab-1"] * 2), np.full(2, 10.0))
    strangers = replace(past, events=past.events.filter(pc.not_equal(past.events["viewer_id"], "v001")))
    found, unmet = ranker.score(past, rows), ranker.score(strangers, rows)
    np.testing.assert_array_equal(found.click_N, unmet.click_N)
    assert np.isfinite(found.click_N).all() and np.isfinite(found.watch_seconds_N).all()


def test_a_ranker_comes_back_from_its_arrays_bit_for_bit(data, past, ranker) -> None:
    rows, _ = later(data)
    again, before = from_tensors(to_tensors(ranker)).score(past, rows), ranker.score(past, rows)
    for name in ("click_N", "long_view_N", "watch_seconds_N"):
        np.testing.assert_array_equal(getattr(again, name), getattr(before, name))


def test_purchases_train_a_conversion_head() -> None:
    data = impressions_log(viewers=40, days=4)
    clicks = data.events.filter(pc.equal(data.events["event_type"], "click"))
    bought = clicks.slice(0, 60)
    ids = pa.array([f"buy-{i}" for i in range(bought.num_rows)])
    for name, column in (("event_type", pa.array(["purchase"] * bought.num_rows)), ("event_id", ids)):
        place = bought.schema.get_field_index(name)
        bought = bought.set_column(place, bought.schema.field(name), column)
    with_purchases = replace(data, events=pa.concat_tables([data.events, bought]))
    network = train_ranker(CONFIG, with_purchases, until_ms=START_MS + 4 * DAY_MS).network
    assert network is not None and "purchase" in network.modules[0].heads
    plain = train_ranker(CONFIG, data, until_ms=START_MS + 4 * DAY_MS).network
    assert plain is not None and "purchase" not in plain.modules[0].heads


def test_a_tiny_log_trains_no_ranker_and_says_so() -> None:
    with pytest.raises(TooFewImpressionsError, match=r"impressions, a ranker needs 2,000"):
        train_ranker(RankerConfig(), impressions_log(viewers=5, days=2), until_ms=CUT_MS)


def test_bad_rows_of_the_log_are_counted_and_bounded() -> None:
    shown = {"viewer_id": "a", "product_id": "p", "event_type": "impression", "at": START_MS, "request_id": "r"}
    rows = [
        shown,
        {**shown},
        {**shown, "event_type": "watch", "watch_seconds": -5.0, "duration_seconds": 10.0},
        {**shown, "product_id": "unheard of"},
        {**shown, "viewer_id": "b", "request_id": None, "at": START_MS + 1},
        {
            **shown,
            "viewer_id": "b",
            "request_id": None,
            "at": START_MS + 9,
            "event_type": "watch",
            "watch_seconds": 1e9,
        },
    ]
    table = events_table(rows)
    log = read_log(table, Codes(viewer_codes(table["viewer_id"]), pa.array(["p"]), ()))
    assert log.counts == {"unknown_products": 1, "watch_times_bounded": 2, "duplicates": 1, "impressions": 2}
    assert log.outcomes.watch_seconds_N.tolist() == [0.0, 6 * 3600.0]


def without_lengths(events: pa.Table, types: list[str]) -> pa.Table:
    """The events, those of some types without their length."""
    place = events.schema.get_field_index("duration_seconds")
    unknown = pc.is_in(events["event_type"], value_set=pa.array(types))
    lengths = pc.if_else(unknown, pa.scalar(None, events.schema.field(place).type), events["duration_seconds"])
    return events.set_column(place, events.schema.field(place), lengths)


def read(events: pa.Table, data: TrainingData) -> Log:
    product_ids = pa.array(data.products["product_id"])
    return read_log(events, Codes(viewer_codes(events["viewer_id"]), product_ids, common_surfaces(events, 1)))


def test_impressions_are_as_long_as_the_watches_of_their_product(data) -> None:
    """A storefront, and the sample shop, tell a length with watches alone."""
    told, filled = (read(events, data) for events in (data.events, without_lengths(data.events, ["impression"])))
    np.testing.assert_array_equal(filled.impressions.seconds_N, told.impressions.seconds_N)
    np.testing.assert_array_equal(filled.outcomes.long_view_N, told.outcomes.long_view_N)
    assert filled.outcomes.long_view_N.any()


def test_lengths_that_impressions_carry_are_taken_as_they_are() -> None:
    """Also an unknown one, where nothing but a history says how long the product is: that may be a guess."""
    shown = {"viewer_id": "a", "event_type": "impression", "request_id": "r", "at": START_MS}
    rows = [
        {**shown, "product_id": "p", "duration_seconds": 30.0},
        {**shown, "product_id": "p", "duration_seconds": 10.0, "request_id": "s", "at": START_MS + 1},
        {**shown, "product_id": "picture"},
        {**shown, "product_id": "picture", "event_type": "watch", "watch_seconds": 40.0, "at": START_MS + 9},
        {
            "viewer_id": "b", "product_id": "picture", "event_type": "watch", "watch_seconds": 18.0,
            "duration_seconds": 18.0, "at": START_MS - DAY_MS,
        },
    ]  # fmt: skip
    table = events_table(rows)
    log = read_log(table, Codes(viewer_codes(table["viewer_id"]), pa.array(["p", "picture"]), ()))
    assert log.impressions.seconds_N.tolist() == [30.0, 0.0, 10.0]
    assert log.outcomes.long_view_N.tolist() == [0.0, 0.0, 0.0]


def test_a_log_whose_watches_alone_tell_a_length_trains_the_same_ranker(data, past) -> None:
    bare = replace(data, events=without_lengths(data.events, ["impression"]))
    rows, _ = later(data)
    unsaid = replace(rows, seconds=np.zeros(len(rows.at_ms)))
    trees = replace(CONFIG, network=False)
    again, told = (train_ranker(trees, log, until_ms=CUT_MS) for log in (bare, data))
    bare_past = replace(past, events=without_lengths(past.events, ["impression"]))
    np.testing.assert_array_equal(again.score(bare_past, unsaid).long_view_N, told.score(past, rows).long_view_N)


def test_a_log_that_tells_no_length_says_which_column_to_log(data) -> None:
    everywhere = ["impression", "watch", "click"]
    with pytest.raises(TooFewImpressionsError, match="none led to a long view.*watches duration_seconds"):
        train_ranker(CONFIG, replace(data, events=without_lengths(data.events, everywhere)), until_ms=CUT_MS)


def test_a_log_of_dates_most_of_which_are_one_day_says_so(data) -> None:
    at = data.events["at"].cast(pa.int64()).to_numpy()
    days = np.where(at < np.quantile(at, 0.9), START_MS - DAY_MS, START_MS)
    place = data.events.schema.get_field_index("at")
    times = pa.array(days, pa.int64()).cast(data.events.schema.field(place).type)
    dated = replace(data, events=data.events.set_column(place, data.events.schema.field(place), times))
    with pytest.raises(TooFewImpressionsError, match="have the same, oldest time.*log finer times in column 'at'"):
        train_ranker(CONFIG, dated, until_ms=CUT_MS)


def test_watches_without_an_impression_are_history() -> None:
    seen = {"viewer_id": "a", "product_id": "p", "event_type": "watch", "at": START_MS, "surface": "history"}
    rows = [
        {**seen, "watch_seconds": 18.0, "duration_seconds": 40.0},
        {**seen, "at": START_MS + 5, "duration_seconds": 40.0},
        {**seen, "at": START_MS + 5, "event_type": "like"},
    ]
    table = events_table(rows)
    watches = read_log(table, Codes(viewer_codes(table["viewer_id"]), pa.array(["p"]), ())).watches
    assert watches.long_view_W.tolist() == [1.0, 0.0]
    assert watches.like_W.tolist() == [0.0, 1.0]


def test_calibration_undoes_a_stretch_and_a_shift_of_one_surface() -> None:
    rng = np.random.default_rng(0)
    true_logit, surface = rng.normal(0, 1.5, 40_000), rng.integers(0, 2, 40_000)
    happened = (rng.random(40_000) < sigmoid(true_logit + 0.8 * surface)) * 1.0
    fitted = Calibration.fit(2 * true_logit + 1, surface, happened, 2)
    np.testing.assert_allclose(fitted(2 * true_logit + 1, surface), sigmoid(true_logit + 0.8 * surface), atol=0.03)


def test_config_names_the_field_and_the_fix() -> None:
    with pytest.raises(ValueError, match=r"ranker\.threads is 0; set 1 or more"):
        RankerConfig(threads=0)


def test_a_log_in_which_nobody_clicks_trains_no_ranker() -> None:
    rows = [
        {"viewer_id": f"v{i % 9}", "product_id": "p", "event_type": "impression", "at": START_MS + i * 1000}
        for i in range(600)
    ]
    data = TrainingData(events_table(rows), products_table(["p"]), {})
    with pytest.raises(TooFewImpressionsError, match="none led to a click"):
        train_ranker(CONFIG, data, until_ms=CUT_MS)
