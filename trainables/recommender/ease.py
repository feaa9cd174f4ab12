"""EASE^R: the closed-form linear item-item model (Steck, WWW 2019, arXiv 1905.03375), with recency weighting.

    G = XᵀX, P = (G + λI)⁻¹, B_ji = −P_ji / P_ii, B_ii = 0;     score_i = Σ_j w_j · B_ji

X (viewers × products) holds each viewer's feedback, faded by the time between an event and the viewer's last one, so
that what is bought after one another binds more than what lies months apart. G is a sum over viewers: it is accumulated
over chunks of viewers, on as many machines as there are, and the order of the sum is fixed, so the result is too.

Dims: n products, N pairs of viewer and product, V viewers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from trainables.recommender.feedback import DAY_MS, Feedback

DENSE_LIMIT = 20_000


@dataclass(frozen=True, kw_only=True)
class EaseConfig:
    """Settings of the item-item model."""

    l2: float = 200.0
    """λ, > 0, in units of squared feedback: pulls weights between products that few viewers share towards 0."""
    half_life_days: float = 30.0
    """Days, > 0: in training, feedback this much older than the viewer's last counts half."""
    max_products: int = 10_000
    """Products with a row in the dense matrix (n² · 4 bytes), most viewers first, 1…20000; others live by content."""
    chunk_viewers: int = 4096
    """Viewers a chunk of the Gram sum, ≥ 1. A chunk is one Ray task."""

    def __post_init__(self) -> None:
        if not self.l2 > 0:
            raise ValueError(f"ease.l2 is {self.l2}; set a value above 0, e.g. 200")
        if not self.half_life_days > 0:
            raise ValueError(f"ease.half_life_days is {self.half_life_days}; set days above 0, e.g. 30")
        if not 1 <= self.max_products <= DENSE_LIMIT:
            raise ValueError(f"ease.max_products is {self.max_products}; set 1…{DENSE_LIMIT} (the matrix is dense)")
        if self.chunk_viewers < 1:
            raise ValueError(f"ease.chunk_viewers is {self.chunk_viewers}; set 1 or more, e.g. 4096")


def fade(at_ms: np.ndarray, now_ms: np.ndarray | int, half_life_days: float) -> np.ndarray:
    """0.5^(age / half-life), float64 in 0…1; what lies after `now_ms` counts as now."""
    return np.exp2(-np.maximum(now_ms - at_ms, 0) / (half_life_days * DAY_MS))


def viewer_chunks(feedback: Feedback, rows: np.ndarray, config: EaseConfig) -> Iterator[sparse.csr_array]:
    """X in chunks of viewers, each (≤ chunk_viewers, len(rows)) CSR float64; `rows` are the catalogue rows to keep."""
    column = np.full(max(feedback.product_N.max(initial=-1), rows.max(initial=-1)) + 1, -1)
    column[rows] = np.arange(len(rows))
    viewer, column, at_ms, weight = feedback.viewer_N, column[feedback.product_N], feedback.at_ms_N, feedback.weight_N
    if len(viewer):
        last = at_ms[np.searchsorted(viewer, viewer, side="right") - 1]  # rows are sorted by viewer and time
        weight = weight * fade(at_ms, last, config.half_life_days)
    for first in range(0, len(feedback.viewers), config.chunk_viewers):
        part = slice(*np.searchsorted(viewer, (first, first + config.chunk_viewers)))
        keep = (column[part] >= 0) & (weight[part] > 0)
        shape = (min(config.chunk_viewers, len(feedback.viewers) - first), len(rows))
        entries = (weight[part][keep], (viewer[part][keep] - first, column[part][keep]))
        yield sparse.csr_array(entries, shape=shape)


def chunk_gram(x_Vn: sparse.csr_array) -> sparse.csr_array:
    """XᵀX of one chunk, (n, n) CSR float64."""
    return (x_Vn.T @ x_Vn).tocsr()


def sum_grams(grams: Iterable[sparse.csr_array], n: int, on_chunk: Callable[[], None] = lambda: None) -> np.ndarray:
    """Dense sum (n, n) float64 in the order given; equal chunks in equal order give an equal sum to the last bit."""
    total = np.zeros((n, n))
    for gram in grams:
        coo = gram.tocoo()
        total[coo.row, coo.col] += coo.data  # a CSR product has no duplicate entries
        on_chunk()
    return total


def solve(gram_nn: np.ndarray, l2: float) -> np.ndarray:
    """B (n, n) float32 of a Gram matrix; solved in float64, in place: `gram_nn` is used up.

    Row j is what one unit of feedback on product j adds to the score of every other product.
    """
    n = len(gram_nn)
    if n == 0:
        return np.zeros((0, 0), np.float32)
    gram_nn[np.diag_indices(n)] += l2
    # LAPACK wants columns first; the matrix is symmetric, so its transpose is itself and nothing is copied.
    factor, failed = linalg.lapack.dpotrf(gram_nn.T, lower=1, overwrite_a=1)
    if failed:
        raise ValueError(f"the Gram matrix is not positive definite at ease.l2 = {l2}; raise ease.l2")
    inverse, _ = linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    diagonal = np.diag(inverse).copy()
    full = np.tril(inverse, -1)
    del inverse, factor
    full += full.T
    item_item = (full / -diagonal).astype(np.float32)
    item_item[np.diag_indices(n)] = 0
    return item_item
