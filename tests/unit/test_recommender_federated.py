"""Silos that share sums alone get the very model of the whole log."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests.recommender_log import START_MS, two_tastes
from trainables.recommender.ease import EaseConfig
from trainables.recommender.feedback import collect
from trainables.recommender.privacy.federated import Silo, combined, combined_masked, masked, unmasked
from trainables.recommender.privacy.statistics import item_statistics, of_viewers
from trainables.recommender.settings import RecommenderTrainConfig

CONFIG = RecommenderTrainConfig()
NOW_MS = START_MS + 20 * 86_400_000
DATA = two_tastes(viewers=90)
IDS = DATA.products["product_id"].to_pylist()
WHOLE = collect(DATA.events, IDS, CONFIG.feedback)


def silos(config: RecommenderTrainConfig = CONFIG) -> list[Silo]:
    """Three silos of 10, 30 and 50 viewers; no viewer is in two."""
    shares = {"north": WHOLE.viewers[:10], "south": WHOLE.viewers[10:40], "west": WHOLE.viewers[40:]}
    return [
        Silo(name=name, feedback=of_viewers(WHOLE, own), products=len(IDS), config=config, now_ms=NOW_MS)
        for name, own in shares.items()
    ]


def seeds() -> dict[frozenset[str], bytes]:
    pairs = itertools.combinations(("north", "south", "west"), 2)
    return {frozenset(pair): bytes([number]) * 32 for number, pair in enumerate(pairs)}


@pytest.mark.parametrize("how", [combined, lambda parts: combined_masked(parts, seeds())])
@pytest.mark.parametrize("config", [CONFIG, RecommenderTrainConfig(ease=EaseConfig(max_products=20))])
def test_the_sum_of_silos_is_the_central_model(how, config):
    central = item_statistics(WHOLE, len(IDS), config, NOW_MS)
    found = how(silos(config))
    np.testing.assert_array_equal(found.rows, central.rows)
    np.testing.assert_array_equal(found.viewers_n, central.viewers_n)
    np.testing.assert_allclose(found.gram_mm, central.gram_mm, atol=1e-7)
    np.testing.assert_allclose(found.popularity_n, central.popularity_n, atol=1e-6)
    np.testing.assert_allclose(found.item_item(200.0), central.item_item(200.0), rtol=1e-5, atol=1e-8)


def test_one_silo_alone_is_another_model():
    central = item_statistics(WHOLE, len(IDS), CONFIG, NOW_MS)
    alone = combined(silos()[:1])
    assert np.abs(alone.appeal_n - central.appeal_n).max() > 1


def test_masks_cancel_to_the_last_bit():
    rng = np.random.default_rng(0)
    names = ["north", "south", "west"]
    values = {name: rng.normal(0, 1000, 500) for name in names}
    fixed = sum(np.rint(part * 2.0**30) for part in values.values()) / 2.0**30
    sent = {name: masked(part, name, names, seeds(), "gram") for name, part in values.items()}
    np.testing.assert_array_equal(unmasked(sent, names), fixed)


def test_a_silo_s_numbers_are_uniform_without_the_others():
    names = ["north", "south", "west"]
    sent = masked(np.zeros(20_000), "south", names, seeds(), "gram")
    assert stats.kstest(sent / 2.0**64, "uniform").pvalue > 0.01
    again = masked(np.zeros(20_000), "south", names, seeds(), "appeal")
    assert (sent != again).all()  # another stream in every round
    two = sent + masked(np.ones(20_000), "north", names, seeds(), "gram")
    assert stats.kstest(two / 2.0**64, "uniform").pvalue > 0.01  # two of three are not enough


def test_a_missing_silo_a_missing_seed_and_a_number_too_large_are_refused():
    names = ["north", "south", "west"]
    sent = {name: masked(np.ones(3), name, names, seeds(), "x") for name in names[:2]}
    with pytest.raises(ValueError, match="no numbers from silos west"):
        unmasked(sent, names)
    with pytest.raises(ValueError, match="'north' and 'east' share no seed"):
        masked(np.ones(3), "north", ["north", "east"], seeds(), "x")
    for value in (np.inf, np.nan, 2.0**32):
        with pytest.raises(ValueError, match="cannot be sent"):
            masked(np.array([value]), "north", names, seeds(), "x")


def test_silos_that_do_not_agree_are_refused():
    parts = silos()
    with pytest.raises(ValueError, match="differ in now_ms"):
        combined([parts[0], replace(parts[1], now_ms=NOW_MS + 1)])
    with pytest.raises(ValueError, match="differ in config"):
        combined([parts[0], replace(parts[1], config=RecommenderTrainConfig(popularity_weight=1.0))])
    with pytest.raises(ValueError, match="same name"):
        combined([parts[0], parts[0]])
    with pytest.raises(ValueError, match="no silos"):
        combined([])
