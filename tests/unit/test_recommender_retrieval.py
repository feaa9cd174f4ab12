"""Large catalogues: the sparse item-item model, the product index, a bundle of both."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from tests.recommender_log import DAY_MS, START_MS, preset_codes, two_tastes
from trainables.recommender import ease
from trainables.recommender import model as model_module
from trainables.recommender import train as training
from trainables.recommender.bundle import load_model, load_ranker_parts, save_model
from trainables.recommender.feedback import FeedbackConfig, collect
from trainables.recommender.history import HistoryEvent
from trainables.recommender.recommender import Recommender
from trainables.recommender.retrieval.candidates import best, blended
from trainables.recommender.retrieval.index import ProductIndex
from trainables.recommender.retrieval.sparse_item_item import SparseConfig, sparse_item_item
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, train

END = START_MS + 20 * DAY_MS


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return two_tastes()


@pytest.fixture
def sparse_model(data, monkeypatch):
    monkeypatch.setattr(training, "LARGE_CONTENT_DIMS", 8)
    config = RecommenderTrainConfig(sparse=SparseConfig(above=20, neighbours=15))
    return train(config, data, preset_codes(), until_ms=END)


def liked(*products: str) -> list[HistoryEvent]:
    return [HistoryEvent(product, "watch", END - DAY_MS, 8.0, 8.0) for product in products]


def test_the_sparse_matrix_is_the_shrunk_cosine_cut_to_the_nearest(data):
    ids = data.products["product_id"].to_pylist()
    feedback = collect(data.events, ids, FeedbackConfig())
    feedback = feedback.where(feedback.weight_N > 0)
    rows = np.unique(feedback.product_N)
    config = ease.EaseConfig(half_life_days=1e9, chunk_viewers=50)
    x = sparse.vstack(list(ease.viewer_chunks(feedback, rows, config))).toarray()
    g = x.T @ x
    cosine = g / (np.sqrt(np.outer(np.diag(g), np.diag(g))) + 2.0)
    np.fill_diagonal(cosine, 0)
    found = sparse_item_item(feedback, rows, SparseConfig(neighbours=7, shrink=2.0), config).toarray()
    assert ((found > 0).sum(0) == 7).all()
    for column in range(len(rows)):
        nearest = np.argsort(-cosine[:, column], kind="stable")[:7]
        np.testing.assert_allclose(np.sort(found[:, column])[-7:], np.sort(cosine[nearest, column]), rtol=1e-5)
        kept = found[:, column] > 0
        np.testing.assert_allclose(found[kept, column], cosine[kept, column], rtol=1e-5)


def test_one_viewer_of_everything_does_not_fill_the_matrix(data):
    ids = data.products["product_id"].to_pylist()
    feedback = collect(data.events, ids, FeedbackConfig())
    rows = np.unique(feedback.product_N)
    few = sparse_item_item(feedback, rows, SparseConfig(most_a_viewer=2), ease.EaseConfig())
    assert few.nnz < sparse_item_item(feedback, rows, SparseConfig(), ease.EaseConfig()).nnz


def test_a_large_catalogue_gets_a_sparse_model_with_exact_reasons(sparse_model):
    assert sparse.issparse(sparse_model.item_item_mm)
    assert sparse_model.content_nD.shape == (60, 8)
    recommender = Recommender(sparse_model)
    history = liked("p00", "p02", "p04")
    past = recommender.fold(history, END)
    scores = sparse_model.scores(past.rows, past.weights)
    slate = recommender.recommend(history, 10, END)
    assert sum(int(item.product_id[1:]) % 2 == 0 for item in slate) >= 9
    for item in slate:
        assert item.score == pytest.approx(item.popularity + sum(reason.share for reason in item.reasons))
        assert item.score == pytest.approx(scores[sparse_model.row_of[item.product_id]], abs=1e-5)
    assert len(recommender.similar("p58", 3)) == 3  # never shown, no row in the matrix


def test_a_bundle_brings_a_sparse_model_and_a_ranker_back(sparse_model, tmp_path):
    parts = {"text": np.frombuffer(b"tree", np.uint8), "edges": np.arange(3.0)}
    save_model(sparse_model, tmp_path / "with", {}, ranker_parts=parts)
    save_model(sparse_model, tmp_path / "without", {})
    back = load_model(tmp_path / "with")
    assert (back.item_item_mm != sparse_model.item_item_mm).nnz == 0
    history = liked("p01", "p03")
    assert Recommender(back).recommend(history, 5, END) == Recommender(sparse_model).recommend(history, 5, END)
    found = load_ranker_parts(tmp_path / "with")
    assert found["text"].tobytes() == b"tree"
    np.testing.assert_array_equal(found["edges"], parts["edges"])
    assert load_ranker_parts(tmp_path / "without") is None


def test_the_index_is_exact_for_few_and_nearly_so_for_many():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4000, 16)).astype(np.float32)
    query = rng.normal(size=16).astype(np.float32)
    best = np.argsort(-(features @ query), kind="stable")[:50].tolist()
    exact, lists = ProductIndex(features), ProductIndex(features, exact_limit=1000)
    assert exact.exact and exact.nearest(query, 50).tolist() == best
    assert not lists.exact
    assert len(set(lists.nearest(query, 50).tolist()) & set(best)) >= 45
    assert lists.nearest(query, 50).tolist() == ProductIndex(features, exact_limit=1000).nearest(query, 50).tolist()


@pytest.mark.parametrize("products", [0, 1, 5, 63, 64, 700, 6_000])
@pytest.mark.parametrize("ties", [False, True])
def test_the_best_are_those_of_a_full_sort_with_ties_in_row_order(products, ties):
    rng = np.random.default_rng(products)
    scores = rng.normal(size=products).astype(np.float32)
    scores = np.round(scores) if ties else scores
    scores[rng.random(products) < 0.3] = -np.inf
    for k in (1, 9, 80, products):
        full = [row for row in np.argsort(-scores, kind="stable") if np.isfinite(scores[row])]
        assert best(scores, k).tolist() == full[:k]


def test_places_are_kept_for_popular_and_fresh_products():
    scores = np.linspace(1, 0, 100)
    popularity = np.zeros(100)
    popularity[90] = 1
    viewers = np.ones(100)
    viewers[95] = 0
    chosen = blended(scores, popularity, viewers, 40).tolist()
    assert len(chosen) == 40
    assert {90, 95} <= set(chosen)
    assert chosen[:38] == list(range(38))
    assert blended(np.full(5, -np.inf), popularity[:5], viewers[:5], 40).tolist() == []


def test_a_catalogue_too_large_to_scan_ranks_as_one_that_is_scanned(sparse_model, monkeypatch):
    """Here the nearest 20 of 60 by inverted lists; who shares viewers with the history is scored in full anyway."""
    history = liked("p00", "p02", "p04")
    scanned = Recommender(replace(sparse_model)).recommend(history, 10, END)
    monkeypatch.setattr(model_module, "CONTENT_NEIGHBOURS", 20)
    monkeypatch.setattr(model_module, "ProductIndex", lambda content: ProductIndex(content, exact_limit=10))
    searched = Recommender(replace(sparse_model)).recommend(history, 10, END)
    assert [item.product_id for item in searched] == [item.product_id for item in scanned]
    assert [item.score for item in searched] == pytest.approx([item.score for item in scanned])
