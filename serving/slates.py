"""From candidates to a slate: variety, caps and the shop's own rules, with a reason for every move.

Dims: C candidates, D content features.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from trainables.recommender.history import HistoryEvent
from trainables.recommender.recommender import Recommendation, Recommender
from trainables.recommender.reranking.rerank import Candidates, RerankConfig, rerank
from trainables.recommender.reranking.rules import Rules

DEPTH, LEAST = 5, 50
"""Candidates a place, and in all: what variety and caps may choose from."""
MOST_REASONS = 8
"""Past products named with each place: more than anybody is shown, for some may no longer be sold."""


class SlateMaker:
    """One shop's rules and settings; knows the creators and tags that the recommender does not."""

    def __init__(self, products: pa.Table, shown: Collection[str], rules: Rules, config: RerankConfig) -> None:
        """`shown`: products that have a clip; others never enter a slate."""
        self._rules, self._config, self._shown = rules, config, frozenset(shown)
        self._hidden_of: tuple[Sequence[str], np.ndarray] = ((), np.zeros(0, np.int64))
        columns = (products[name].to_pylist() for name in ("product_id", "creator", "tags"))
        self._facts = {product_id: (creator, tags or ()) for product_id, creator, tags in zip(*columns, strict=True)}

    def make(
        self,
        recommender: Recommender,
        history: Sequence[HistoryEvent],
        k: int,
        now_ms: int,
    ) -> tuple[list[Recommendation], list[tuple[str, ...]]]:
        """The slate, and why each of its products stands where it does (empty: by its score)."""
        model, hidden = recommender.model, self._hidden(recommender)
        past = recommender.fold(history, now_ms)
        rows, scores = recommender.scored(past, max(DEPTH * k, LEAST), hidden)
        pinned = self._pinned(recommender, (rows, hidden), now_ms)
        if len(pinned):
            said = [item.score for item in recommender.explained(past, pinned)]
            rows, scores = np.concatenate([rows, pinned]), np.concatenate([scores, said])
        if not len(rows):
            return [], []
        product_ids = [model.product_ids[row] for row in rows.tolist()]
        facts = [self._facts.get(product_id, (None, ())) for product_id in product_ids]
        candidates = Candidates(
            product_ids=product_ids,
            scores=scores,
            features_CD=model.content_nD[rows],
            categories=[model.categories[row] for row in rows.tolist()],
            creators=[creator for creator, _ in facts],
            tags=[tags for _, tags in facts],
        )
        slate = rerank(candidates, k, rules=self._rules, config=self._config, now_ms=now_ms)
        # Only what is shown is explained: reasons are the dearest part.
        chosen = rows[[place.candidate for place in slate.places]]
        return recommender.explained(past, chosen, most=MOST_REASONS), [place.reasons for place in slate.places]

    def _pinned(self, recommender: Recommender, others: Sequence[np.ndarray], now_ms: int) -> np.ndarray:
        """Rows of pinned products that are not among the others; such as the viewer has met."""
        row_of = recommender.model.row_of
        rows = [row_of[product_id] for product_id in self._rules.pinned(now_ms).values() if product_id in row_of]
        return np.setdiff1d(rows, np.concatenate(others)) if rows else np.zeros(0, np.int64)

    def _hidden(self, recommender: Recommender) -> np.ndarray:
        """Rows of products without a clip; looked for once a catalogue, not once a request."""
        of, hidden = self._hidden_of
        if of is not recommender.products:
            rows = [row for row, product_id in enumerate(recommender.products) if product_id not in self._shown]
            hidden = np.array(rows, np.int64)
            self._hidden_of = (recommender.products, hidden)
        return hidden
