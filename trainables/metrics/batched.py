"""Ranking measures of many viewers at once, on matrices; equal to those of ranking.py slate by slate.

Dims: V viewers, n products, k places.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

SAMPLED_SLATES = 500


def top_k(scores_Vn: np.ndarray, k: int) -> np.ndarray:
    """Rows (V, k) of the k largest scores, largest first; −1 where fewer are finite. Of equal scores any may be cut."""
    k = min(k, scores_Vn.shape[1])
    chosen_Vk = np.argpartition(-scores_Vn, k - 1, axis=1)[:, :k]
    value_Vk = np.take_along_axis(scores_Vn, chosen_Vk, 1)
    order_Vk = np.lexsort((chosen_Vk, -value_Vk), axis=1)
    chosen_Vk = np.take_along_axis(chosen_Vk, order_Vk, 1)
    return np.where(np.isfinite(np.take_along_axis(value_Vk, order_Vk, 1)), chosen_Vk, -1)


def masked(scores_Vn: np.ndarray, met_Vn: sparse.csr_array) -> np.ndarray:
    """The scores, in place, with −∞ where a product was met before."""
    viewer = np.repeat(np.arange(met_Vn.shape[0]), np.diff(met_Vn.indptr))
    scores_Vn[viewer, met_Vn.indices] = -np.inf
    return scores_Vn


def hits(slate_Vk: np.ndarray, relevant_Vn: sparse.csr_array) -> np.ndarray:
    """True (V, k) where a place holds a relevant product."""
    width = relevant_Vn.shape[1]
    viewer = np.repeat(np.arange(relevant_Vn.shape[0]), np.diff(relevant_Vn.indptr))
    wanted = np.sort(viewer * width + relevant_Vn.indices)
    asked = np.arange(len(slate_Vk))[:, None] * width + slate_Vk
    return np.isin(asked, wanted) & (slate_Vk >= 0)


def recall(hit_Vk: np.ndarray, relevant_V: np.ndarray) -> np.ndarray:
    """Hits / |relevant| (V,)."""
    return hit_Vk.sum(1) / relevant_V


def hit_rate(hit_Vk: np.ndarray) -> np.ndarray:
    """1 where a place is relevant (V,)."""
    return hit_Vk.any(1).astype(float)


def ndcg(hit_Vk: np.ndarray, relevant_V: np.ndarray) -> np.ndarray:
    """Binary NDCG (V,), the ideal cut at min(k, |relevant|)."""
    discount_k = 1 / np.log2(np.arange(2, hit_Vk.shape[1] + 2))
    ideal_k = np.cumsum(discount_k)
    return hit_Vk @ discount_k / ideal_k[np.minimum(relevant_V, hit_Vk.shape[1]) - 1]


def intra_list_similarity(slate_Vk: np.ndarray, met_Un: sparse.csr_array) -> float:
    """Mean cosine between two products of one slate, over who met them (Ziegler et al. 2005); 0 without two products.

    `met_Un` are any viewers and the products they met, whatever its values. Of many slates, evenly spaced ones.
    """
    slate_Vk = slate_Vk[np.linspace(0, len(slate_Vk) - 1, min(len(slate_Vk), SAMPLED_SLATES)).astype(int)]
    x_Un = sparse.csr_array(met_Un.astype(bool).astype(np.float64))
    length_n = np.sqrt(np.maximum(np.asarray(x_Un.sum(0)).ravel(), 1))
    unit_nU = sparse.csr_array((x_Un / length_n).T)
    viewer, place = np.nonzero(slate_Vk >= 0)
    chosen = sparse.csr_array((np.ones(len(viewer)), (viewer, slate_Vk[viewer, place])), (len(slate_Vk), x_Un.shape[1]))
    count_V = np.asarray(chosen.sum(1)).ravel()
    pairs_V = count_V * (count_V - 1)
    # |Σ unit vectors|² = Σ of all cosines; a product that somebody met has cosine 1 with itself.
    total = (chosen @ unit_nU).power(2).sum(1)
    alone = chosen @ np.asarray(unit_nU.power(2).sum(1)).ravel()
    mean_V = (np.asarray(total).ravel() - alone) / np.maximum(pairs_V, 1)
    return float(mean_V[pairs_V > 0].mean()) if (pairs_V > 0).any() else 0.0
