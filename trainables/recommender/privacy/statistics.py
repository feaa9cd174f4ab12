"""Additive statistics of a log: all that the item-item model and popularity know of viewers.

Each is a sum over viewers, v: the Gram matrix Σ x_v x_vᵀ, the appeal Σ a_v (what popularity is scaled from) and the
number of viewers of each product. So silos add theirs up, a viewer is taken out by subtraction, and noise on the sums
hides every one of them. x_v and a_v are made of one viewer's events alone (see `ease.viewer_chunks`, `popularity`).

Dims: n products, m products with a row in the Gram matrix, V viewers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from trainables.recommender import ease
from trainables.recommender.feedback import Feedback
from trainables.recommender.popularity import appeal, scaled
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import matrix_rows, sum_here


@dataclass(frozen=True, kw_only=True)
class ItemStatistics:
    """Sums over viewers."""

    rows: np.ndarray
    """(m,) int64, catalogue rows of the Gram matrix, ascending."""
    gram_mm: np.ndarray
    """float64, symmetric."""
    appeal_n: np.ndarray
    """float64, feedback faded until a common moment."""
    viewers_n: np.ndarray
    """int64, viewers who took to each product."""

    @property
    def popularity_n(self) -> np.ndarray:
        """Appeal scaled to a maximum of 1, float32: what the model keeps."""
        return scaled(self.appeal_n)

    def item_item(self, l2: float) -> np.ndarray:
        """B (m, m) float32 by a full solve."""
        return ease.solve(self.gram_mm.copy(), l2)


def item_statistics(
    feedback: Feedback,
    products: int,
    config: RecommenderTrainConfig,
    now_ms: int,
    rows: np.ndarray | None = None,
) -> ItemStatistics:
    """Sums over a log's viewers; `feedback` comes from `collect`, `now_ms` is the end of training.

    `rows` are the catalogue rows of the Gram matrix; None: the `max_products` with the most viewers.
    """
    appeal_n, viewers_n = product_sums(feedback, products, config, now_ms)
    if rows is None:
        rows = matrix_rows(viewers_n, config.ease.max_products)
    return ItemStatistics(rows=rows, gram_mm=gram(feedback, rows, config.ease), appeal_n=appeal_n, viewers_n=viewers_n)


def product_sums(
    feedback: Feedback, products: int, config: RecommenderTrainConfig, now_ms: int
) -> tuple[np.ndarray, np.ndarray]:
    """Appeal (n,) float64 and viewers (n,) int64 of each product."""
    appeal_n = appeal(feedback, products, now_ms, config.popularity.half_life_days, config.feedback.impression)
    return appeal_n, np.bincount(feedback.product_N[feedback.weight_N > 0], minlength=products)


def gram(feedback: Feedback, rows: np.ndarray, config: ease.EaseConfig) -> np.ndarray:
    """Σ x_v x_vᵀ (m, m) float64."""
    return sum_here(feedback, rows, config, lambda stage, done, total: None)


def viewer_vectors(feedback: Feedback, rows: np.ndarray, config: ease.EaseConfig) -> sparse.csr_array:
    """x_v of every viewer, (V, m) float64: the rows that the Gram matrix is made of."""
    chunks = list(ease.viewer_chunks(feedback, rows, config))
    return sparse.vstack(chunks, format="csr") if chunks else sparse.csr_array((0, len(rows)))


def of_viewers(feedback: Feedback, viewers: Sequence[str]) -> Feedback:
    """The feedback of some viewers alone; those without any are left out."""
    chosen = np.flatnonzero(np.isin(feedback.viewers, np.asarray(viewers, np.str_)))
    row = np.full(len(feedback.viewers), -1)
    row[chosen] = np.arange(len(chosen))
    keep = row[feedback.viewer_N] >= 0
    return Feedback(
        feedback.viewers[chosen],
        row[feedback.viewer_N[keep]],
        feedback.product_N[keep],
        feedback.at_ms_N[keep],
        feedback.weight_N[keep],
    )
