"""The trained recommender as arrays, and the one formula that scores products.

    score_i = Σ_j w_j · [ t_i · B_ji + γ · (c_i + c_j − c_i·c_j) · S_ji ] + π · popularity_i

j runs over the viewer's past products, w_j is their faded feedback, B the item-item matrix (EASE), t the trend of a
product (see popularity.py), S what content says of the pair: the cosine of its features, or the weight B would have by
them (see cold/alignment.py). c = m / (m + viewers) is how little is known of a
product: 1 for a new one, near 0 for a well-known one; of a pair, content counts as far as either is unknown. γ brings S
to the spread of B. Every term of the sum belongs to one past product, so the shares explain the score exactly; a viewer
without history is left with popularity.

Dims: n products, m products with a row in the item-item matrix, h past products, D content features, S style code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from trainables.recommender.cold.alignment import AlignedContent
from trainables.recommender.retrieval.index import ProductIndex
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.taste import Looks

CONTENT_NEIGHBOURS = 1000
"""Products near in content that are scored where the catalogue is too large for all."""


@dataclass(frozen=True, kw_only=True)
class ItemModel:
    """What training makes and a bundle holds."""

    product_ids: tuple[str, ...]
    categories: tuple[str, ...]
    item_item_mm: np.ndarray | sparse.csr_array
    """float32, row j → what feedback on j adds to every other product; sparse for a large catalogue."""
    item_rows: np.ndarray
    """(m,) int64, catalogue rows of the matrix, ascending."""
    content_nD: np.ndarray
    """float32, rows of length 1 or 0."""
    aligned: AlignedContent | None = None
    """What makes S where content is aligned to B; None: S is the cosine of content features."""
    content_scale: float
    """γ, content_weight included."""
    viewers_n: np.ndarray
    """float32, viewers who took to each product in training."""
    popularity_n: np.ndarray
    """float32, 0…1."""
    trend_n: np.ndarray
    """float32, > 0; 1 for a product that does as well as ever."""
    style_codes_nS: np.ndarray
    """float32, NaN rows where a product has no clip."""
    looks: Looks
    config: RecommenderTrainConfig
    trained_until_ms: int
    """No event at or after this moment is in the statistics."""
    learned_until_ms: int
    """No event at or after this moment had a say in the settings."""
    counts: dict[str, int] = field(default_factory=dict)
    """What training read, dropped and capped."""

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Product id → catalogue row."""
        return {product_id: row for row, product_id in enumerate(self.product_ids)}

    @cached_property
    def unknownness_n(self) -> np.ndarray:
        """c, float32: 1 for a product nobody took to, → 0 with many viewers. Outside the matrix all count as new."""
        prior = self.config.content_prior_viewers
        c = prior / (prior + self.viewers_n)
        c[~np.isin(np.arange(len(c)), self.item_rows)] = 1
        return c.astype(np.float32)

    @cached_property
    def prior_n(self) -> np.ndarray:
        """π · popularity, float32."""
        return np.float32(self.config.popularity_weight) * self.popularity_n

    def _by_viewers(self, columns: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Σ_j w_j · B_j (m,) float32."""
        if not sparse.issparse(self.item_item_mm):
            return weights @ self.item_item_mm[columns]
        matrix = self.item_item_mm
        spans = [slice(matrix.indptr[column], matrix.indptr[column + 1]) for column in columns.tolist()]
        if not spans:
            return np.zeros(matrix.shape[1], np.float32)
        to = np.concatenate([matrix.indices[span] for span in spans])
        share = np.concatenate([weight * matrix.data[span] for weight, span in zip(weights, spans, strict=True)])
        return np.bincount(to, share, matrix.shape[1]).astype(np.float32)

    @cached_property
    def _content(self) -> AlignedContent:
        return self.aligned or AlignedContent(self.content_nD, self.content_nD)

    @cached_property
    def _content_index(self) -> ProductIndex:
        return ProductIndex(self._content.target_nR)

    @cached_property
    def _content_across(self) -> np.ndarray:
        return np.ascontiguousarray(self._content.target_nR.T)

    @cached_property
    def _known(self) -> np.ndarray:
        """Catalogue rows with c < 1, ascending."""
        return np.flatnonzero(self.unknownness_n < 1)

    @cached_property
    def _known_across(self) -> np.ndarray:
        whole = len(self._known) == len(self.product_ids)
        return self._content_across if whole else np.ascontiguousarray(self._content.target_nR[self._known].T)

    @cached_property
    def _trend_m(self) -> np.ndarray:
        return self.trend_n[self.item_rows]

    @cached_property
    def _column(self) -> np.ndarray:
        """Catalogue row → row of the matrix, −1 outside."""
        column = np.full(len(self.product_ids), -1)
        column[self.item_rows] = np.arange(len(self.item_rows))
        return column

    def scores(self, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Scores (n,) float32 of all products for past products `rows` (h,) with faded feedback `weights` (h,).

        In a catalogue too large to be scanned (see retrieval/index.py), content counts for products that share viewers
        with the history and for the `CONTENT_NEIGHBOURS` nearest to it; for the rest it is taken to be 0.
        """
        total = self.prior_n.copy()
        if len(rows) == 0:
            return total
        w, c = weights.astype(np.float32), self.unknownness_n
        column = self._column[rows]
        known = column >= 0
        total[self.item_rows] += self._trend_m * self._by_viewers(column[known], w[known])
        if self.content_scale:
            features, unknown = self._content.past_nR[rows], c[rows]
            of_known_R, of_unknown_R = (w * (1 - unknown)) @ features, (w * unknown) @ features
            if self._content_index.exact:
                # Σ w (c_i + c_j − c_i·c_j) S = Σ w S − (1 − c_i) Σ w (1 − c_j) S: the second sum is asked of few
                # products in a large catalogue, and one vector times a matrix is a third of the work of two.
                said_n = (of_known_R + of_unknown_R) @ self._content_across
                said_n[self._known] -= (1 - c[self._known]) * (of_known_R @ self._known_across)
                total += np.float32(self.content_scale) * said_n
            else:
                halves_2R = np.stack([of_known_R, of_unknown_R])
                near = np.unique(np.concatenate([np.flatnonzero(total != self.prior_n), self._near(halves_2R)]))
                among_known, to_unknown = halves_2R @ self._content.target_nR[near].T
                total[near] += np.float32(self.content_scale) * (c[near] * among_known + to_unknown)
        return total

    def _near(self, halves_2R: np.ndarray) -> np.ndarray:
        """Catalogue rows whose content comes next to either half of the history."""
        return np.concatenate([self._content_index.nearest(half, CONTENT_NEIGHBOURS) for half in halves_2R])

    def shares(self, rows: np.ndarray, weights: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The terms of some products' scores, float64 (h, k) each: through the item-item matrix, and through content.

        Row j belongs to past product `rows[j]`; a column's sum over both, plus `prior_n`, is the score of its target.
        """
        column, goal = self._column[rows], self._column[targets]
        inside = np.ix_(column >= 0, goal >= 0)
        past_hk = np.zeros((len(rows), len(targets)))
        past_hk[inside] = dense_block(self.item_item_mm, column[column >= 0], goal[goal >= 0])
        past_hk *= self.trend_n[targets]
        c_past, c_goal = (self.unknownness_n[at].astype(np.float64) for at in (rows, targets))
        unknown_hk = c_goal + c_past[:, None] * (1 - c_goal)
        said_hk = self._content.shares(rows, weights, targets)
        return weights[:, None] * past_hk, self.content_scale * unknown_hk * said_hk


def dense_block(matrix: np.ndarray | sparse.csr_array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Some rows and columns of a matrix, dense."""
    if not sparse.issparse(matrix):
        return matrix[np.ix_(rows, columns)]
    # By hand: slicing a sparse matrix twice costs a millisecond, most of it for looking at types.
    distinct, back = np.unique(columns, return_inverse=True)
    place_m = np.full(matrix.shape[1], -1)
    place_m[distinct] = np.arange(len(distinct))
    block = np.zeros((len(rows), len(distinct)), matrix.dtype)
    for row, start, end in zip(block, matrix.indptr[rows], matrix.indptr[rows + 1], strict=True):
        place = place_m[matrix.indices[start:end]]
        row[place[place >= 0]] = matrix.data[start:end][place >= 0]
    return block[:, back]
