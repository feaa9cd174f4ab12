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
from trainables.recommender.ranking.log import Codes, read_log, viewer_codes
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
