"""Planted profiles and the weights that take their influence away, on a small log with known tastes."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.recommender import ease
from trainables.recommender.feedback import Feedback
from trainables.recommender.privacy.statistics import gram
from trainables.recommender.robustness.defence import DefenceConfig, copies, profiles, reweighted, robust_weights
from trainables.recommender.robustness.shilling import ATTACKS, ShillingConfig, plant

PRODUCTS, TASTES, VIEWERS = 200, 5, 300
TARGET = PRODUCTS - 1
CONFIG = DefenceConfig()


def tastes() -> Feedback:
    """Viewers with 12…30 products, nine in ten out of their taste's 40, the first of each taste the more popular."""
    rng = np.random.default_rng(0)
    appeal = 1 / (1 + np.arange(PRODUCTS) // TASTES)
    viewer, product = [], []
    for row in range(VIEWERS):
        chance = appeal * np.where(np.arange(PRODUCTS) % TASTES == row % TASTES, 36.0, 1.0)
        own = rng.choice(PRODUCTS, rng.integers(12, 31), replace=False, p=chance / chance.sum())
        viewer.append(np.full(len(own), row))
        product.append(np.sort(own))
    names = np.array([f"v{row:03d}" for row in range(VIEWERS)])
    viewer_N = np.concatenate(viewer)
    return Feedback(names, viewer_N, np.concatenate(product), np.zeros(len(viewer_N), np.int64), np.ones(len(viewer_N)))


REAL = tastes()


def reach(feedback: Feedback) -> float:
    """Share of the real viewers who get the target among their first ten."""
    config = ease.EaseConfig(l2=20.0)
    matrix = ease.solve(gram(feedback, np.arange(PRODUCTS), config), config.l2)
    met = profiles_of_all(REAL)
    scores = np.where(met, -np.inf, met @ matrix)
    asked = ~met[:, TARGET]
    return float((np.argsort(-scores, axis=1)[asked, :10] == TARGET).any(axis=1).mean())


def profiles_of_all(feedback: Feedback) -> np.ndarray:
    met = np.zeros((len(feedback.viewers), PRODUCTS), bool)
    met[feedback.viewer_N, feedback.product_N] = True
    return met


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(("share", "count"), [(0.01, 3), (0.05, 15)])
def test_planted_profiles_hold_the_target_and_leave_real_ones_as_they_were(attack, share, count):
    found, fake = plant(REAL, PRODUCTS, TARGET, ShillingConfig(attack=attack, share=share), seed=1)
    met = profiles_of_all(found)
    assert fake.sum() == count
    assert met[fake, TARGET].all()
    np.testing.assert_array_equal(met[~fake], profiles_of_all(REAL))
    assert set(met[fake].sum(axis=1)) <= set(range(12, 31))
    assert len(np.unique(found.viewer_N * PRODUCTS + found.product_N)) == len(found.viewer_N)
    assert found.viewers.tolist() == sorted(found.viewers) and (np.diff(found.viewer_N) >= 0).all()


def test_a_bandwagon_holds_the_most_popular_products():
    found, fake = plant(REAL, PRODUCTS, TARGET, ShillingConfig(attack="bandwagon", popular=4), seed=1)
    popular = np.argsort(-np.bincount(REAL.product_N, minlength=PRODUCTS), kind="stable")[:4]
    assert profiles_of_all(found)[np.ix_(fake, popular)].all()


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_defence_weighs_fakes_less_than_real_viewers_and_takes_their_reach(attack):
    attacked, fake = plant(REAL, PRODUCTS, TARGET, ShillingConfig(attack=attack, share=0.05), seed=1)
    weight_V = robust_weights(attacked, PRODUCTS, CONFIG)
    assert ((weight_V >= 0) & (weight_V <= 1)).all()
    assert weight_V[fake].mean() < weight_V[~fake].mean()
    assert reach(REAL) <= reach(reweighted(attacked, weight_V)) < reach(attacked)


def test_random_profiles_lose_nearly_all_weight_and_real_ones_none():
    attacked, fake = plant(REAL, PRODUCTS, TARGET, ShillingConfig(attack="random", share=0.05), seed=1)
    weight_V = robust_weights(attacked, PRODUCTS, CONFIG)
    assert weight_V[fake].mean() < 0.3 and weight_V[~fake].min() > 0.9
    assert reach(reweighted(attacked, weight_V)) == reach(REAL)


def test_copies_of_one_profile_share_one_vote():
    own = REAL.product_N[REAL.viewer_N == 7]
    rows = np.concatenate([REAL.viewer_N, np.repeat(np.arange(VIEWERS, VIEWERS + 9), len(own))])
    names = np.concatenate([REAL.viewers, [f"w{row}" for row in range(9)]])
    zeros, ones = np.zeros(len(rows), np.int64), np.ones(len(rows))
    copied = Feedback(names, rows, np.concatenate([REAL.product_N, np.tile(own, 9)]), zeros, ones)
    found = copies(profiles(copied, PRODUCTS, PRODUCTS), CONFIG)
    assert found[7] == 10 and (found[VIEWERS:] == 10).all()
    assert robust_weights(copied, PRODUCTS, CONFIG)[[7, *range(VIEWERS, VIEWERS + 9)]].sum() <= 1 + 1e-9


def test_a_weight_multiplies_a_viewers_part_of_the_gram_matrix():
    weight_V = np.where(np.arange(VIEWERS) == 3, 0.25, 0.0)
    config, rows = ease.EaseConfig(), np.arange(PRODUCTS)
    found = gram(reweighted(REAL, weight_V), rows, config)
    np.testing.assert_allclose(found, 0.25 * gram(REAL.where(REAL.viewer_N == 3), rows, config), atol=1e-12)


def test_the_same_seed_plants_the_same_profiles_and_the_same_log_gets_the_same_weights():
    config = ShillingConfig(attack="average", share=0.05)
    (one, _), (same, _), (other, _) = (plant(REAL, PRODUCTS, TARGET, config, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.product_N, same.product_N)
    assert not np.array_equal(one.product_N, other.product_N)
    np.testing.assert_array_equal(*(robust_weights(log, PRODUCTS, CONFIG) for log in (one, same)))


def test_an_empty_log_and_one_of_short_profiles_are_not_judged():
    empty = Feedback(np.zeros(0, np.str_), *(np.zeros(0, np.int64),) * 3, np.zeros(0))
    assert robust_weights(empty, PRODUCTS, CONFIG).shape == (0,)
    place = np.arange(20)
    short = Feedback(np.array([f"v{row:02d}" for row in place]), place, place, place, np.ones(20))
    assert (robust_weights(short, PRODUCTS, CONFIG) == 1).all()
    with pytest.raises(ValueError, match="no pairs"):
        plant(empty, PRODUCTS, TARGET, ShillingConfig(), seed=0)


def test_settings_out_of_range_name_themselves():
    with pytest.raises(ValueError, match=r"shilling\.attack"):
        ShillingConfig(attack="love")
    with pytest.raises(ValueError, match=r"shilling\.share"):
        ShillingConfig(share=0)
    with pytest.raises(ValueError, match=r"defence\.duplicate"):
        DefenceConfig(duplicate=1.5)
    with pytest.raises(ValueError, match=r"defence\.campaign"):
        DefenceConfig(campaign=0)
