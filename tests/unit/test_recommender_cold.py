"""Content aligned to the item-item model: new products are scored in its terms, exactly and linearly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from trainables.recommender import ease
from trainables.recommender.cold.alignment import AlignmentConfig, aligned_content, choose_l2


def planted(products: int = 120, viewers: int = 600, seed: int = 0) -> tuple[np.ndarray, sparse.csr_array]:
    """Viewers care for the first feature alone; the eleven others, as large, are noise."""
    rng = np.random.default_rng(seed)
    content_nD = rng.choice([-1.0, 1.0], (products, 12)).astype(np.float32) / np.sqrt(12)
    taste = rng.choice([-1.0, 1.0], viewers)
    likes = rng.random((viewers, products)) < np.where(taste[:, None] * content_nD[:, 0] > 0, 0.25, 0.02)
    return content_nD, sparse.csr_array(likes.astype(float))


def item_item(liked_Vn: sparse.csr_array, l2: float = 20.0) -> np.ndarray:
    return ease.solve((liked_Vn.T @ liked_Vn).toarray(), l2)


def test_at_full_rank_known_targets_get_the_ridge_fit_of_their_column() -> None:
    rng = np.random.default_rng(1)
    content_nD, matrix = rng.normal(size=(30, 5)).astype(np.float32), rng.normal(size=(20, 20)).astype(np.float32)
    rows = np.arange(5, 25)
    aligned = aligned_content(content_nD, matrix, rows, AlignmentConfig(l2=2.0, rank=1024))
    features = np.concatenate([content_nD, np.ones((30, 1))], axis=1)
    fit = np.linalg.solve(features[rows].T @ features[rows] + 2 * np.eye(6), features[rows].T @ matrix.T)
    np.testing.assert_allclose(aligned.past_nR[rows] @ aligned.target_nR.T, (features @ fit).T, atol=2e-5)


def test_rank_cuts_the_smallest_part_of_the_predictions_first() -> None:
    rng = np.random.default_rng(2)
    content_nD, matrix = rng.normal(size=(40, 6)).astype(np.float32), rng.normal(size=(40, 40)).astype(np.float32)
    rows = np.arange(40)
    config = AlignmentConfig(l2=1e-6, rank=1024)
    whole = aligned_content(content_nD, matrix, rows, config)
    predicted = whole.past_nR @ whole.target_nR.T
    for rank in (1, 3, 5):
        cut = aligned_content(content_nD, matrix, rows, AlignmentConfig(l2=1e-6, rank=rank))
        assert cut.past_nR.shape == cut.target_nR.shape == (40, rank)
        values = np.linalg.svd(predicted, compute_uv=False)
        left = np.linalg.norm(predicted - cut.past_nR @ cut.target_nR.T)
        assert left == pytest.approx(np.sqrt((values[rank:] ** 2).sum()), rel=1e-3)  # Eckart-Young


def test_shares_of_past_products_sum_to_the_score() -> None:
    content_nD, liked = planted()
    rows = np.arange(100)
    aligned = aligned_content(content_nD, item_item(liked[:, rows]), rows, AlignmentConfig())
    past, weights = np.array([3, 50, 110]), np.array([1.0, 0.4, 2.0])  # 110 has no column of its own
    shares = aligned.shares(past, weights, np.arange(120))
    assert shares.shape == (3, 120)
    np.testing.assert_allclose(shares.sum(0), aligned.scores(past, weights), atol=1e-5)
    np.testing.assert_allclose(aligned.scores(past, 2 * weights), 2 * aligned.scores(past, weights), rtol=1e-5)


def test_new_products_are_ranked_by_what_viewers_care_for_and_not_by_likeness() -> None:
    content_nD, liked = planted()
    rows, new = np.arange(90), np.arange(90, 120)
    aligned = aligned_content(content_nD, item_item(liked[:, rows]), rows, AlignmentConfig(l2=1.0))
    fans = np.flatnonzero(content_nD[rows, 0] > 0)[:8]
    scores = aligned.scores(fans, np.ones(len(fans)))[new]
    right = content_nD[new, 0] > 0
    assert scores[right].min() > scores[~right].max()
    by_likeness = content_nD[new] @ content_nD[fans].sum(0)
    assert by_likeness[right].min() < by_likeness[~right].max()


def test_without_known_products_or_content_everything_is_zero() -> None:
    nothing = aligned_content(
        np.ones((4, 3), np.float32), np.zeros((0, 0), np.float32), np.zeros(0, int), AlignmentConfig()
    )
    assert not nothing.scores(np.array([0, 1]), np.ones(2)).any()
    empty = aligned_content(np.zeros((4, 0), np.float32), np.zeros((4, 4), np.float32), np.arange(4), AlignmentConfig())
    assert empty.scores(np.array([2]), np.ones(1)).tolist() == [0, 0, 0, 0]


def test_a_sparse_item_item_matrix_gives_the_same_factors() -> None:
    content_nD, liked = planted(products=60)
    dense = np.where(np.abs(item_item(liked)) > 0.01, item_item(liked), 0)
    rows = np.arange(60)
    one = aligned_content(content_nD, dense, rows, AlignmentConfig())
    other = aligned_content(content_nD, sparse.csr_array(dense), rows, AlignmentConfig())
    np.testing.assert_allclose(one.past_nR @ one.target_nR.T, other.past_nR @ other.target_nR.T, atol=1e-5)
    matrix = sparse.csr_array(dense)
    assert choose_l2(content_nD, matrix, rows, liked, AlignmentConfig()) == choose_l2(
        content_nD, dense, rows, liked, AlignmentConfig()
    )


def test_l2_is_chosen_by_ranking_known_products_as_new() -> None:
    content_nD, liked = planted(products=200)
    config = AlignmentConfig(l2=7.0)
    matrix, rows = item_item(liked), np.arange(200)
    chosen = choose_l2(content_nD, matrix, rows, liked, config, grid=(1e-3, 1.0, 1e7))
    assert chosen.l2 in (1e-3, 1.0)
    assert chosen == choose_l2(content_nD, matrix, rows, liked, config, grid=(1e-3, 1.0, 1e7))
    assert choose_l2(content_nD[:4], matrix[:4, :4], rows[:4], liked[:, :4], config) is config


@pytest.mark.parametrize(("field", "value"), [("l2", 0.0), ("l2", float("nan")), ("rank", 0), ("rank", 2000)])
def test_a_bad_setting_is_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"alignment.{field}"):
        AlignmentConfig(**{field: value})
