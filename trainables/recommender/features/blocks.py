"""Feature blocks: one array a modality, brought to one scale and joined to a product's feature vector.

A block is (n, d) float with a mask of the products that have it. Normalised, it is centred on those that have it and
every row has length 1; a product without it has a row of zeros, which adds nothing to any dot product. Joined with
weights ω, the dot product of two full vectors is Σ ω_b · cosine_b / Σ ω_b.

Dims: n products, d numbers of a block, D of all blocks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def normalised(block_nd: np.ndarray, known_n: np.ndarray | None = None) -> np.ndarray:
    """(n, d) float32: centred over the products that have the block, rows of length 1, zeros where it is missing.

    Without `known_n` a product has the block where its row is finite and not all zeros. A row equal to the mean, which
    says nothing, stays zero.
    """
    finite_n = np.isfinite(block_nd).all(1)
    known_n = finite_n & ((block_nd != 0).any(1) if known_n is None else known_n)
    if not known_n.any():
        return np.zeros(block_nd.shape, np.float32)
    clean = np.where(known_n[:, None], block_nd, 0).astype(np.float64)
    centred = np.where(known_n[:, None], clean - clean[known_n].mean(0), 0)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(length > 1e-9, centred / np.maximum(length, 1e-9), 0).astype(np.float32)


def standardised(block_nd: np.ndarray) -> np.ndarray:
    """Columns of zero mean and unit spread, at most ±3, over the finite rows; other rows stay NaN."""
    finite_n = np.isfinite(block_nd).all(1)
    if not finite_n.any():
        return np.full(block_nd.shape, np.nan)
    mean, spread = block_nd[finite_n].mean(0), np.maximum(block_nd[finite_n].std(0), 1e-6)
    return np.where(
        finite_n[:, None], np.clip((np.where(finite_n[:, None], block_nd, 0) - mean) / spread, -3, 3), np.nan
    )


def joined(blocks: Mapping[str, np.ndarray], weights: Mapping[str, float] | None = None) -> np.ndarray:
    """(n, D) float32 of length 1 or 0: normalised blocks side by side; a block without a weight counts 1.

    Raises ValueError for a weight of no block, and for a negative one.
    """
    weights = dict(weights or {})
    unknown = sorted(set(weights) - set(blocks))
    if unknown:
        raise ValueError(f"no feature block is called {unknown[0]!r}; there are {', '.join(blocks)}")
    negative = [name for name, weight in weights.items() if not weight >= 0]
    if negative:
        raise ValueError(f"the weight of block {negative[0]!r} is {weights[negative[0]]}; set 0 or more")
    parts = [np.sqrt(weights.get(name, 1.0)) * normalised(block) for name, block in blocks.items()]
    features = np.concatenate(parts, axis=1)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    features = np.where(length > 1e-9, features / np.maximum(length, 1e-9), 0).astype(np.float32)
    return np.ascontiguousarray(features[:, (features != 0).any(0)])
