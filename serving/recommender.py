"""The recommender: a slate and a look out of a viewer's history, in a deployment of its own or inside each ingress."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cluster.errors import InputError, ShopreelError, StorageError
from cluster.registry import ModelVersion, Registry
from cluster.storage import Storage
from serving import inner_port, logs, tracing
from serving.args import AppArgs
from serving.contracts import Answer, LoadError
from serving.event_store import EventStore
from trainables.data.dataset import Dataset
from trainables.recommender.history import HistoryEvent

if TYPE_CHECKING:
    from serving.live_versions import LiveVersion
    from trainables.recommender.recommender import Recommendation

logger = logging.getLogger("ray.serve")

FIRST_COUNT_S = 20.0
"""Longest a request waits for the first count of hosts."""


class LiveRecommender:
    """Holds model versions, kept up to date; the arithmetic runs in a thread, so that a large catalogue never stalls
    the replica. One thread: under one interpreter lock more of them take turns with each other and with the loop, and
    every answer waits for all. Cores are used by more replicas.
    """

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        from serving.live_versions import LiveVersions
        from serving.slates import SlateMaker
        from trainables.recommender.reranking.rules import Rules

        settings = args.settings()
        self._args = args
        self._registry = Registry(settings)
        self._dataset = Dataset.open(Storage(settings.storage_root), args.data)
        self._events = EventStore(args.event_store_url)
        self._shown = frozenset(self._dataset.arrow("clips", ["product_id"])["product_id"].to_pylist())
        first = self._version(version)
        # A replica that is started anew answers at once, as it did before; its first count comes in the background.
        self._keep_up(first)
        self._versions = LiveVersions(first, self._load_up_to_date)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recommend")
        self._slates = SlateMaker(
            self._dataset.arrow("products"),
            self._shown,
            Rules.parse(args.rules, "serving arguments: rules"),
            args.reranking(),
        )

    @tracing.traced("recommender.recommend")
    async def recommend(self, model: str, history: Sequence[HistoryEvent], k: int, now_ms: int) -> Answer:
        """Best `k` products that have a clip for this history, and the look to show them in."""
        return await self._in_thread(self._recommend, self._versions.get(model), history, k, now_ms)

    @tracing.traced("recommender.similar")
    async def similar(self, model: str, product_id: str, k: int) -> list[tuple[str, float]]:
        """Products most like one product, with their similarity."""
        return await self._in_thread(self._versions.get(model).live.recommender.similar, product_id, k)

    @tracing.traced("recommender.hosts")
    async def hosts(
        self, model: str, history: Sequence[HistoryEvent], k: int, now_ms: int, live: Sequence[str] | None
    ) -> list[Recommendation]:
        """Best `k` creators among the `live` ones (None: all)."""
        version = self._versions.get(model)
        hosts, history = version.hosts, version.live.without_pause(history, now_ms)
        if not hosts.known:
            await asyncio.to_thread(hosts.begin, FIRST_COUNT_S)
        return await self._in_thread(hosts.slate, history, k, now_ms, live)

    @tracing.traced("recommender.load")
    async def load(self, model: str) -> None:
        """Have a version at hand, up to date, beside those that serve; LoadError says why it cannot be loaded."""
        await asyncio.to_thread(self._versions.load, model)

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _recommend(self, version: LiveVersion, history: Sequence[HistoryEvent], k: int, now_ms: int) -> Answer:
        recommender, history = version.live.recommender, version.live.without_pause(history, now_ms)
        slate, moves = self._slates.make(recommender, history, k, now_ms)
        return Answer(slate, recommender.look(history, now_ms).weights, version.reference, moves)

    def _load_up_to_date(self, reference: str) -> LiveVersion:
        """Events since it was trained are counted before it answers anybody."""
        try:
            version = self._version(self._registry.resolve(reference, only="recommender"))
        except StorageError:
            raise
        except (ShopreelError, OSError, ValueError) as error:
            logger.exception("%s cannot be loaded", reference)
            # Its text may name a folder of this machine: the log has it, the client does not.
            raise LoadError(f"{reference} cannot be loaded ({type(error).__name__})") from error
        version.live.rebuild()
        self._keep_up(version)
        return version

    def _version(self, version: ModelVersion) -> LiveVersion:
        from serving.live_hosts import LiveHosts
        from serving.live_model import LiveModel
        from serving.live_versions import LiveVersion
        from trainables.recommender.bundle import load_model

        model = load_model(self._registry.fetch(version))
        if self._shown.isdisjoint(model.product_ids):
            raise InputError(
                f"{version.reference} knows no product of dataset {self._args.data!r} that has a clip; train it on it"
            )
        live = LiveModel(model, self._dataset, self._events)
        return LiveVersion(version.reference, live, LiveHosts(live, self._args.rebuild_s))

    def _keep_up(self, version: LiveVersion) -> None:
        version.live.start(self._args.trend_refresh_s, self._args.rebuild_s)


class RecommenderReplica(LiveRecommender):
    """The recommender as a deployment of its own."""

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        inner_port.keep_inside()
        logs.write_warnings_at_once()
        tracing.start(args.tracing, "recommender")
        super().__init__(args, version)
