"""The simple methods everything is compared with, rerun in the same process: fit on a log, score its viewers.

Popularity; ItemKNN by cosine and by Pearson correlation (Sarwar et al., WWW 2001); RP3β (Paudel et al. 2017); EASE
(Steck, WWW 2019); iALS (Hu, Koren & Volinsky, ICDM 2008; library `implicit`).

Dims: V viewers, n products, f factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from trainables.recommender import ease
from trainables.recommender.protocols.log import Log

Scorer = Callable[[np.ndarray], np.ndarray]
"""Rows of viewers (a,) → scores (a, n) float32, a new array."""
Fit = Callable[[Log], Scorer]


@dataclass(frozen=True)
class Method:
    """A method with the settings that are tried on validation; the name of each setting goes into the report."""

    name: str
    settings: dict[str, Fit]


def from_history(history_Vn: sparse.csr_array, item_item_nn: np.ndarray) -> Scorer:
    """Scores of histories times a matrix."""
    return lambda rows: np.asarray(history_Vn[rows] @ item_item_nn, np.float32)


def gram(x_Vn: sparse.csr_array) -> np.ndarray:
    return np.asarray((x_Vn.T @ x_Vn).todense(), np.float64)


def popularity(log: Log) -> Scorer:
    count_n = np.bincount(log.product_N, minlength=log.products).astype(np.float32)
    return lambda rows: np.tile(count_n, (len(rows), 1))


def item_knn(similarity: str, neighbours: int, shrink: float = 0.0) -> Fit:
    """`similarity` is cosine or pearson; of each product's column the nearest `neighbours` are kept."""

    def fit(log: Log) -> Scorer:
        x_Vn = log.matrix()
        g = gram(x_Vn)
        if similarity == "pearson":  # of 0/1 columns over all viewers: covariance over the product of deviations
            mean_n = np.diag(g) / log.viewers
            g -= log.viewers * np.outer(mean_n, mean_n)
        length_n = np.sqrt(np.maximum(np.diag(g), 1e-9))
        similar_nn = (g / (np.outer(length_n, length_n) + shrink)).astype(np.float32)
        np.fill_diagonal(similar_nn, 0)
        return from_history(x_Vn, nearest(similar_nn, neighbours))

    return fit


def nearest(similar_nn: np.ndarray, neighbours: int) -> np.ndarray:
    """The largest `neighbours` positive entries of each column, the others 0."""
    k = min(neighbours, len(similar_nn) - 1)
    least_n = -np.partition(-similar_nn, k, axis=0)[k - 1]
    return np.where((similar_nn >= least_n) & (similar_nn > 0), similar_nn, 0)


def rp3_beta(beta: float) -> Fit:
    def fit(log: Log) -> Scorer:
        x_Vn = log.matrix()
        viewers_n = np.maximum(np.asarray(x_Vn.sum(0)).ravel(), 1)
        walk_Vn = sparse.diags_array(1 / np.maximum(np.asarray(x_Vn.sum(1)).ravel(), 1)) @ x_Vn
        steps_nn = np.asarray((x_Vn.T @ walk_Vn).todense()) / viewers_n[:, None] / viewers_n**beta
        np.fill_diagonal(steps_nn, 0)
        return from_history(x_Vn, steps_nn.astype(np.float32))

    return fit


def ease_r(l2: float) -> Fit:
    def fit(log: Log) -> Scorer:
        x_Vn = log.matrix()
        return from_history(x_Vn, ease.solve(gram(x_Vn), l2))

    return fit


def implicit_als(
    factors: int, regularization: float, alpha: float, *, rated: bool = False, seed: int = 0, starts: int = 1
) -> Fit:
    """Mean over `starts` starts, each brought to spread 1 a viewer; `rated`: values weigh instead of 1 a row."""

    def fit(log: Log) -> Scorer:
        from implicit.als import AlternatingLeastSquares

        x_Vn = sparse.csr_matrix(log.matrix(log.value_N if rated else None))
        found = []
        for start in range(starts):
            model = AlternatingLeastSquares(
                factors=factors,
                regularization=regularization,
                alpha=alpha,
                iterations=15,
                random_state=1000 * seed + start,
                num_threads=1,
                use_gpu=False,
            )
            model.fit(x_Vn, show_progress=False)
            found.append((model.user_factors, model.item_factors))
        if starts == 1:
            return lambda rows: found[0][0][rows] @ found[0][1].T
        return lambda rows: np.mean([standardised(viewer[rows] @ item.T) for viewer, item in found], axis=0)

    return fit


def standardised(scores_Vn: np.ndarray) -> np.ndarray:
    """Mean 0 and spread 1 in each row."""
    centred = scores_Vn - scores_Vn.mean(1, keepdims=True)
    return (centred / np.maximum(scores_Vn.std(1, keepdims=True), 1e-9)).astype(np.float32)


def baselines(seed: int, l2: tuple[float, ...] = (100, 200, 350, 500)) -> list[Method]:
    """The methods with the grids that are searched on validation."""
    return [
        Method("popularity", {"": popularity}),
        Method("ItemKNN cosine", {f"k={k}": item_knn("cosine", k) for k in (50, 100, 200)}),
        Method("ItemKNN Pearson", {f"k={k}": item_knn("pearson", k) for k in (50, 100, 200)}),
        Method("RP3β", {f"β={beta}": rp3_beta(beta) for beta in (0.4, 0.6, 0.8)}),
        Method("EASE", {f"λ={value:g}": ease_r(value) for value in l2}),
        Method(
            "iALS",
            {
                f"f={factors}, reg={reg}": implicit_als(factors, reg, 4, seed=seed)
                for factors, reg in ((32, 20), (32, 30), (64, 30))
            },
        ),
    ]
