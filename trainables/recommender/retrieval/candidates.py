"""The best products out of scores, and candidates with places kept for what a score cannot bring up by itself."""

from __future__ import annotations

import numpy as np

POPULAR_EVERY = 20
"""One candidate in so many is the most popular product not yet among them."""
FRESH_EVERY = 20
"""One candidate in so many is the best-scored product that nobody has met yet."""
GROUP = 64
"""Scores of which one speaks for all while most products are ruled out."""


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k largest finite scores, largest first; equal scores in row order."""
    k = min(k, len(scores))
    if k == 0:
        return np.zeros(0, np.int64)
    rows = np.flatnonzero(scores >= _below(scores, k))
    # Everything at or above the k-th largest value, so that ties are cut by row and not by how partition left them.
    among = scores[rows]
    rows = rows[(among >= np.partition(among, len(among) - k)[len(among) - k]) & np.isfinite(among)]
    return rows[np.argsort(-scores[rows], kind="stable")][:k]


def _below(scores: np.ndarray, k: int) -> np.floating:
    """A value that at least k scores reach: the k-th largest of the largest of each group. Finding the largest of many
    groups takes a tenth of partitioning all scores.
    """
    groups = len(scores) // GROUP
    if groups < k:
        return scores.min()
    largest = scores[: groups * GROUP].reshape(GROUP, groups).max(0)
    return np.partition(largest, groups - k)[groups - k]


def blended(scores: np.ndarray, popularity_n: np.ndarray, viewers_n: np.ndarray, k: int) -> np.ndarray:
    """Rows of k candidates (fewer where fewer scores are finite), best score first.

    A k-th part is kept for popular products and another for products without a viewer; where there are none, by score.
    """
    allowed = np.isfinite(scores)
    kept = [
        best(np.where(allowed & (popularity_n > 0), popularity_n, -np.inf), k // POPULAR_EVERY),
        best(np.where(allowed & (viewers_n == 0), scores, -np.inf), k // FRESH_EVERY),
    ]
    chosen = np.zeros(len(scores), bool)
    chosen[np.concatenate(kept)] = True
    chosen[best(np.where(chosen, -np.inf, scores), k - int(chosen.sum()))] = True
    rows = np.flatnonzero(chosen)
    return rows[np.argsort(-scores[rows], kind="stable")]
