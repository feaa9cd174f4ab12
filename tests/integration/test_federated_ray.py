"""Federated sums on Ray: an actor a silo."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.recommender_log import START_MS, two_tastes
from trainables.recommender.feedback import collect
from trainables.recommender.privacy.federated import Silo
from trainables.recommender.privacy.statistics import item_statistics, of_viewers
from trainables.recommender.settings import RecommenderTrainConfig

CONFIG = RecommenderTrainConfig()


def make_silo(name: str, first: int, last: int) -> Silo:
    """Runs on the silo's actor."""
    data = two_tastes(viewers=60)
    ids = data.products["product_id"].to_pylist()
    whole = collect(data.events, ids, CONFIG.feedback)
    own = of_viewers(whole, whole.viewers[first:last])
    return Silo(name=name, feedback=own, products=len(ids), config=CONFIG, now_ms=START_MS)


def test_actors_that_share_sums_get_the_central_model(ray_local):
    from trainables.recommender.privacy.federated_ray import combined_on_ray

    silos = {"a": partial(make_silo, "a", 0, 25), "b": partial(make_silo, "b", 25, 60)}
    found = combined_on_ray(silos, CONFIG.ease.max_products)
    whole = make_silo("all", 0, 60)
    wanted = item_statistics(whole.feedback, whole.products, CONFIG, START_MS)
    np.testing.assert_array_equal(found.rows, wanted.rows)
    np.testing.assert_allclose(found.gram_mm, wanted.gram_mm, atol=1e-10)
    np.testing.assert_allclose(found.item_item(200.0), wanted.item_item(200.0), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found.popularity_n, wanted.popularity_n, rtol=1e-6)
