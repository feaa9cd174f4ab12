"""What is measured of a scorer on a question: accuracy a viewer, and the slates as a whole.

Dims: V viewers, a asked viewers, n products, k places, m measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cluster.errors import InputError
from trainables.metrics import batched
from trainables.recommender.protocols.baselines import Scorer
from trainables.recommender.protocols.splits import Question

ACCURACY = ("recall", "ndcg", "hit_rate")
BATCH = 1024


@dataclass(frozen=True)
class Measured:
    """Accuracy of each asked viewer, and what the slates are like."""

    by_viewer: dict[str, np.ndarray]
    """Measure of ACCURACY → (a,)."""
    coverage: float
    """Share of the products that stand in at least one slate."""
    novelty: float
    """Bits: mean −log2 of the share of viewers who met a recommended product before."""
    intra_list_similarity: float
    """Mean cosine, over who met them before, between two products of one slate; −, 0…1: lower is more varied."""

    def means(self) -> dict[str, float]:
        found = {name: float(values.mean()) for name, values in self.by_viewer.items()}
        whole = ("coverage", "novelty", "intra_list_similarity")
        return {**found, **{name: float(getattr(self, name)) for name in whole}}


def measure(scorer: Scorer, question: Question, k: int, met_Vn: sparse.csr_array | None = None) -> Measured:
    """Rank all products for all asked viewers; those met are left out (`met_Vn`; None: those of the fitted log).

    InputError where nobody is asked.
    """
    if not len(question.asked):
        raise InputError("no viewer of this dataset has something to be found; there is nobody to ask")
    met_Vn = question.fit.matrix() if met_Vn is None else met_Vn
    slates = []
    for first in range(0, len(question.asked), BATCH):
        rows = question.asked[first : first + BATCH]
        slates.append(batched.top_k(batched.masked(scorer(rows), met_Vn[rows]), k))
    slate_ak = np.concatenate(slates)
    relevant_an = question.relevant_Vn[question.asked]
    count_a = np.diff(relevant_an.indptr)
    hit_ak = batched.hits(slate_ak, relevant_an)
    by_viewer = {
        "recall": batched.recall(hit_ak, count_a),
        "ndcg": batched.ndcg(hit_ak, count_a),
        "hit_rate": batched.hit_rate(hit_ak),
    }
    viewers_n = np.maximum(np.asarray(met_Vn.astype(bool).sum(0)).ravel(), 1)
    shown = slate_ak[slate_ak >= 0]
    return Measured(
        by_viewer,
        coverage=len(np.unique(shown)) / question.fit.products,
        novelty=float(np.log2(question.fit.viewers / viewers_n[shown]).mean()) if len(shown) else 0.0,
        intra_list_similarity=batched.intra_list_similarity(slate_ak, met_Vn),
    )


def ndcg_of(scores_an: np.ndarray, question: Question, k: int, met_Vn: sparse.csr_array | None = None) -> float:
    """Mean NDCG@k of scores of the asked viewers; those met are left out as in `measure`."""
    rows = question.asked
    met_Vn = question.fit.matrix() if met_Vn is None else met_Vn
    slate_ak = batched.top_k(batched.masked(scores_an.copy(), met_Vn[rows]), k)
    relevant_an = question.relevant_Vn[rows]
    return float(batched.ndcg(batched.hits(slate_ak, relevant_an), np.diff(relevant_an.indptr)).mean())
