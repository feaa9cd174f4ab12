import numpy as np
import pytest

from tests.recommender_log import DAY_MS, START_MS, two_tastes
from trainables.recommender import ease
from trainables.recommender.feedback import Feedback, FeedbackConfig, collect


def feedback_of(dense: np.ndarray, age_days: np.ndarray | None = None) -> Feedback:
    viewer, product = np.nonzero(dense)
    age = np.zeros(len(viewer)) if age_days is None else age_days[viewer, product]
    at_ms = (START_MS - age * DAY_MS).astype(np.int64)
    order = np.lexsort((product, at_ms, viewer))
    viewer, product = viewer[order], product[order]
    names = np.array([f"v{i:03d}" for i in range(len(dense))])
    return Feedback(names, viewer, product, at_ms[order], dense[viewer, product].astype(float))


def gram(feedback: Feedback, rows: np.ndarray, config: ease.EaseConfig) -> np.ndarray:
    chunks = ease.viewer_chunks(feedback, rows, config)
    return ease.sum_grams((ease.chunk_gram(x) for x in chunks), len(rows))


def test_the_closed_form_solves_steck_s_constrained_ridge_regression():
    rng = np.random.default_rng(0)
    x = (rng.random((80, 12)) < 0.3) * rng.random((80, 12))
    b = ease.solve(x.T @ x, 3.0)
    for i in range(12):  # column by column: ridge regression on all the other columns
        others = np.delete(np.arange(12), i)
        ridge = np.linalg.solve(x[:, others].T @ x[:, others] + 3.0 * np.eye(11), x[:, others].T @ x[:, i])
        np.testing.assert_allclose(b[others, i], ridge, rtol=1e-5, atol=1e-7)
    assert (np.diag(b) == 0).all()


def test_the_gram_matrix_does_not_depend_on_the_chunks():
    rng = np.random.default_rng(1)
    dense = (rng.random((101, 20)) < 0.2) * rng.random((101, 20))
    feedback, rows = feedback_of(dense), np.arange(20)
    whole = gram(feedback, rows, ease.EaseConfig(chunk_viewers=4096))
    parts = gram(feedback, rows, ease.EaseConfig(chunk_viewers=7))
    np.testing.assert_allclose(whole, dense.T @ dense, atol=1e-12)
    np.testing.assert_allclose(parts, whole, atol=1e-12)


def test_only_the_chosen_rows_enter():
    dense = np.eye(5) + 1
    rows = np.array([1, 3])
    np.testing.assert_allclose(gram(feedback_of(dense), rows, ease.EaseConfig()), dense[:, rows].T @ dense[:, rows])


def test_old_feedback_binds_less():
    dense = np.ones((1, 3))
    age = np.array([[0.0, 30.0, 60.0]])
    matrix = gram(feedback_of(dense, age), np.arange(3), ease.EaseConfig(half_life_days=30))
    faded = np.array([1.0, 0.5, 0.25])
    np.testing.assert_allclose(matrix, np.outer(faded, faded), rtol=1e-6)


def test_fading_halves_by_the_half_life_and_never_grows():
    ages = np.array([0, 10, 20, -5]) * DAY_MS
    np.testing.assert_allclose(ease.fade(START_MS - ages, START_MS, 10), [1, 0.5, 0.25, 1])


def test_an_empty_log_gives_an_empty_matrix():
    data = two_tastes(viewers=1)
    feedback = collect(data.events.slice(0, 0), ["p"], FeedbackConfig())
    assert ease.solve(gram(feedback, np.zeros(0, np.int64), ease.EaseConfig()), 1.0).shape == (0, 0)


def test_large_values_keep_their_digits():
    """A heavy log on top of a small λ: float32 would lose the small eigenvalues, the solve is in float64."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 8))
    x[:, 7] = x[:, 6] + 1e-4 * rng.normal(size=400)
    g = x.T @ x * 1e4
    inverse = np.linalg.inv(g + 1e-2 * np.eye(8))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ease.solve(g.copy(), 1e-2), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "setting", [{"l2": 0.0}, {"half_life_days": -1.0}, {"max_products": 30_000}, {"chunk_viewers": 0}]
)
def test_settings_out_of_range_name_themselves(setting):
    with pytest.raises(ValueError, match=f"ease.{next(iter(setting))}"):
        ease.EaseConfig(**setting)
