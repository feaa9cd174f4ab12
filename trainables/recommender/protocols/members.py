"""What the item-item side can be made of beyond one EASE: the members of the blend.

- EASE with dropout, which trusts well-known products less blindly; on values: what was liked more weighs more.
- EASE over viewers: each product's audience predicted from like-minded viewers (the same ridge on the transpose).
- windows: EASE whose rows are runs of a viewer's rows instead of whole viewers: what is taken to in one sitting.
- recency: the history counts by how many rows ago it was, 0.5^(rows / half-life).
- next item: a ridge regression from faded histories to what came next, over all positions of all viewers,
  B = (Σ hᵀh + λI)⁻¹ Σ hᵀy: what follows upon what, where co-occurrence knows no order.

Dims: V viewers, n products.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from trainables.recommender import ease
from trainables.recommender.protocols.baselines import Fit, Scorer, from_history, gram
from trainables.recommender.protocols.log import Log


def ease_with_dropout(l2: float, share: float, *, on_values: bool = False) -> Fit:
    """EASE against rows of which a `share` is dropped at random, in expectation (EDLAE, Steck, NeurIPS 2020):
    λ grows by share / (1 − share) of each product's own weight."""

    def fit(log: Log) -> Scorer:
        x_Vn = log.matrix(log.value_N if on_values else None)
        gram_nn = gram(x_Vn)
        gram_nn[np.diag_indices(log.products)] *= 1 + share / (1 - share)
        return from_history(x_Vn, ease.solve(gram_nn, l2))

    return fit


def ease_over_viewers(l2: float) -> Fit:
    def fit(log: Log) -> Scorer:
        x_nV = sparse.csr_array(log.matrix().T)
        alike_VV = ease.solve(gram(x_nV), l2)
        return lambda rows: np.asarray((x_nV @ alike_VV[:, rows]).T, np.float32)

    return fit


def recent(log: Log, half_life_rows: float) -> sparse.csr_array:
    """Histories (V, n), faded by rows."""
    return log.matrix(np.exp2(-log.from_last / half_life_rows))


def ease_with_recency(l2: float, half_life_rows: float) -> Fit:
    def fit(log: Log) -> Scorer:
        return from_history(recent(log, half_life_rows), ease.solve(gram(log.matrix()), l2))

    return fit


def ease_on_windows(l2: float, rows: int, half_life_rows: float) -> Fit:
    """Windows of so many rows, every second one shifted by half a window so that no neighbours are cut apart twice."""

    def fit(log: Log) -> Scorer:
        place = np.arange(len(log.viewer_N)) - np.searchsorted(log.viewer_N, log.viewer_N)
        total_nn = np.zeros((log.products, log.products))
        for shift in (0, rows // 2):
            windows = np.stack([log.viewer_N, (place + shift) // rows], axis=1)
            found, window_N = np.unique(windows, axis=0, return_inverse=True)
            entries = (np.ones(len(window_N)), (window_N.ravel(), log.product_N))
            total_nn += gram(sparse.csr_array(entries, shape=(len(found), log.products)))
        return from_history(recent(log, half_life_rows), ease.solve(total_nn, l2))

    return fit


def next_item_ridge(l2: float, trained_rows: float, asked_rows: float) -> Fit:
    """`trained_rows` and `asked_rows` are the half-lives of histories when training and when asked."""

    def fit(log: Log) -> Scorer:
        before_nn, after_nn = np.zeros((log.products, log.products)), np.zeros((log.products, log.products))
        starts = np.flatnonzero(np.r_[True, np.diff(log.viewer_N) != 0]) if len(log.viewer_N) else []
        for own in np.split(log.product_N, starts[1:]):
            ago_LL = np.arange(1, len(own))[:, None] - 1 - np.arange(len(own) - 1)
            faded_LL = np.where(ago_LL >= 0, np.exp2(-np.maximum(ago_LL, 0) / trained_rows), 0)
            before_nn[np.ix_(own[:-1], own[:-1])] += faded_LL.T @ faded_LL
            after_nn[np.ix_(own[:-1], own[1:])] += faded_LL.T
        before_nn[np.diag_indices(log.products)] += l2
        follows_nn = linalg.solve(before_nn, after_nn, assume_a="pos").astype(np.float32)
        return from_history(recent(log, asked_rows), follows_nn)

    return fit
