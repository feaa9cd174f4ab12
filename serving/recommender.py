"""The recommender deployment: a slate and a look out of a viewer's history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cluster.registry import ModelVersion, Registry
from serving.args import AppArgs
from serving.contracts import Answer
from trainables.recommender.history import HistoryEvent


class RecommenderReplica:
    """Holds one model version; the arithmetic runs in a thread, so that a large catalogue never stalls the replica."""

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        from trainables.recommender.recommender import Recommender

        self._recommender = Recommender.from_bundle(Registry(args.settings()).fetch(version))

    async def recommend(self, history: Sequence[HistoryEvent], k: int, now_ms: int, exclude: tuple[str, ...]) -> Answer:
        """Best `k` products for this history, and the look to show them in."""
        return await asyncio.to_thread(self._recommend, history, k, now_ms, exclude)

    async def similar(self, product_id: str, k: int) -> list[tuple[str, float]]:
        """Products most like one product, with their similarity."""
        return await asyncio.to_thread(self._recommender.similar, product_id, k)

    def _recommend(self, history: Sequence[HistoryEvent], k: int, now_ms: int, exclude: tuple[str, ...]) -> Answer:
        slate = self._recommender.recommend(history, k, now_ms, exclude=exclude)
        return Answer(slate, self._recommender.look(history, now_ms).weights)
