"""Vectors of products: near where the same viewers took to both. Attention compares products by them.

The leading singular directions of viewers × products (Sarwar et al. 2000), rows of viewers at length 1, columns scaled
by popularity^(−0.35), so that neither the keenest viewers nor what everybody watched decide.
Dims: n products, V directions.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from trainables.recommender.ranking.log import Log

DIRECTIONS = 48
LEAST_PAIRS = 5000
"""Pairs of viewer and product below which directions would be chance."""
POPULARITY_POWER = -0.35
LONG_WORTH = 2.0
"""Worth of a long view or click beside a short watch."""


def product_vectors(log: Log, before_ms: int, products: int) -> np.ndarray | None:
    """(n, V) float32, of length 1, 0 for products that nobody took to; None where the log is too small.

    Only what came before a moment counts: had an outcome that is to be predicted formed the vectors, it would be found
    in them.
    """
    watches, shown = log.watches, log.impressions
    liked = (log.outcomes.click_N > 0) | (log.outcomes.long_view_N > 0)
    old_W, old_N = watches.at_ms_W < before_ms, liked & (shown.at_ms_N < before_ms)
    viewer = np.concatenate([watches.viewer_W[old_W], shown.viewer_N[old_N]])
    product = np.concatenate([watches.product_W[old_W], shown.product_N[old_N]])
    of_watch = np.where(watches.long_view_W[old_W] > 0, LONG_WORTH, 1.0)
    worth = np.concatenate([of_watch, np.full(old_N.sum(), LONG_WORTH)])
    _, viewer = np.unique(viewer, return_inverse=True)
    if len(viewer) < LEAST_PAIRS or min(viewer.max() + 1, products) <= DIRECTIONS:
        return None
    taken = sparse.csr_array((worth, (viewer, product)), shape=(viewer.max() + 1, products))
    taken.data = np.minimum(taken.data, 1.5 * LONG_WORTH)
    taken = taken @ sparse.diags_array((taken.sum(0) + 1.0) ** POPULARITY_POWER)
    length = np.sqrt((taken**2).sum(1))
    taken = sparse.diags_array(1 / np.maximum(length, 1e-6)) @ taken
    _, strength, directions = svds(taken.astype(np.float32), k=DIRECTIONS, rng=np.random.default_rng(0))
    vectors = directions.T * np.sqrt(strength)
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)).astype(np.float32)
