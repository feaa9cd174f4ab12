"""Forgetting viewers: their share is subtracted from the statistics, and the item-item matrix follows by a low rank.

    G' = G − Σ x_v x_vᵀ,   P' = (G' + λI)⁻¹ = P + P U (I − Uᵀ P U)⁻¹ Uᵀ P,   U = (x_v), one column a viewer

(Woodbury; for one viewer Sherman and Morrison's formula.) The update costs m² for each viewer where a solve costs m³.
The inverse is not stored with a model: B_ji = −P_ji / P_ii holds all of it but its diagonal, and (G + λI) P = I gives

    P_ii = 1 / (A_ii − Σ_{j≠i} A_ij B_ji),   A = G + λI.

What comes out equals, to the precision of float32, a model trained on a log those viewers were never in.

Dims: n products, m products with a row in the matrix, V viewers to forget.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg, sparse

from trainables.recommender.feedback import Feedback
from trainables.recommender.privacy.statistics import (
    ItemStatistics,
    gram,
    of_viewers,
    product_sums,
    viewer_vectors,
)
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import matrix_rows

ROWS_A_STEP = 1024


def downdate(
    statistics: ItemStatistics,
    feedback: Feedback,
    viewers: Sequence[str],
    config: RecommenderTrainConfig,
    now_ms: int,
) -> ItemStatistics:
    """Statistics without some viewers; `feedback` and `now_ms` are those the statistics were made from.

    Products that nobody else took to leave the matrix. Where the matrix is full (`ease.max_products`) others may take
    their places; then their rows are summed anew from the remaining feedback.
    """
    own = of_viewers(feedback, viewers)
    appeal_n, viewers_n = product_sums(own, len(statistics.viewers_n), config, now_ms)
    left_n = statistics.viewers_n - viewers_n
    appeal_n = np.where(left_n > 0, np.maximum(statistics.appeal_n - appeal_n, 0), 0.0)
    rows = matrix_rows(left_n, config.ease.max_products)
    if np.isin(rows, statistics.rows).all():
        x_Vm = viewer_vectors(own, statistics.rows, config.ease)
        keep = np.isin(statistics.rows, rows)
        gram_mm = downdated_gram(statistics.gram_mm, x_Vm)[np.ix_(keep, keep)]
    else:
        others = ~np.isin(feedback.viewers, own.viewers)
        gram_mm = gram(feedback.where(others[feedback.viewer_N]), rows, config.ease)
    return ItemStatistics(rows=rows, gram_mm=gram_mm, appeal_n=appeal_n, viewers_n=left_n)


def downdated_gram(gram_mm: np.ndarray, x_Vm: sparse.csr_array) -> np.ndarray:
    """G − XᵀX, float64; only pairs of products that a forgotten viewer took to both are touched."""
    own = (x_Vm.T @ x_Vm).tocoo()
    left = gram_mm.copy()
    left[own.row, own.col] -= own.data
    return left


def downdated_inverse(inverse_mm: np.ndarray, x_Vm: sparse.csr_array) -> np.ndarray:
    """(G + λI − XᵀX)⁻¹ (m, m) float64 from (G + λI)⁻¹, in place: `inverse_mm` is used up.

    Raises ValueError where X is not part of G: then nothing positive would be left.
    """
    reach_mV = np.asarray(inverse_mm @ x_Vm.T.toarray()) if x_Vm.shape[0] else np.zeros((len(inverse_mm), 0))
    left_VV = np.eye(x_Vm.shape[0]) - x_Vm @ reach_mV
    try:
        factor = linalg.cholesky((left_VV + left_VV.T) / 2, lower=True)
    except linalg.LinAlgError as error:
        raise ValueError("these viewers are not part of the matrix: what is left is not positive definite") from error
    # P' = P + W Wᵀ with W = P U L⁻ᵀ; a band of rows at a time, so that no second matrix is needed.
    w_mV = linalg.solve_triangular(factor, reach_mV.T, lower=True).T
    for first in range(0, len(inverse_mm), ROWS_A_STEP):
        band = slice(first, first + ROWS_A_STEP)
        inverse_mm[band] += w_mV[band] @ w_mV.T
    return inverse_mm


def inverse_diagonal(item_item_mm: np.ndarray, gram_mm: np.ndarray, l2: float) -> np.ndarray:
    """Diagonal of P = (G + λI)⁻¹ (m,) float64 back from B and G, without a solve."""
    diagonal = np.empty(len(gram_mm))
    for first in range(0, len(gram_mm), ROWS_A_STEP):
        band = slice(first, first + ROWS_A_STEP)
        explained = (gram_mm[band] * item_item_mm[:, band].T).sum(1)
        diagonal[band] = 1 / (gram_mm[band, band].diagonal() + l2 - explained)
    return diagonal


def inverse_of(item_item_mm: np.ndarray, diagonal_m: np.ndarray) -> np.ndarray:
    """P = (G + λI)⁻¹ (m, m) float64 back from B and the diagonal of P."""
    inverse = item_item_mm * -diagonal_m
    inverse[np.diag_indices(len(inverse))] = diagonal_m
    # B was rounded to float32; both halves know the same number, their mean knows it better.
    inverse += inverse.T.copy()
    inverse *= 0.5
    return inverse


def item_item_of(inverse_mm: np.ndarray) -> np.ndarray:
    """B (m, m) float32 of an inverse: B_ji = −P_ji / P_ii, B_ii = 0."""
    item_item = (inverse_mm / -inverse_mm.diagonal()).astype(np.float32)
    item_item[np.diag_indices(len(item_item))] = 0
    return item_item


def downdated_item_item(
    item_item_mm: np.ndarray,
    before: ItemStatistics,
    after: ItemStatistics,
    x_Vm: sparse.csr_array,
    l2: float,
) -> np.ndarray:
    """B of the statistics `after` viewers `x_Vm` (on the rows of `before`) were taken out, from the B before.

    A low-rank update where no product enters the matrix; else a full solve.
    """
    if not np.isin(after.rows, before.rows).all():
        return after.item_item(l2)
    inverse = downdated_inverse(inverse_of(item_item_mm, inverse_diagonal(item_item_mm, before.gram_mm, l2)), x_Vm)
    # A product that nobody else took to is tied to no other one any more: its row can be cut out of the inverse.
    keep = np.isin(before.rows, after.rows)
    return item_item_of(inverse if keep.all() else inverse[np.ix_(keep, keep)])
