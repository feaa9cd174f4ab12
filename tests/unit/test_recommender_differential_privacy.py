"""Noise with a stated ε: the accounting against known values, the sensitivity against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, sparse, stats

from tests.recommender_log import START_MS, two_tastes
from trainables.recommender.ease import EaseConfig
from trainables.recommender.feedback import collect
from trainables.recommender.privacy.differential_privacy import (
    PrivacyConfig,
    clipped,
    delta_of,
    epsilon_of,
    mu_of,
    private_item_item,
    private_statistics,
    symmetric_noise,
)
from trainables.recommender.privacy.statistics import item_statistics
from trainables.recommender.settings import RecommenderTrainConfig

CONFIG = RecommenderTrainConfig()
NOW_MS = START_MS + 20 * 86_400_000
DATA = two_tastes(viewers=200)
IDS = DATA.products["product_id"].to_pylist()
FEEDBACK = collect(DATA.events, IDS, CONFIG.feedback)


@pytest.mark.parametrize(("epsilon", "mu"), [(0.1, 1.0), (1.0, 0.3), (1.0, 1.0), (4.0, 2.0), (10.0, 3.0)])
def test_delta_is_the_hockey_stick_divergence_of_two_gaussians(epsilon, mu):
    """δ(ε) = ∫ max(0, p(x) − e^ε q(x)) dx with p, q = N(μ, 1), N(0, 1), integrated numerically."""
    crossing = epsilon / mu + mu / 2
    wanted, _ = integrate.quad(
        lambda x: stats.norm.pdf(x, mu) - math.exp(epsilon) * stats.norm.pdf(x), crossing, crossing + 40, epsabs=1e-15
    )
    assert delta_of(epsilon, mu) == pytest.approx(wanted, rel=1e-6, abs=1e-13)


def test_noise_is_calibrated_to_the_published_value():
    """σ of the analytic mechanism at ε = 1, δ = 10⁻⁵, sensitivity 1; the classical bound √(2 ln(1.25/δ))/ε is 4.84."""
    assert 1 / mu_of(1.0, 1e-5) == pytest.approx(3.730632, rel=1e-6)


def test_without_any_epsilon_delta_is_the_total_variation():
    assert delta_of(0.0, 1.0) == pytest.approx(2 * stats.norm.cdf(0.5) - 1)
    assert epsilon_of(0.5, 1.0) == 0.0


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 30.0, 200.0])
@pytest.mark.parametrize("delta", [1e-3, 1e-9])
def test_epsilon_and_noise_are_inverse(epsilon, delta):
    mu = mu_of(epsilon, delta)
    assert epsilon_of(delta, mu) == pytest.approx(epsilon, rel=1e-9)
    assert delta_of(epsilon, mu) <= delta < delta_of(epsilon, mu * (1 + 1e-9))


def test_a_viewer_moves_the_released_numbers_by_no_more_than_the_sensitivity():
    rng = np.random.default_rng(0)
    for length in (1, 3, 40):
        x = rng.random(40) * (np.arange(40) < length)
        (row,), long = (
            clipped(sparse.csr_array(x[None] * 5), 2.0)[0].toarray(),
            clipped(sparse.csr_array(x[None] * 5), 2.0)[1],
        )
        assert long == 1
        outer = np.outer(row, row)
        released = np.r_[outer.diagonal(), math.sqrt(2) * outer[np.triu_indices(40, 1)]]
        assert np.linalg.norm(released) == pytest.approx(2.0**2)


def test_short_viewers_are_left_alone():
    x = sparse.csr_array(np.array([[0.3, 0.4], [0.0, 0.0]]))
    left, longer = clipped(x, 1.0)
    np.testing.assert_allclose(left.toarray(), x.toarray())
    assert longer == 0


def test_the_noise_is_symmetric_and_as_wide_as_said():
    noise = symmetric_noise(300, 2.0, np.random.default_rng(0))
    np.testing.assert_array_equal(noise, noise.T)
    assert noise[np.triu_indices(300, 1)].std() == pytest.approx(2 / math.sqrt(2), rel=0.02)
    assert noise.diagonal().std() == pytest.approx(2, rel=0.15)
    assert np.linalg.eigvalsh(noise)[-1] == pytest.approx(2 * math.sqrt(600), rel=0.1)


@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_the_three_sums_together_cost_what_was_asked(epsilon):
    found = private_statistics(FEEDBACK, len(IDS), CONFIG, NOW_MS, PrivacyConfig(epsilon=epsilon), seed=1)
    assert found.epsilon == pytest.approx(epsilon, rel=1e-6) and found.delta == 1e-6
    assert found.viewers_clipped > 0


def test_with_hardly_any_noise_and_no_clipping_the_statistics_are_the_true_ones():
    loose = PrivacyConfig(epsilon=1e12, max_norm=100, max_appeal_norm=100, max_count_norm=100)
    found = private_statistics(FEEDBACK, len(IDS), CONFIG, NOW_MS, loose, seed=1)
    wanted = item_statistics(FEEDBACK, len(IDS), CONFIG, NOW_MS, rows=np.arange(len(IDS)))
    assert found.viewers_clipped == 0
    np.testing.assert_allclose(found.statistics.gram_mm, wanted.gram_mm, atol=0.1)
    np.testing.assert_allclose(found.statistics.appeal_n, wanted.appeal_n, atol=0.01)
    np.testing.assert_array_equal(found.statistics.viewers_n, wanted.viewers_n)


def test_more_privacy_means_more_noise_and_the_model_still_solves():
    wanted = item_statistics(FEEDBACK, len(IDS), CONFIG, NOW_MS, rows=np.arange(len(IDS))).item_item(50.0)
    agreement = []
    for epsilon in (0.1, 1000.0):
        privacy = PrivacyConfig(epsilon=epsilon, max_norm=4.0)
        found = private_statistics(FEEDBACK, len(IDS), CONFIG, NOW_MS, privacy, seed=3)
        item_item = private_item_item(found, 50.0)
        assert np.isfinite(item_item).all() and (item_item.diagonal() == 0).all()
        agreement.append(np.corrcoef(item_item.ravel(), wanted.ravel())[0, 1])
    assert agreement[0] < 0.3 < 0.8 < agreement[1]


def test_the_same_seed_draws_the_same_noise_and_another_one_does_not():
    one, same, other = (
        private_statistics(FEEDBACK, len(IDS), CONFIG, NOW_MS, PrivacyConfig(), seed).statistics.gram_mm
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()


def test_a_catalogue_that_does_not_fit_is_refused_instead_of_choosing_by_the_log():
    small = RecommenderTrainConfig(ease=EaseConfig(max_products=10))
    with pytest.raises(ValueError, match="raise ease.max_products"):
        private_statistics(FEEDBACK, len(IDS), small, NOW_MS, PrivacyConfig(), seed=0)


@pytest.mark.parametrize("setting", [{"epsilon": 0.0}, {"delta": 1.0}, {"max_norm": -1.0}, {"gram_share": 0.0}])
def test_settings_out_of_range_name_themselves(setting):
    with pytest.raises(ValueError, match=f"privacy.{next(iter(setting))}"):
        PrivacyConfig(**setting)
