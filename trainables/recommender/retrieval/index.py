"""Nearest products by dot product: exact up to 10⁵ products, faiss IVF (inverted lists) beyond.

Dims: n products, D features.
"""

from __future__ import annotations

import numpy as np

EXACT_LIMIT = 100_000
LISTS_PER_ROOT = 4
"""Lists are 4 · √n, as faiss' guidelines have it."""
PROBED = 64
TRAINED_ON = 64
"""Training vectors a list."""


class ProductIndex:
    """Answers which products have the largest dot product with a vector."""

    def __init__(self, features_nD: np.ndarray, *, exact_limit: int = EXACT_LIMIT, seed: int = 0) -> None:
        self._features_nD = np.ascontiguousarray(features_nD, np.float32)
        n, dims = self._features_nD.shape
        self.exact = n <= exact_limit
        if self.exact:
            return
        import faiss

        lists = min(int(LISTS_PER_ROOT * np.sqrt(n)), n // 40 + 1)
        self._index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dims), dims, lists, faiss.METRIC_INNER_PRODUCT)
        rng = np.random.default_rng(seed)
        self._index.train(self._features_nD[np.sort(rng.permutation(n)[: TRAINED_ON * lists])])
        self._index.add(self._features_nD)
        self._index.nprobe = min(PROBED, lists)

    def nearest(self, vector_D: np.ndarray, k: int) -> np.ndarray:
        """Rows of up to k products, nearest first; IVF may miss a few of them."""
        vector_D = np.ascontiguousarray(vector_D, np.float32)
        if not self.exact:
            rows = self._index.search(vector_D[None], k)[1][0]
            return rows[rows >= 0]
        scores = self._features_nD @ vector_D
        rows = np.argpartition(-scores, min(k, len(scores)) - 1)[:k]
        return rows[np.argsort(-scores[rows], kind="stable")]
