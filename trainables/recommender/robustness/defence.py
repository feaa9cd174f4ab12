"""Weights of viewers that take the influence of mass-made profiles away.

Four things give a planted profile away, and none of them needs to know the attack:

1. *Copies.* Profiles that are nearly the same (cosine ≥ `duplicate`) share one vote.
2. *Unlike the crowd.* The mean log-probability of a profile's products for a viewer of its size, in a model of a log
   without tastes: P_vi = a_v b_i / (1 + a_v b_i), fitted so that the sizes of profiles and the viewers of products come
   out right (the maximum-entropy bipartite graph of given degrees; Saracco et al., Scientific Reports 2015).
3. *Incoherent.* What one person takes to, others took to together as well: the mean of log (G_ij / (E_ij + 1)) over a
   profile's pairs of products, with G the co-occurrences without the viewer's own vote (and 1 added), E = Σ_v P_vi P_vj
   those of a log without tastes. Filler has none of a person's coherence, however popular it is.
   Real profiles are odd in one of the two at most: a niche taste is coherent. Both are brought to spreads from what is
   usual at the profile's size (a robust line over the logarithm of the size) and added up: the *oddness*.
4. *A product that odd profiles gather around.* One odd profile is an odd taste, many that share a product that few
   others took to are a campaign for it: the mean oddness of a product's viewers, drawn towards 0 where they are few.
   A profile is held against by the worst product it holds.

Dims: V viewers, n products looked at, g groups of viewers of like size, c viewers of a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from trainables.recommender.ease import DENSE_LIMIT
from trainables.recommender.feedback import Feedback

NORMAL_SPREAD = 1.4826
"""Standard deviation of a normal distribution / its median absolute deviation."""
GROUPS, FITTING_STEPS = 30, 30
USUAL = 5
"""Viewers of no oddness added to every product's: a handful of odd viewers is no campaign."""
STEEPNESS = 10
"""A tenth above a limit halves the weight."""


@dataclass(frozen=True, kw_only=True)
class DefenceConfig:
    """When a profile is suspicious."""

    duplicate: float = 0.8
    """Cosine of two profiles, 0 < c ≤ 1, from which on they count as copies."""
    least_products: int = 5
    """Products a profile, ≥ 2: a shorter one says too little to be judged, and can do little."""
    odd: float = 5.0
    """Oddness in spreads, > 0, above which a profile loses weight whatever it holds."""
    campaign: float = 1.2
    """Mean oddness of a product's viewers in spreads (see `campaigns`), > 0, above which its odd ones lose weight."""
    campaign_odd: float = 1.0
    """Oddness in spreads, > 0, above which a viewer of such a product is one of the odd ones."""
    max_products: int = 10_000
    """Products that are looked at, those with the most viewers, 1…20000; n² · 8 bytes are held three times."""
    chunk_viewers: int = 1024
    """Viewers a step, ≥ 1."""

    def __post_init__(self) -> None:
        if not 0 < self.duplicate <= 1:
            raise ValueError(f"defence.duplicate is {self.duplicate}; set a cosine above 0, at most 1, e.g. 0.8")
        if self.least_products < 2:
            raise ValueError(f"defence.least_products is {self.least_products}; set 2 or more, e.g. 5")
        for name in ("odd", "campaign", "campaign_odd"):
            if not getattr(self, name) > 0:
                raise ValueError(f"defence.{name} is {getattr(self, name)}; set a number above 0")
        if not 1 <= self.max_products <= DENSE_LIMIT:
            raise ValueError(f"defence.max_products is {self.max_products}; set 1…{DENSE_LIMIT} (the matrix is dense)")
        if self.chunk_viewers < 1:
            raise ValueError(f"defence.chunk_viewers is {self.chunk_viewers}; set 1 or more, e.g. 1024")


def robust_weights(feedback: Feedback, products: int, config: DefenceConfig) -> np.ndarray:
    """Weight of each viewer's part in the statistics, (V,) float64 in 0…1.

    Looks at what was taken to, not how much or when. Pure: the same log gives the same weights.
    """
    x_Vn = profiles(feedback, products, config.max_products)
    judged_V = np.diff(x_Vn.indptr) >= config.least_products
    vote_V = 1 / np.where(judged_V, copies(x_Vn, config), 1)
    if judged_V.sum() < 3:
        return vote_V
    odd_V = oddness(x_Vn, vote_V, judged_V, config.chunk_viewers)
    pushed_V = campaigns(x_Vn, odd_V)
    alone_V, together_V = odd_V / config.odd, np.minimum(pushed_V / config.campaign, odd_V / config.campaign_odd)
    suspicion_V = np.maximum(alone_V, together_V)
    return vote_V * np.exp2(-STEEPNESS * np.maximum(suspicion_V - 1, 0))


def reweighted(feedback: Feedback, weight_V: np.ndarray) -> Feedback:
    """Feedback of which every viewer's part x xᵀ of the Gram matrix is multiplied by their weight."""
    return replace(feedback, weight_N=feedback.weight_N * np.sqrt(weight_V)[feedback.viewer_N])


def profiles(feedback: Feedback, products: int, most: int) -> sparse.csr_array:
    """(V, n) CSR of ones: what each viewer took to among the `most` products with the most viewers."""
    taken = feedback.weight_N > 0
    viewers_n = np.bincount(feedback.product_N[taken], minlength=products)
    rows = np.argsort(-viewers_n, kind="stable")[:most]
    rows = np.sort(rows[viewers_n[rows] > 0])
    column = np.full(products, -1)
    column[rows] = np.arange(len(rows))
    keep = taken & (column[feedback.product_N] >= 0)
    entries = (np.ones(keep.sum()), (feedback.viewer_N[keep], column[feedback.product_N[keep]]))
    return sparse.csr_array(entries, shape=(len(feedback.viewers), len(rows)))


def copies(x_Vn: sparse.csr_array, config: DefenceConfig) -> np.ndarray:
    """How many profiles are nearly the same as each one, itself included, (V,) int64."""
    length_V = np.sqrt(np.maximum(np.diff(x_Vn.indptr), 1))
    unit_Vn = sparse.csr_array(sparse.diags_array(1 / length_V) @ x_Vn)
    across_nV = sparse.csr_array(unit_Vn.T)
    found = [np.zeros(0, np.int64)]
    for first in range(0, x_Vn.shape[0], config.chunk_viewers):
        alike_cV = (unit_Vn[first : first + config.chunk_viewers] @ across_nV).tocsr()
        alike_cV.data = (alike_cV.data >= config.duplicate - 1e-9).astype(float)
        found.append(np.asarray(alike_cV.sum(axis=1)).astype(np.int64))
    return np.maximum(np.concatenate(found), 1)


def without_tastes(x_Vn: sparse.csr_array, vote_V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P (g, n) float64 for groups of viewers of like size, and the group (V,) of each viewer."""
    size_V = np.diff(x_Vn.indptr)
    group_V = np.empty(len(size_V), np.int64)
    group_V[np.argsort(size_V, kind="stable")] = np.arange(len(size_V)) * GROUPS // max(len(size_V), 1)
    votes_g = np.bincount(group_V, vote_V, GROUPS)
    mean_g = np.bincount(group_V, vote_V * size_V, GROUPS) / np.maximum(votes_g, 1e-9)
    count_n = np.asarray(x_Vn.T @ vote_V)
    a_g, b_n = np.maximum(mean_g, 1e-9), count_n / count_n.sum()
    for _ in range(FITTING_STEPS):
        a_g *= mean_g / np.maximum(_chance(a_g, b_n).sum(axis=1), 1e-12)
        a_g = np.maximum(a_g, 1e-9)
        b_n *= count_n / np.maximum(votes_g @ _chance(a_g, b_n), 1e-12)
    return _chance(a_g, b_n), group_V


def oddness(x_Vn: sparse.csr_array, vote_V: np.ndarray, judged_V: np.ndarray, chunk_viewers: int) -> np.ndarray:
    """Spreads by which a profile is less likely and less coherent than is usual, (V,) float64; 0 if not judged."""
    size_V = np.diff(x_Vn.indptr)
    chance_gn, group_V = without_tastes(x_Vn, vote_V)
    expected_nn = chance_gn.T @ (np.bincount(group_V, vote_V, GROUPS)[:, None] * chance_gn)
    # The own vote is taken as a whole one: copies, whose votes are less, lose theirs all the more.
    others_nn = np.maximum((x_Vn.T @ (sparse.diags_array(vote_V) @ x_Vn)).toarray() - 1, 0)
    lift_nn = np.log((others_nn + 1) / (expected_nn + 1))
    lift_nn[np.diag_indices_from(lift_nn)] = 0
    log_chance_gn = np.log(np.maximum(chance_gn, 1e-12))
    coherence, likeness = [np.zeros(0)], [np.zeros(0)]
    for first in range(0, x_Vn.shape[0], chunk_viewers):
        x_cn = x_Vn[first : first + chunk_viewers]
        coherence.append(_row_sums(x_cn, x_cn @ lift_nn))
        likeness.append(_row_sums(x_cn, log_chance_gn[group_V[first : first + chunk_viewers]]))
    incoherent_V = below_usual(np.concatenate(coherence) / np.maximum(size_V * (size_V - 1), 1), size_V, judged_V)
    unlike_V = below_usual(np.concatenate(likeness) / np.maximum(size_V, 1), size_V, judged_V)
    return np.where(judged_V, incoherent_V + unlike_V, 0)


def below_usual(value_V: np.ndarray, size_V: np.ndarray, judged_V: np.ndarray) -> np.ndarray:
    """Spreads by which a value lies below what is usual at the profile's size, at most ±9, (V,) float64."""
    x_V = np.log(np.maximum(size_V, 1))
    lines = len(np.unique(x_V[judged_V])) > 1
    pull_V = judged_V.astype(float)
    for _ in range(5):  # a line through the middle: far points lose their pull
        weights = np.sqrt(pull_V[judged_V])
        line = np.polyfit(x_V[judged_V], value_V[judged_V], int(lines), w=weights)
        below_V = np.polyval(line, x_V) - value_V
        spread = max(NORMAL_SPREAD * np.median(np.abs(below_V[judged_V])), 1e-9)
        pull_V = judged_V / np.maximum(np.abs(below_V) / spread, 1)
    return np.clip(below_V / spread, -9, 9)


def campaigns(x_Vn: sparse.csr_array, odd_V: np.ndarray) -> np.ndarray:
    """The worst product of each profile: mean oddness (±3 at most) of its viewers and of `USUAL` usual ones, (V,)."""
    count_n = np.asarray(x_Vn.sum(axis=0)).ravel()
    mean_n = np.asarray(x_Vn.T @ np.clip(odd_V, -3, 3)) / (count_n + USUAL)
    worst_V = np.full(x_Vn.shape[0], -np.inf)
    viewer = np.repeat(np.arange(x_Vn.shape[0]), np.diff(x_Vn.indptr))
    np.maximum.at(worst_V, viewer, mean_n[x_Vn.indices])
    return worst_V


def _chance(a_g: np.ndarray, b_n: np.ndarray) -> np.ndarray:
    odds_gn = a_g[:, None] * b_n
    return odds_gn / (1 + odds_gn)


def _row_sums(x_cn: sparse.csr_array, values_cn: np.ndarray) -> np.ndarray:
    return np.asarray((x_cn * values_cn).sum(axis=1)).ravel()
