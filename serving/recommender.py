"""The recommender deployment: a slate and a look out of a viewer's history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cluster.errors import InputError
from cluster.registry import ModelVersion, Registry
from cluster.storage import Storage
from serving import inner_port, tracing
from serving.args import AppArgs
from serving.contracts import Answer
from serving.event_store import EventStore
from trainables.data.dataset import Dataset
from trainables.recommender.history import HistoryEvent

if TYPE_CHECKING:
    from trainables.recommender.recommender import Recommendation

FIRST_COUNT_S = 20.0
"""Longest a request waits for the first count of hosts."""


class RecommenderReplica:
    """Holds one model version, kept up to date; the arithmetic runs in a thread, so that a large catalogue never stalls
    the replica. One thread: under one interpreter lock more of them take turns with each other and with the loop, and
    every answer waits for all. Cores are used by more replicas.
    """

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        from serving.live_hosts import LiveHosts
        from serving.live_model import LiveModel
        from serving.slates import SlateMaker
        from trainables.recommender.bundle import load_model
        from trainables.recommender.reranking.rules import Rules

        inner_port.keep_inside()
        tracing.start(args.tracing, "recommender")
        settings = args.settings()
        dataset = Dataset.open(Storage(settings.storage_root), args.data)
        model = load_model(Registry(settings).fetch(version))
        shown = frozenset(dataset.arrow("clips", ["product_id"])["product_id"].to_pylist())
        if shown.isdisjoint(model.product_ids):
            raise InputError(
                f"{version.reference} knows no product of dataset {args.data!r} that has a clip; train it on it"
            )
        self._live = LiveModel(model, dataset, EventStore(args.event_store_url))
        self._live.start(args.trend_refresh_s, args.rebuild_s)
        self._hosts = LiveHosts(self._live, args.rebuild_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recommend")
        self._slates = SlateMaker(
            dataset.arrow("products"), shown, Rules.parse(args.rules, "serving arguments: rules"), args.reranking()
        )

    @tracing.traced("recommender.recommend")
    async def recommend(self, history: Sequence[HistoryEvent], k: int, now_ms: int) -> Answer:
        """Best `k` products that have a clip for this history, and the look to show them in."""
        return await self._in_thread(self._recommend, history, k, now_ms)

    @tracing.traced("recommender.similar")
    async def similar(self, product_id: str, k: int) -> list[tuple[str, float]]:
        """Products most like one product, with their similarity."""
        return await self._in_thread(self._live.recommender.similar, product_id, k)

    @tracing.traced("recommender.hosts")
    async def hosts(
        self, history: Sequence[HistoryEvent], k: int, now_ms: int, live: Sequence[str] | None
    ) -> list[Recommendation]:
        """Best `k` creators among the `live` ones (None: all)."""
        if not self._hosts.known:
            await asyncio.to_thread(self._hosts.begin, FIRST_COUNT_S)
        return await self._in_thread(self._hosts.slate, history, k, now_ms, live)

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _recommend(self, history: Sequence[HistoryEvent], k: int, now_ms: int) -> Answer:
        recommender = self._live.recommender
        slate, moves = self._slates.make(recommender, history, k, now_ms)
        return Answer(slate, recommender.look(history, now_ms).weights, moves)
