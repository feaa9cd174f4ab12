"""Variety in a slate: maximal marginal relevance and determinantal point processes, one place at a time.

Both are asked the same way: `values(relevance)` says what each candidate is worth next, `add(i)` that i was taken.
With diversity δ in 0…1, relevance r in 0…1 and S the cosine of content features:

- MMR (Carbonell & Goldstein, SIGIR 1998): (1 − δ) r_i − δ · max over what was taken of S_ij;
- greedy MAP of a DPP (Chen, Zhang & Zhou, NeurIPS 2018): the determinant of L = Diag(q) S' Diag(q) over the slate is
  maximised greedily, q_i = exp((1 − δ) r_i / 2δ), S' = (1 − ε) S + ε I. A row of a Cholesky factor is added a step, so
  a slate of k out of C candidates costs O(k² C). The value is (1 − δ) r_i + δ · log(what of S'_ii is left once the
  taken ones have explained their part), which is δ times the gain of log det.

A candidate without features is like nothing but itself.

Dims: C candidates, D features, k places.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

FIRST_PLACES = 32
"""Rows a Cholesky factor has room for at first."""
JITTER = 0.05
"""ε: equal products keep this much of their own, so that a slate may hold more products than there are features."""
_NOTHING = 1e-12
"""A logarithm and a root are taken of what is left."""


class Variety(Protocol):
    """Remembers what was taken."""

    nearest_C: np.ndarray
    """Largest cosine with what was taken; −∞ before the first."""
    like_C: np.ndarray
    """Candidate that cosine is with; −1 before the first."""

    def values(self, relevance_C: np.ndarray) -> np.ndarray:
        """What each candidate is worth in the next place, (C,) float64."""
        ...

    def add(self, candidate: int) -> None:
        """This one was taken."""
        ...


class _Taken:
    def __init__(self, features_CD: np.ndarray, diversity: float) -> None:
        self.diversity = diversity
        self.nearest_C = np.full(len(features_CD), -np.inf)
        self.like_C = np.full(len(features_CD), -1)
        # All at once costs less than a row at a time: a slate takes a fifth of its candidates.
        self._cosine_CC = (features_CD @ features_CD.T).astype(np.float64)
        np.fill_diagonal(self._cosine_CC, 1)

    def take(self, candidate: int) -> np.ndarray:
        """This one was taken; its cosines with all, (C,) float64."""
        cosine_C = self._cosine_CC[candidate]
        closer_C = cosine_C > self.nearest_C
        np.copyto(self.nearest_C, cosine_C, where=closer_C)
        self.like_C[closer_C] = candidate
        return cosine_C


class MarginalRelevance(_Taken):
    """MMR; `features_CD` are rows of length 1 or 0."""

    def add(self, candidate: int) -> None:
        self.take(candidate)

    def values(self, relevance_C: np.ndarray) -> np.ndarray:
        alike_C = np.where(np.isfinite(self.nearest_C), self.nearest_C, 0)
        return (1 - self.diversity) * relevance_C - self.diversity * alike_C


class GreedyDeterminant(_Taken):
    """Greedy MAP of a DPP; `features_CD` are rows of length 1 or 0."""

    def __init__(self, features_CD: np.ndarray, diversity: float) -> None:
        super().__init__(features_CD, diversity)
        self.left_C = np.ones(len(features_CD))
        """d²: what of S'_ii the taken ones leave unexplained, at least `_NOTHING`."""
        self._factor_kC = np.empty((FIRST_PLACES, len(features_CD)))
        self._places = 0

    def values(self, relevance_C: np.ndarray) -> np.ndarray:
        return (1 - self.diversity) * relevance_C + self.diversity * np.log(self.left_C)

    def add(self, candidate: int) -> None:
        kernel_C = (1 - JITTER) * self.take(candidate)
        kernel_C[candidate] = 1
        before_kC = self._factor_kC[: self._places]
        kernel_C -= before_kC[:, candidate] @ before_kC
        kernel_C /= math.sqrt(self.left_C[candidate])
        if self._places == len(self._factor_kC):
            self._factor_kC = np.concatenate([self._factor_kC, np.empty_like(self._factor_kC)])
        self._factor_kC[self._places] = kernel_C
        self._places += 1
        np.maximum(self.left_C - kernel_C * kernel_C, _NOTHING, out=self.left_C)


def intra_list_similarity(features_kD: np.ndarray) -> float:
    """Mean cosine over the pairs of a slate (rows of length 1 or 0); 0 for fewer than two products."""
    k = len(features_kD)
    if k < 2:
        return 0.0
    total = features_kD.sum(0)
    return float((total @ total - (features_kD**2).sum()) / (k * (k - 1)))
