"""Forgetting a viewer leaves a model that equals one trained on a log they were never in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tests.recommender_log import two_tastes
from trainables.recommender import ease
from trainables.recommender.feedback import Feedback, collect
from trainables.recommender.privacy.erasure import (
    downdate,
    downdated_gram,
    downdated_inverse,
    downdated_item_item,
    inverse_diagonal,
    inverse_of,
)
from trainables.recommender.privacy.statistics import ItemStatistics, item_statistics, of_viewers, viewer_vectors
from trainables.recommender.settings import RecommenderTrainConfig

CONFIG = RecommenderTrainConfig()
L2 = CONFIG.ease.l2
DATA = two_tastes(viewers=120)
IDS = DATA.products["product_id"].to_pylist()
NOW_MS = 1_702_000_000_000


def liked(data=DATA) -> Feedback:
    feedback = collect(data.events, IDS, CONFIG.feedback)
    return feedback.where(feedback.weight_N > 0)


def without(feedback: Feedback, *viewers: str) -> Feedback:
    return of_viewers(feedback, [name for name in feedback.viewers if name not in viewers])


def statistics(feedback: Feedback, **options) -> ItemStatistics:
    return item_statistics(feedback, len(IDS), CONFIG, NOW_MS, **options)


@pytest.mark.parametrize("viewers", [("v003",), ("v003", "v017", "v118"), ()])
def test_downdated_statistics_equal_those_of_a_log_without_the_viewers(viewers):
    feedback = liked()
    found = downdate(statistics(feedback), feedback, viewers, CONFIG, NOW_MS)
    wanted = statistics(without(feedback, *viewers))
    np.testing.assert_array_equal(found.rows, wanted.rows)
    np.testing.assert_array_equal(found.viewers_n, wanted.viewers_n)
    np.testing.assert_allclose(found.gram_mm, wanted.gram_mm, atol=1e-11)
    np.testing.assert_allclose(found.appeal_n, wanted.appeal_n, atol=1e-11)
    np.testing.assert_allclose(found.popularity_n, wanted.popularity_n, rtol=1e-6)


def test_the_viewer_was_in_the_statistics():
    feedback = liked()
    found = downdate(statistics(feedback), feedback, ["v003"], CONFIG, NOW_MS)
    assert np.abs(found.gram_mm - statistics(feedback).gram_mm).max() > 0.1


def test_the_inverse_comes_back_from_the_matrix_and_its_statistics():
    gram_mm = statistics(liked()).gram_mm
    wanted = np.linalg.inv(gram_mm + L2 * np.eye(len(gram_mm)))
    item_item = ease.solve(gram_mm.copy(), L2)
    found = inverse_of(item_item, inverse_diagonal(item_item, gram_mm, L2))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("forgotten", [1, 5])
def test_the_low_rank_update_of_the_inverse_equals_a_new_inverse(forgotten):
    rng = np.random.default_rng(0)
    x = sparse.csr_array((rng.random((80, 30)) < 0.2) * rng.random((80, 30)))
    whole = (x.T @ x).toarray() + 3 * np.eye(30)
    found = downdated_inverse(np.linalg.inv(whole), x[:forgotten])
    rest = x[forgotten:]
    np.testing.assert_allclose(found, np.linalg.inv((rest.T @ rest).toarray() + 3 * np.eye(30)), atol=1e-12)


def test_a_viewer_who_is_not_in_the_matrix_is_refused():
    with pytest.raises(ValueError, match="not part of the matrix"):
        downdated_inverse(np.eye(3), sparse.csr_array(np.array([[2.0, 0, 0]])))


@pytest.mark.parametrize("viewers", [("v003",), ("v003", "v017", "v118")])
def test_the_updated_matrix_equals_a_full_solve_without_the_viewers(viewers):
    feedback = liked()
    before = statistics(feedback)
    after = downdate(before, feedback, viewers, CONFIG, NOW_MS)
    x_Vm = viewer_vectors(of_viewers(feedback, viewers), before.rows, CONFIG.ease)
    found = downdated_item_item(before.item_item(L2), before, after, x_Vm, L2)
    wanted = statistics(without(feedback, *viewers)).item_item(L2)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-8)
    assert np.abs(before.item_item(L2) - wanted).max() > 1e-4


def test_a_hundred_erasures_one_after_the_other_do_not_drift():
    feedback = liked()
    now, item_item = statistics(feedback), statistics(feedback).item_item(L2)
    for viewer in feedback.viewers[:100]:
        after = downdate(now, feedback, [viewer], CONFIG, NOW_MS)
        x_Vm = viewer_vectors(of_viewers(feedback, [viewer]), now.rows, CONFIG.ease)
        item_item, now = downdated_item_item(item_item, now, after, x_Vm, L2), after
    wanted = statistics(without(feedback, *feedback.viewers[:100])).item_item(L2)
    np.testing.assert_allclose(item_item, wanted, rtol=1e-4, atol=1e-7)


def test_a_product_that_only_the_viewer_took_to_leaves_the_matrix():
    dense = np.array([[1.0, 1, 0, 1], [1, 1, 0, 0], [0, 1, 1, 0]])
    feedback = dense_feedback(dense)
    before = item_statistics(feedback, 4, CONFIG, NOW_MS)
    after = downdate(before, feedback, ["v0"], CONFIG, NOW_MS)
    assert after.rows.tolist() == [0, 1, 2] and after.viewers_n.tolist() == [1, 2, 1, 0]
    assert after.appeal_n[3] == 0
    x_Vm = viewer_vectors(of_viewers(feedback, ["v0"]), before.rows, CONFIG.ease)
    found = downdated_item_item(before.item_item(2.0), before, after, x_Vm, 2.0)
    rest = dense[1:, :3]
    np.testing.assert_allclose(found, ease.solve(rest.T @ rest, 2.0), rtol=1e-5, atol=1e-8)


def test_a_product_that_takes_a_free_place_in_a_full_matrix_is_summed_anew():
    config = RecommenderTrainConfig(ease=ease.EaseConfig(max_products=2))
    feedback = dense_feedback(np.array([[0.0, 1, 0, 0], [1, 1, 0, 1], [1, 0, 1, 1], [0, 0, 1, 0]]))
    before = item_statistics(feedback, 4, config, NOW_MS)
    assert before.rows.tolist() == [0, 1]
    after = downdate(before, feedback, ["v0"], config, NOW_MS)
    wanted = item_statistics(without(feedback, "v0"), 4, config, NOW_MS)
    assert after.rows.tolist() == wanted.rows.tolist() == [0, 2]
    np.testing.assert_allclose(after.gram_mm, wanted.gram_mm)
    x_Vm = viewer_vectors(of_viewers(feedback, ["v0"]), before.rows, config.ease)
    found = downdated_item_item(before.item_item(2.0), before, after, x_Vm, 2.0)
    np.testing.assert_allclose(found, wanted.item_item(2.0))


def test_downdating_touches_only_pairs_of_the_viewer():
    x = sparse.csr_array(np.array([[1.0, 0, 2], [0, 1, 0]]))
    gram_mm = (x.T @ x).toarray()
    left = downdated_gram(gram_mm, x[:1])
    np.testing.assert_allclose(left, np.diag([0.0, 1, 0]))


def dense_feedback(dense: np.ndarray) -> Feedback:
    viewer, product = np.nonzero(dense)
    names = np.array([f"v{row}" for row in range(len(dense))])
    return Feedback(names, viewer, product, np.full(len(viewer), NOW_MS), dense[viewer, product].astype(float))
