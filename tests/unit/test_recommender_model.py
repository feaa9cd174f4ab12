"""Training, serving, the bundle: what a recommendation is and why."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from cluster.config import override
from cluster.errors import InputError, NotFoundError
from tests.recommender_log import DAY_MS, START_MS, events_table, preset_codes, products_table, two_tastes
from trainables.recommender.bundle import load_model, save_model
from trainables.recommender.cold.alignment import AlignmentConfig
from trainables.recommender.ease import EaseConfig
from trainables.recommender.history import HistoryEvent, histories
from trainables.recommender.model import ItemModel, dense_block
from trainables.recommender.recommender import Recommender
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, train

NOW = START_MS + 20 * DAY_MS
CONFIG = override(RecommenderTrainConfig(), ["ease.l2=20"])
CODES = preset_codes()


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return two_tastes()


@pytest.fixture(scope="module")
def recommender(data) -> Recommender:
    return Recommender(train(CONFIG, data, CODES, until_ms=NOW))


@pytest.fixture(scope="module")
def aligned(data) -> Recommender:
    """The same with content aligned to the item-item matrix."""
    return Recommender(train(replace(CONFIG, alignment=AlignmentConfig(enabled=True)), data, CODES, until_ms=NOW))


def liked(*products: str, at_ms: int = NOW - DAY_MS) -> list[HistoryEvent]:
    return [HistoryEvent(product, "watch", at_ms + i, 8.0, 8.0) for i, product in enumerate(products)]


def parity(product_id: str) -> int:
    return int(product_id[1:]) % 2


@pytest.mark.parametrize("taste", [0, 1])
def test_a_viewer_gets_their_taste(recommender, taste):
    slate = recommender.recommend(liked(f"p{taste:02d}", f"p{taste + 4:02d}", f"p{taste + 8:02d}"), 10, NOW)
    assert sum(parity(item.product_id) == taste for item in slate) >= 9


def test_what_was_seen_is_not_shown_again_but_what_was_only_offered_may_be(recommender):
    history = [*liked("p00"), HistoryEvent("p02", "click", NOW), HistoryEvent("p04", "watch", NOW, 0.0, 8.0)]
    history.append(HistoryEvent("p06", "impression", NOW))
    shown = {item.product_id for item in recommender.recommend(history, 1000, NOW)}
    assert shown == set(recommender.products) - {"p00", "p02", "p04"}


def test_exclude_leaves_products_out(recommender):
    first = recommender.recommend(liked("p00"), 5, NOW)
    excluded = {first[0].product_id, "not in the catalogue"}
    again = recommender.recommend(liked("p00"), 4, NOW, exclude=excluded)
    assert [item.product_id for item in again] == [item.product_id for item in first[1:]]


def test_the_shares_of_past_products_sum_to_the_score(recommender):
    history = [*liked("p00", "p03", "p04", "p08"), HistoryEvent("p59", "like", NOW)]
    for item in recommender.recommend(history, 1000, NOW):
        assert math.fsum([item.popularity, *(reason.share for reason in item.reasons)]) == item.score
        assert {reason.product_id for reason in item.reasons} == {"p00", "p03", "p04", "p08", "p59"}
        shares = [reason.share for reason in item.reasons]
        assert shares == sorted(shares, reverse=True)


def test_the_score_is_what_ranked_the_product(recommender):
    past = recommender.fold(liked("p00", "p03", "p58"), NOW)
    scores = recommender.model.scores(past.rows, past.weights)
    slate = recommender.recommend(liked("p00", "p03", "p58"), 1000, NOW)
    for item in slate:
        assert item.score == pytest.approx(scores[recommender.model.row_of[item.product_id]], abs=1e-6)
    assert [item.score for item in slate] == sorted((item.score for item in slate), reverse=True)


def test_the_reasons_are_the_weights_of_the_matrix(recommender):
    """A product without content likeness left: share = faded weight × matrix entry, by hand."""
    model = replace(recommender.model, content_scale=0.0)
    item = Recommender(model).recommend(liked("p00", at_ms=NOW - 10 * DAY_MS), 1, NOW)[0]
    column = {int(row): i for i, row in enumerate(model.item_rows)}
    weight = 0.5 ** (10 / CONFIG.history_half_life_days)
    expected = weight * model.item_item_mm[column[0], column[model.row_of[item.product_id]]]
    assert item.reasons[0].share == pytest.approx(expected, rel=1e-6)
    assert item.source == "history"


def test_new_products_come_through_content_with_the_past_product_as_reason(recommender):
    """p58 (a blue chair) and p59 (a red lamp) were never shown to anybody."""
    slate = recommender.recommend(liked("p00", "p02", "p04"), 1000, NOW)
    place = {item.product_id: i for i, item in enumerate(slate)}
    by_id = {item.product_id: item for item in slate}
    assert by_id["p58"].source == "content"
    assert by_id["p58"].reasons[0].share > 0
    assert place["p58"] < 20 < place["p59"]


def test_aligned_content_carries_new_products_and_its_shares_still_sum_to_the_score(aligned, tmp_path):
    history = liked("p00", "p02", "p04", "p59")  # p59 has no row in the matrix
    slate = aligned.recommend(history, 1000, NOW)
    place = {item.product_id: i for i, item in enumerate(slate)}
    assert place["p58"] < 20
    assert next(item for item in slate if item.product_id == "p58").source == "content"
    past = aligned.fold(history, NOW)
    scores = aligned.model.scores(past.rows, past.weights)
    for item in slate:
        assert item.score == pytest.approx(scores[aligned.model.row_of[item.product_id]], abs=1e-6)
        assert math.fsum([item.popularity, *(reason.share for reason in item.reasons)]) == item.score
    save_model(aligned.model, tmp_path / "bundle", {})
    again = load_model(tmp_path / "bundle")
    np.testing.assert_array_equal(again.scores(past.rows, past.weights), scores)


def test_an_unknown_viewer_gets_what_is_popular_and_new_products_last(recommender):
    slate = recommender.recommend([], 1000, NOW)
    popularity = recommender.model.popularity_n
    assert [item.source for item in slate] == ["popular"] * 58 + ["fresh"] * 2
    assert slate[0].product_id == recommender.products[int(popularity.argmax())]
    assert all(item.reasons == [] for item in slate)


def test_a_history_of_unknown_products_is_a_history_of_nothing(recommender):
    odd = [HistoryEvent("gone", "like", NOW), HistoryEvent("p00", "no such type", NOW)]
    assert recommender.recommend(odd, 5, NOW) == recommender.recommend([], 5, NOW)


def test_recent_events_count_more(recommender):
    old_even = [*liked("p00", "p02", at_ms=NOW - 60 * DAY_MS), *liked("p01", "p03", at_ms=NOW)]
    assert parity(recommender.recommend(old_even, 1, NOW)[0].product_id) == 1


def test_an_event_changes_the_next_slate(recommender):
    before = recommender.recommend(liked("p00"), 8, NOW)
    after = recommender.recommend([*liked("p00"), HistoryEvent(before[0].product_id, "click", NOW)], 8, NOW)
    assert before[0].product_id not in {item.product_id for item in after}


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(recommender, k):
    with pytest.raises(InputError, match="k is"):
        recommender.recommend([], k, NOW)
    with pytest.raises(InputError, match="k is"):
        recommender.similar("p00", k)


def test_k_of_a_million_gives_the_whole_catalogue(recommender):
    assert len(recommender.recommend([], 10**6, NOW)) == 60


def test_similar_products(recommender):
    found = recommender.similar("p00", 6)
    assert "p00" not in dict(found)
    assert all(parity(product_id) == 0 for product_id, _ in found)
    assert parity(recommender.similar("p59", 1)[0][0]) == 1  # never shown: by content
    with pytest.raises(NotFoundError, match="nowhere"):
        recommender.similar("nowhere", 3)


def test_viewers_of_two_looks_get_two_looks(recommender, data):
    by_viewer = histories(data.events, ["v002", "v005"])
    looks = [recommender.look(by_viewer[viewer], NOW) for viewer in ("v002", "v005")]
    assert [look.nearest for look in looks] == ["neon", "ink"]
    assert recommender.look([], NOW).nearest == "minimal"


def test_most_viewers_of_a_log_with_looks_get_their_own(recommender, data):
    presets = list(CODES)
    by_viewer = histories(data.events)
    right = [recommender.look(by_viewer[f"v{i:03d}"], NOW).nearest == presets[i % 6] for i in range(300)]
    assert np.mean(right) > 0.8


def test_later_events_are_not_looked_at(data):
    middle = START_MS + 10 * DAY_MS
    one = train(CONFIG, data, CODES, until_ms=middle)
    early = data.events.filter(pa.array(data.events["at"].cast(pa.int64()).to_numpy() < middle))
    other = train(CONFIG, replace(data, events=early), CODES, until_ms=middle)
    assert_same(one, other)


def test_a_bundle_brings_the_model_back_bit_for_bit(recommender, tmp_path: Path):
    save_model(recommender.model, tmp_path / "bundle", {"note": "test"})
    back = load_model(tmp_path / "bundle")
    assert_same(recommender.model, back)
    assert back.config == recommender.model.config
    history = liked("p00", "p05")
    assert Recommender(back).recommend(history, 9, NOW) == recommender.recommend(history, 9, NOW)
    assert Recommender(back).look(history, NOW).weights == recommender.look(history, NOW).weights


def test_a_damaged_bundle_is_refused_with_its_path(recommender, tmp_path: Path):
    save_model(recommender.model, tmp_path / "bundle", {})
    file = tmp_path / "bundle" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(InputError, match=str(tmp_path)):
        load_model(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda m: {"viewers_n": m.viewers_n[:-1]}, "viewers_n is not as long"),
        (lambda m: {"content_nD": m.content_nD[:-1]}, "content_nD is not as long"),
        (lambda m: {"categories": m.categories[:-1]}, "categories is not as long"),
        (lambda m: {"style_codes_nS": m.style_codes_nS[:, :-1]}, "style_codes_nS is not as long"),
        (lambda m: {"item_item_mm": m.item_item_mm[:, :-1]}, "item_item is not as long"),
        (lambda m: {"item_rows": m.item_rows + 1000}, "item_rows are not rows of its products"),
        (lambda m: {"item_rows": m.item_rows[::-1].copy()}, "item_rows are not rows of its products"),
        (lambda m: {"item_item_mm": m.item_item_mm * np.nan}, "item_item holds values that are not finite"),
        (lambda m: {"trend_n": m.trend_n * np.inf}, "trend_n holds values that are not finite"),
        (lambda m: {"product_ids": (m.product_ids[0], *m.product_ids[:-1])}, "product_ids has an id twice"),
        (lambda m: {"trained_until_ms": None}, "is missing or wrong"),
    ],
)
def test_a_bundle_whose_parts_do_not_fit_is_refused_when_it_is_read(recommender, tmp_path: Path, changed, message):
    save_model(replace(recommender.model, **changed(recommender.model)), tmp_path / "bundle", {})
    with pytest.raises(InputError, match=f"bundle {tmp_path}/bundle: .*{message}"):
        load_model(tmp_path / "bundle")


def test_products_beyond_the_matrix_are_carried_by_content(data):
    config = replace(CONFIG, ease=EaseConfig(l2=5, max_products=10))
    model = train(config, data, CODES, until_ms=NOW)
    assert model.item_item_mm.shape == (10, 10)
    assert model.counts["outside_matrix"] == 48
    outside = next(i for i in range(58) if i not in model.item_rows)
    slate = Recommender(model).recommend(liked(f"p{outside:02d}"), 5, NOW)
    assert all(parity(item.product_id) == outside % 2 for item in slate)


def test_a_shop_without_a_log_still_answers():
    empty = TrainingData(events_table([]), products_table(["a", "b"]), {})
    recommender = Recommender(train(CONFIG, empty, CODES, until_ms=NOW))
    assert [item.source for item in recommender.recommend([], 5, NOW)] == ["fresh", "fresh"]
    assert recommender.look([], NOW).nearest == "minimal"


def assert_same(one: ItemModel, other: ItemModel) -> None:
    assert one.product_ids == other.product_ids
    assert one.content_scale == other.content_scale
    for name in ("item_item_mm", "item_rows", "content_nD", "viewers_n", "popularity_n", "style_codes_nS"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.looks.mean, other.looks.mean)
    np.testing.assert_array_equal(one.looks.covariance, other.looks.covariance)


def test_a_block_of_a_sparse_matrix_is_that_of_the_dense_one():
    """Also where rows and columns come twice or out of order."""
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((30, 40)) < 0.2, rng.random((30, 40)), 0).astype(np.float32)
    rows, columns = rng.integers(0, 30, 12), rng.integers(0, 40, 25)
    block = dense_block(sparse.csr_array(dense), rows, columns)
    np.testing.assert_array_equal(block, dense[np.ix_(rows, columns)])
    assert dense_block(sparse.csr_array(dense), rows[:0], columns[:0]).shape == (0, 0)
