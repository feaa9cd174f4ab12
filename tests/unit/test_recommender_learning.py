"""Settings learned on a validation slice; statistics counted anew; batched measures; slates in a batch."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from tests.recommender_log import DAY_MS, START_MS, events_table, preset_codes, products_table, two_tastes
from trainables.data.schemas import ATTRIBUTES
from trainables.metrics import batched, ranking
from trainables.recommender import learning
from trainables.recommender.batch import caught_up, slates
from trainables.recommender.feedback import FeedbackConfig, collect
from trainables.recommender.history import histories
from trainables.recommender.learn_config import LearnConfig
from trainables.recommender.learning import clearly_better, learn, newest_slice
from trainables.recommender.popularity import PopularityConfig, trend
from trainables.recommender.recommender import Recommender
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, end_of, rebuild, train

END = START_MS + 20 * DAY_MS
CONFIG = RecommenderTrainConfig(learn=LearnConfig(least_viewers=20))


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return two_tastes()


def test_batched_measures_equal_those_slate_by_slate():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(40, 30))
    relevant = sparse.csr_array(rng.random((40, 30)) < 0.2)
    met = sparse.csr_array(rng.random((40, 30)) < 0.3)
    relevant = sparse.csr_array(relevant.toarray() & ~met.toarray())
    count = relevant.toarray().sum(1)
    asked = np.flatnonzero(count)
    slate = batched.top_k(batched.masked(scores.copy(), met), 7)
    hit = batched.hits(slate, relevant)
    for viewer in asked:
        wanted = set(np.flatnonzero(relevant.toarray()[viewer]).tolist())
        order = [i for i in np.argsort(-scores[viewer]).tolist() if not met.toarray()[viewer, i]][:7]
        assert slate[viewer].tolist() == order
        assert batched.recall(hit[[viewer]], count[[viewer]])[0] == pytest.approx(ranking.recall(order, wanted, 7))
        assert batched.ndcg(hit[[viewer]], count[[viewer]])[0] == pytest.approx(ranking.ndcg(order, wanted, 7))
        assert batched.hit_rate(hit[[viewer]])[0] == ranking.hit_rate(order, wanted, 7)


def test_a_slate_is_short_where_products_run_out():
    scores = np.array([[1.0, -np.inf, 2.0]])
    assert batched.top_k(scores, 3).tolist() == [[2, 0, -1]]
    assert not batched.hits(np.array([[2, 0, -1]]), sparse.csr_array(np.array([[False, True, False]]))).any()


def test_learning_keeps_what_is_skipped_out_where_skips_say_nothing(data):
    """In this log products are shown at random: a skip tells nothing of the viewer, a watch to the end does."""
    learned = learn(CONFIG, data, until_ms=END)
    assert learned.feedback.impression == 0.0
    boundary = START_MS + 18 * DAY_MS
    assert learn(CONFIG, data, until_ms=boundary) == learn(CONFIG, _before(data, boundary), until_ms=boundary)


def test_learning_finds_that_skips_count_where_only_what_suits_is_shown():
    """Viewers are shown nothing but their own tenth of the catalogue, and finish one product in four at random."""
    rng = np.random.default_rng(3)
    rows = []
    for viewer in range(800):
        for place, product in enumerate(rng.choice(20, 14, replace=False) * 10 + viewer % 10):
            at = START_MS + int((place + rng.random()) * DAY_MS)
            watch = {"watch_seconds": 8.0 if rng.random() < 0.25 else 0.0, "duration_seconds": 8.0}
            rows.append({"viewer_id": f"v{viewer}", "product_id": f"p{product:03d}", "at": at} | watch)
    events = events_table([{**row, "event_type": "watch"} for row in rows])
    shop = TrainingData(events, products_table([f"p{i:03d}" for i in range(200)]), {})
    assert learn(CONFIG, shop, until_ms=START_MS + 14 * DAY_MS).feedback.impression > 0


def test_few_viewers_are_scored_at_a_time_and_the_numbers_are_those_of_all_at_once(data, monkeypatch):
    def learned(viewers_at_once: int) -> tuple[RecommenderTrainConfig, int, list[np.ndarray]]:
        scored, gains, best, gain = [], [], batched.top_k, batched.ndcg

        def top_k(scores_Vn: np.ndarray, k: int) -> np.ndarray:
            scored.append(len(scores_Vn))
            return best(scores_Vn, k)

        def ndcg(*arguments: np.ndarray) -> np.ndarray:
            gains.append(gain(*arguments))
            return gains[-1]

        with monkeypatch.context() as patch:
            patch.setattr(batched, "top_k", top_k)
            patch.setattr(batched, "ndcg", ndcg)
            patch.setattr(learning, "VIEWERS_AT_ONCE", viewers_at_once)
            return learn(CONFIG, data, until_ms=END), scored[0], gains

    config, most, gains = learned(7)
    together, all_of_them, wanted = learned(10**6)
    assert most == 7 < all_of_them
    assert config == together
    for found, expected in zip(gains, wanted, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("telling", [True, False])
def test_learning_aligns_content_where_one_of_many_attributes_tells_who_likes_what(telling):
    rng, data = np.random.default_rng(0), two_tastes(products=200)
    ids = data.products["product_id"].to_pylist()
    kinds = [{f"noise{j}": "abc"[rng.integers(3)] for j in range(8)} for _ in ids]
    if telling:
        kinds = [{**kind, "shape": "round" if i % 2 else "square"} for i, kind in enumerate(kinds)]
    told = products_table(ids, attributes=pa.array([list(kind.items()) for kind in kinds], ATTRIBUTES))
    learned = learn(CONFIG, replace(data, products=told, style_codes={}), until_ms=END)
    assert learned.alignment.enabled is telling


def test_a_small_log_and_a_wish_to_be_left_alone_keep_the_settings(data):
    small = two_tastes(viewers=30)
    default = RecommenderTrainConfig()
    assert newest_slice(default, small, END) is None
    assert learn(default, small, until_ms=END) == default
    alone = RecommenderTrainConfig(learn=LearnConfig(enabled=False))
    assert learn(alone, data, until_ms=END) == alone
    same_time = events_table([{"viewer_id": "v", "product_id": "p00", "event_type": "like", "at": START_MS}] * 3)
    assert learn(default, replace(data, events=same_time), until_ms=END) == default


def test_the_slice_is_the_newest_tenth_of_the_past_alone(data):
    until = START_MS + 15 * DAY_MS
    found = newest_slice(CONFIG, data, until)
    early = found.events["at"].cast(pa.int64()).to_numpy()
    assert early.max() < found.boundary_ms < until
    assert found.relevant_Vn.multiply(found.met_Vn).nnz == 0
    assert (np.diff(found.relevant_Vn.indptr) > 0).all()


def test_a_change_has_to_beat_its_own_noise():
    noisy = np.array([1.0, -1.0] * 50) + 0.01
    assert not clearly_better(noisy, np.zeros(100))
    assert clearly_better(np.full(100, 0.01), np.zeros(100))


def test_a_rebuild_is_the_same_recipe_over_newer_statistics(data):
    boundary = START_MS + 15 * DAY_MS
    judged = train(RecommenderTrainConfig(), data, preset_codes(), until_ms=boundary)
    shipped = rebuild(judged, data, end_of(data.events))
    direct = train(RecommenderTrainConfig(), data, preset_codes(), until_ms=end_of(data.events))
    np.testing.assert_array_equal(shipped.item_item_mm, direct.item_item_mm)
    np.testing.assert_array_equal(shipped.popularity_n, direct.popularity_n)
    assert shipped.learned_until_ms == boundary < shipped.trained_until_ms == end_of(data.events)
    assert caught_up(shipped, data) is shipped
    assert caught_up(judged, data).trained_until_ms == shipped.trained_until_ms


def test_a_rebuild_takes_in_products_that_nobody_has_met_yet(data):
    end_ms = end_of(data.events)
    model = train(CONFIG, data, preset_codes(), until_ms=end_ms)
    more = replace(data, products=pa.concat_tables([data.products, products_table(["z-new"])]))
    grown = caught_up(model, more)
    assert grown.product_ids == (*model.product_ids, "z-new")
    assert (grown.trained_until_ms, grown.learned_until_ms) == (model.trained_until_ms, model.learned_until_ms)
    np.testing.assert_array_equal(grown.item_item_mm, model.item_item_mm)


def test_a_clock_a_year_ahead_does_not_move_the_end(data):
    rows = [{"viewer_id": "v", "product_id": "p00", "event_type": "like", "at": START_MS + i} for i in range(2000)]
    rows.append({"viewer_id": "v", "product_id": "p00", "event_type": "like", "at": START_MS + 700 * DAY_MS})
    assert end_of(events_table(rows)) == START_MS + 2000
    assert end_of(events_table([])) == 0


def test_trend_is_what_comes_lately_beyond_what_was_to_be_expected():
    """Two products liked ten times each, one of them on the last day: by hand."""
    rows = [
        {"viewer_id": f"v{i}", "product_id": "ab"[i % 2], "event_type": "watch", "watch_seconds": 9.0,
         "duration_seconds": 9.0, "at": START_MS + (0 if i % 2 == 0 else 10 * DAY_MS)} for i in range(20)
    ]  # fmt: skip
    feedback = collect(events_table(rows), ["a", "b", "c"], FeedbackConfig())
    now = START_MS + 10 * DAY_MS
    factor = trend(feedback, 3, now, PopularityConfig(trend_half_life_days=1, trend_strength=0.5))
    late_a, late_b = 10 / 2**10, 10.0
    expected = (late_a + late_b) / 2
    by_hand = np.sqrt([(late_a + 0.1) / (expected + 1), (late_b + 0.1) / (expected + 1), 0.1])
    np.testing.assert_allclose(factor, by_hand, rtol=1e-6)
    assert (trend(feedback, 3, now, PopularityConfig()) == 1).all()


def test_shares_sum_to_the_score_with_a_trend(data):
    config = replace(RecommenderTrainConfig(), popularity=PopularityConfig(trend_strength=0.7))
    config = replace(config, feedback=FeedbackConfig(impression=0.5))
    recommender = Recommender(train(config, data, preset_codes(), until_ms=END))
    assert np.unique(recommender.model.trend_n).size > 10
    history = histories(data.events, ["v007"])["v007"]
    past = recommender.fold(history, END)
    scores = recommender.model.scores(past.rows, past.weights)
    assert len(past.rows) == 24  # what was skipped has its say
    for item in recommender.recommend(history, 40, END):
        total = item.popularity + sum(reason.share for reason in item.reasons)
        assert item.score == pytest.approx(total, abs=1e-12)
        assert item.score == pytest.approx(scores[recommender.model.row_of[item.product_id]], abs=1e-5)


def test_a_batch_of_slates_is_what_is_served_one_by_one(data):
    recommender = Recommender(train(RecommenderTrainConfig(), data, preset_codes(), until_ms=END))
    viewers = ["v003", "nobody", "v100"]
    viewer, row, score = slates(recommender.model, data.events, viewers, 8, END)
    past = histories(data.events, viewers)
    for place, name in enumerate(viewers):
        history = past.get(name, [])
        met = {event.product_id for event in history}
        served = recommender.recommend(history, 8, END, exclude=met)
        ids = [recommender.products[i] for i in row[viewer == place]]
        assert ids == [item.product_id for item in served]
        np.testing.assert_allclose(score[viewer == place], [item.score for item in served], atol=1e-5)


def test_candidates_keep_places_for_the_popular_and_the_new(data):
    recommender = Recommender(train(RecommenderTrainConfig(), data, preset_codes(), until_ms=END))
    history = histories(data.events, ["v003"])["v003"]
    found = recommender.retrieve(history, 20, END)
    ids = [candidate.product_id for candidate in found]
    assert len(ids) == len(set(ids)) == 20
    assert {"p58", "p59"} & set(ids)  # never shown to anybody
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)
    best = [item.product_id for item in recommender.recommend(history, 18, END)]
    assert set(best) <= set(ids)


def _before(data: TrainingData, until_ms: int) -> TrainingData:
    return replace(data, events=data.events.filter(pa.array(data.events["at"].cast(pa.int64()).to_numpy() < until_ms)))
