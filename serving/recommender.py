"""The recommender deployment: a slate and a look out of a viewer's history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cluster.errors import InputError
from cluster.registry import ModelVersion, Registry
from cluster.storage import Storage
from serving.args import AppArgs
from serving.contracts import Answer
from trainables.data.dataset import Dataset
from trainables.recommender.history import HistoryEvent


class RecommenderReplica:
    """Holds one model version; the arithmetic runs in a thread, so that a large catalogue never stalls the replica."""

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        from trainables.recommender.recommender import Recommender

        settings = args.settings()
        self._recommender = Recommender.from_bundle(Registry(settings).fetch(version))
        clips = Dataset.open(Storage(settings.storage_root), args.data).arrow("clips", ["product_id"])
        shown = set(clips["product_id"].to_pylist())
        self._unshown = tuple(product_id for product_id in self._recommender.products if product_id not in shown)
        if len(self._unshown) == len(self._recommender.products):
            raise InputError(
                f"{version.reference} knows no product of dataset {args.data!r} that has a clip; train it on it"
            )

    async def recommend(self, history: Sequence[HistoryEvent], k: int, now_ms: int) -> Answer:
        """Best `k` products that have a clip for this history, and the look to show them in."""
        return await asyncio.to_thread(self._recommend, history, k, now_ms)

    async def similar(self, product_id: str, k: int) -> list[tuple[str, float]]:
        """Products most like one product, with their similarity."""
        return await asyncio.to_thread(self._recommender.similar, product_id, k)

    def _recommend(self, history: Sequence[HistoryEvent], k: int, now_ms: int) -> Answer:
        slate = self._recommender.recommend(history, k, now_ms, exclude=self._unshown)
        return Answer(slate, self._recommender.look(history, now_ms).weights)
