"""Content aligned to what viewers do: a row in the item-item scoring for products that nobody met yet.

Likeness of content is not yet a reason to like: two videos of equal length share nothing a viewer cares for, two of one
creator may. So the columns of the item-item matrix B are learned as a linear function of the content features f
(ridge regression over the m products that have a column), and a new product gets the column its content predicts:

    M = argmin ‖F M − Bᵀ‖² + λ‖M‖² = (FᵀF + λI)⁻¹ Fᵀ Bᵀ,        B̂_ji = f_i · M_·j

M is kept to rank R, cut in the metric in which the predictions B̂ of known products change least (reduced-rank
regression, Izenman 1975): B̂_ji = target_i · past_j. The score Σ_j w_j B̂_ji stays linear in the viewer's history, so
shares of past products remain exact reasons, and a catalogue row costs R multiplications. A past product without a
column of its own has its factors predicted from content by the same ridge. The aim (align content with the
collaborative space instead of comparing content with content) is that of MARec (Monteil et al., arXiv 2404.13298).

Dims: n products, m products with a column in the item-item matrix, D content features, R factors, V viewers, h past
products, k targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, sparse

from trainables.metrics import batched

K = 20
"""Places of the slate that `gains_as_new` looks at."""
L2_GRID = (0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig:
    """Whether and how content is aligned."""

    enabled: bool = False
    """False: products are as near as their content is alike. A training finds out whether True is better."""
    l2: float = 1.0
    """λ, > 0: how many products a feature must be seen on before it is believed. 0.3…10 suit most catalogues."""
    rank: int = 256
    """R, factors a product, 1…1024; a quarter of it ranks about a tenth worse and costs a quarter."""

    def __post_init__(self) -> None:
        if not 0 < self.l2 < np.inf:
            raise ValueError(f"alignment.l2 is {self.l2}; set a value above 0, e.g. 1")
        if not 1 <= self.rank <= 1024:
            raise ValueError(f"alignment.rank is {self.rank}; set 1…1024, e.g. 256")


@dataclass(frozen=True)
class AlignedContent:
    """Factors whose product is the predicted item-item weight, in units of B."""

    past_nR: np.ndarray
    """float32, what feedback on a product says."""
    target_nR: np.ndarray
    """float32, what a product answers to."""

    def scores(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Predicted scores (n,) float32 of all products for past products `rows` (h,) of faded feedback `weights`."""
        return self.target_nR @ (weights.astype(np.float32) @ self.past_nR[rows])

    def shares(self, rows: np.ndarray, weights: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """(h, k) float64: what each past product adds to the score of each target; a column sums to its score."""
        return weights[:, None] * (self.past_nR[rows].astype(np.float64) @ self.target_nR[targets].T)


def aligned_content(
    content_nD: np.ndarray,
    item_item_mm: np.ndarray | sparse.csr_array,
    item_rows: np.ndarray,
    config: AlignmentConfig,
) -> AlignedContent:
    """Learn the alignment of a trained item-item matrix (row j → what feedback on j adds) with content features.

    `item_rows` (m,) are the catalogue rows of the matrix. A constant feature is added here: products that the matrix
    finds good company for everybody lift all new ones alike. Without a column to learn from all factors are 0.
    """
    features_nD = _with_constant(content_nD)
    known_mD = features_nD[item_rows].astype(np.float64)
    if len(item_rows) == 0:
        nothing = np.zeros((len(content_nD), 1), np.float32)
        return AlignedContent(nothing, nothing)
    gram = known_mD.T @ known_mD
    gram[np.diag_indices(len(gram))] += config.l2
    upper = linalg.cholesky(gram)
    to_columns_Dm = linalg.cho_solve((upper, False), known_mD.T @ item_item_mm.T.astype(np.float64))
    # Right singular vectors of (upper · M): its left Gram matrix is only D × D.
    stretched_Dm = upper @ to_columns_Dm
    values, left = linalg.eigh(stretched_Dm @ stretched_Dm.T)
    kept = [i for i in np.argsort(-values)[: config.rank] if values[i] > 1e-12 * max(values[-1], 1e-30)]
    if not kept:
        nothing = np.zeros((len(content_nD), 1), np.float32)
        return AlignedContent(nothing, nothing)
    past_mR = stretched_Dm.T @ left[:, kept] / np.sqrt(values[kept])
    to_past_DR = linalg.cho_solve((upper, False), known_mD.T @ past_mR)
    past_nR = features_nD @ to_past_DR
    past_nR[item_rows] = past_mR
    target_nR = features_nD @ (to_columns_Dm @ past_mR)
    return AlignedContent(past_nR.astype(np.float32), target_nR.astype(np.float32))


def gains_as_new(
    content_nD: np.ndarray,
    item_item_mm: np.ndarray | sparse.csr_array,
    item_rows: np.ndarray,
    liked_Vn: sparse.csr_array,
    configs: Sequence[AlignmentConfig],
    *,
    seed: int = 0,
    most_viewers: int = 1000,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[np.ndarray]:
    """NDCG@20 of each viewer, (≤ `most_viewers`,), for each setting, of a fifth of the known products taken as new.

    Their columns are left out of the fit, their rows out of the histories of `liked_Vn` (sparse, 1 where a viewer took
    to a product). Squared error would not do: it is governed by the many weights near 0. With fewer than 10 known
    products or nobody to ask, the arrays are empty.
    """
    order = np.random.default_rng(seed).permutation(len(item_rows))
    as_new, others = np.sort(order[: len(order) // 5]), np.sort(order[len(order) // 5 :])
    new_rows, other_rows = item_rows[as_new], item_rows[others]
    relevant = liked_Vn[:, new_rows]
    past = liked_Vn[:, other_rows]
    asked = np.flatnonzero((np.diff(relevant.tocsr().indptr) > 0) & (np.diff(past.tocsr().indptr) > 0))
    if len(item_rows) < 10 or len(asked) == 0:
        return [np.zeros(0) for _ in configs]
    asked = asked[np.linspace(0, len(asked) - 1, min(most_viewers, len(asked))).astype(int)]
    past, relevant = past[asked], relevant[asked].tocsr()
    among = item_item_mm[np.ix_(others, others)]
    gains = []
    for step, config in enumerate(configs):
        on_progress(step, len(configs))
        if config.enabled:
            content = aligned_content(content_nD, among, other_rows, config)
        else:
            content = AlignedContent(content_nD, content_nD)
        scores = (past @ content.past_nR[other_rows]) @ content.target_nR[new_rows].T
        hits = batched.hits(batched.top_k(scores, K), relevant)
        gains.append(batched.ndcg(hits, np.diff(relevant.indptr)))
    on_progress(len(configs), len(configs))
    return gains


def choose_l2(
    content_nD: np.ndarray,
    item_item_mm: np.ndarray | sparse.csr_array,
    item_rows: np.ndarray,
    liked_Vn: sparse.csr_array,
    config: AlignmentConfig,
    grid: tuple[float, ...] = L2_GRID,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> AlignmentConfig:
    """The configuration with the λ of `grid` that ranks products best that are taken as new, see `gains_as_new`; where
    that cannot be told, `config` comes back.
    """
    configs = [replace(config, enabled=True, l2=l2) for l2 in grid]
    gains = gains_as_new(content_nD, item_item_mm, item_rows, liked_Vn, configs, seed=seed, on_progress=on_progress)
    return configs[int(np.argmax([gain.mean() for gain in gains]))] if len(gains[0]) else config


def _with_constant(content_nD: np.ndarray) -> np.ndarray:
    return np.concatenate([content_nD, np.ones((len(content_nD), 1), content_nD.dtype)], axis=1)
