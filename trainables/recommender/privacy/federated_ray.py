"""Federated sums on Ray: one actor a silo, which alone holds its feedback; sums travel, feedback never does.

Pin an actor to its silo's machine with a custom resource (`resources={"silo-a": 1}`); Ray must be up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import ray

from trainables.recommender.privacy.federated import Silo
from trainables.recommender.privacy.statistics import ItemStatistics
from trainables.recommender.train import matrix_rows


class _Holder:
    """Makes its silo where it runs, so that the log is read there."""

    def __init__(self, make: Callable[[], Silo]) -> None:
        self._silo = make()

    def product_sums(self) -> tuple[np.ndarray, np.ndarray]:
        return self._silo.product_sums()

    def gram(self, rows: np.ndarray) -> np.ndarray:
        return self._silo.gram(rows)


def combined_on_ray(
    silos: Mapping[str, Callable[[], Silo]], most_products: int, resources: Mapping[str, dict[str, float]] | None = None
) -> ItemStatistics:
    """Statistics of all silos together.

    `silos`: name → what makes the silo on its actor; `most_products` is the common `ease.max_products`. Parts are added
    in the order of `silos`, one at a time, so the driver holds two Gram matrices at most.
    """
    actor = ray.remote(num_cpus=1)(_Holder)
    holders = [actor.options(resources=(resources or {}).get(name)).remote(make) for name, make in silos.items()]
    try:
        first = ray.get([holder.product_sums.remote() for holder in holders])
        appeal_n, viewers_n = (np.sum(parts, axis=0) for parts in zip(*first, strict=True))
        rows = matrix_rows(viewers_n, most_products)
        gram_mm = np.zeros((len(rows), len(rows)))
        for part in [holder.gram.remote(rows) for holder in holders]:
            gram_mm += ray.get(part)
    finally:
        for holder in holders:
            ray.kill(holder)
    return ItemStatistics(rows=rows, gram_mm=gram_mm, appeal_n=appeal_n, viewers_n=viewers_n)
