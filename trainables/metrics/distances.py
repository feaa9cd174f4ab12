"""How far apart two sets of feature vectors are, and how well one covers the other. Pure functions on arrays.

Dims: N real vectors, M made vectors, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cluster.errors import InputError

DEGREE = 3
KERNEL_SCALE = 1000.0
"""Kernel distances are small numbers; they are reported × 1000."""


def kernel_distance(real_NF: np.ndarray, made_MF: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy × 1000 with k(a, b) = (a·b / F + 1)³ (Bińkowski et al. 2018).

    About 0 between two samples of one distribution, also at small N; slightly negative values are chance.
    """
    real, made = _pair(real_NF, made_MF)
    within = _mean_of_pairs(real) + _mean_of_pairs(made)
    return float(KERNEL_SCALE * (within - 2 * _kernel(real, made).mean()))


def frechet_distance(real_NF: np.ndarray, made_MF: np.ndarray) -> float:
    """‖μ − μ'‖² + tr(Σ + Σ' − 2 (Σ Σ')^½) of Gaussians fitted to both sets (Heusel et al. 2017); grows with F / N."""
    real, made = _pair(real_NF, made_MF)
    # With Σ = RᵀR the trace of (Σ Σ')^½ is the sum of the singular values of R R'ᵀ: exact at any rank.
    root_real, root_made = _root(real), _root(made)
    cross = np.linalg.svd(root_real @ root_made.T, compute_uv=False).sum()
    spread = (root_real**2).sum() + (root_made**2).sum() - 2 * cross
    return float(((real.mean(0) - made.mean(0)) ** 2).sum() + max(spread, 0.0))


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Fidelity and diversity of made vectors against real ones."""

    precision: float
    """Share of made vectors inside the real manifold, 0…1 (Kynkäänniemi et al. 2019)."""
    recall: float
    """Share of real vectors inside the made manifold, 0…1."""
    density: float
    """How many real balls hold a made vector, over k; ≥ 0, about 1 for equal sets (Naeem et al. 2020)."""
    coverage: float
    """Share of real vectors whose ball holds a made vector, 0…1."""


def precision_recall_density_coverage(real_NF: np.ndarray, made_MF: np.ndarray, k: int = 5) -> Coverage:
    """Manifolds are unions of balls that reach to the k-th neighbour within a set; N, M > k."""
    real, made = _pair(real_NF, made_MF)
    if min(len(real), len(made)) <= k:
        raise InputError(f"k is {k}; the sets of {len(real)} and {len(made)} vectors must be larger")
    real_reach, made_reach = _reach(real, k), _reach(made, k)
    between_NM = distances(real, made)
    in_real_ball = between_NM < real_reach[:, None]
    return Coverage(
        precision=float(in_real_ball.any(0).mean()),
        recall=float((between_NM < made_reach).any(1).mean()),
        density=float(in_real_ball.sum(0).mean() / k),
        coverage=float((between_NM.min(1) < real_reach).mean()),
    )


def nearest_distances(made_MF: np.ndarray, known_NF: np.ndarray) -> np.ndarray:
    """Euclidean distance (M,) of every made vector to the nearest known one: near 0 is a copy."""
    made, known = _pair(made_MF, known_NF)
    return distances(made, known).min(1)


def diversity(vectors_NF: np.ndarray) -> float:
    """Mean Euclidean distance of two different vectors of a set; 0 for copies of one."""
    vectors, _ = _pair(vectors_NF, vectors_NF)
    return float(distances(vectors, vectors).sum() / (len(vectors) * (len(vectors) - 1)))


def distances(first_NF: np.ndarray, second_MF: np.ndarray) -> np.ndarray:
    """Euclidean distances (N, M)."""
    square = (first_NF**2).sum(1)[:, None] + (second_MF**2).sum(1) - 2 * first_NF @ second_MF.T
    return np.sqrt(np.maximum(square, 0))


def _reach(vectors_NF: np.ndarray, k: int) -> np.ndarray:
    within = distances(vectors_NF, vectors_NF)
    np.fill_diagonal(within, 0.0)
    return np.partition(within, k, axis=1)[:, k]


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first @ second.T / first.shape[1] + 1) ** DEGREE


def _mean_of_pairs(vectors: np.ndarray) -> float:
    kernel, count = _kernel(vectors, vectors), len(vectors)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _root(vectors_NF: np.ndarray) -> np.ndarray:
    """R with RᵀR = the covariance, of min(N, F) rows."""
    centred = (vectors_NF - vectors_NF.mean(0)) / np.sqrt(len(vectors_NF) - 1)
    return np.linalg.qr(centred, mode="r") if len(centred) > centred.shape[1] else centred


def _pair(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise InputError(f"sets to compare must be (N ≥ 2, F) with equal F, not {first.shape} and {second.shape}")
    return first.astype(np.float64), second.astype(np.float64)
