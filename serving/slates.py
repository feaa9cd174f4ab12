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


class SlateMaker:
    """One shop's rules and settings; knows the creators and tags that the recommender does not."""

    def __init__(self, products: pa.Table, shown: Collection[str], rules: Rules, config: RerankConfig) -> None:
        """`shown`: products that have a clip; others never enter a slate."""
        self._rules, self._config, self._shown = rules, config, frozenset(shown)
        self._hidden_of: tuple[Recommender | None, frozenset[str]] = (None, frozenset())
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
        hidden = self._hidden(recommender)
        found = recommender.recommend(history, max(DEPTH * k, LEAST), now_ms, exclude=hidden)
        there = hidden | {item.product_id for item in found}
        pinned = [product_id for product_id in self._rules.pinned(now_ms).values() if product_id not in there]
        found += recommender.explain(history, pinned, now_ms)
        if not found:
            return [], []
        row_of, model = recommender.model.row_of, recommender.model
        rows = np.array([row_of[item.product_id] for item in found])
        facts = [self._facts.get(item.product_id, (None, ())) for item in found]
        candidates = Candidates(
            product_ids=[item.product_id for item in found],
            scores=np.array([item.score for item in found]),
            features_CD=model.content_nD[rows],
            categories=[model.categories[row] for row in rows.tolist()],
            creators=[creator for creator, _ in facts],
            tags=[tags for _, tags in facts],
        )
        slate = rerank(candidates, k, rules=self._rules, config=self._config, now_ms=now_ms)
        return [found[place.candidate] for place in slate.places], [place.reasons for place in slate.places]

    def _hidden(self, recommender: Recommender) -> frozenset[str]:
        """Known products without a clip; looked for once a model, not once a request."""
        of, hidden = self._hidden_of
        if of is not recommender:
            hidden = frozenset(recommender.products) - self._shown
            self._hidden_of = (recommender, hidden)
        return hidden
