"""The ingress deployment: the HTTP side inside a Serve replica."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from cluster.pseudonym import Pseudonymiser
from cluster.registry import ModelVersion, Registry
from cluster.storage import Storage
from serving import deadlines, inner_port, logs, tracing
from serving.admission import Admission
from serving.ahead import Ahead
from serving.args import AppArgs
from serving.calls import call, stream
from serving.catalogue import Catalogue
from serving.clip_cache import ClipCache
from serving.contracts import Refusal, RenderRequest, StreamEnd, StreamStart
from serving.door.keys import KeyStore
from serving.door.ring import KeyRing
from serving.erasure import Eraser
from serving.erasures_elsewhere import ErasuresElsewhere
from serving.event_store import EventStore
from serving.feeds import Feeds
from serving.job_store import JobStore
from serving.jobs import Jobs
from serving.look_choices import LookChoices
from serving.looks import LearnedLooks
from serving.messages import Models, ShadowReport
from serving.metrics import Metrics
from serving.plans import Plans
from serving.problems import Problem
from serving.recommender_client import RecommenderInside, RecommenderOnServe
from serving.render_queue import Served
from serving.repeated import Repeated
from serving.replica_counts import ReplicaCounts
from serving.routes import build_http
from serving.shadow import Shadow
from serving.shop import Shop
from serving.uploads.decoder import UploadDecoder
from serving.versions import Kind, Load, Versions
from trainables.data.dataset import Dataset
from trainables.generator.restyle.presets import preset_codes

READY_TIMEOUT_S = 10.0
PROOF_OF_LIFE_S = 10.0
RECOUNT_S = 600.0
"""Between two looks at which clips the other ingress replicas have kept on storage."""
BALANCED = {"_by_reference": True}
"""Renders go as actor calls. Of a call over gRPC, Serve's router hears only with the answer how long a replica's queue
was at the start, and takes it for the queue's length now: with renders of a tenth of a second it then sends the next
ones to one replica while another has none (a fifth of the time, with eight clients and two replicas).
"""
PROBLEMS = {429: "busy", 503: "unavailable", 504: "late"}
"""What became of a render, by the status it ended with."""


class GeneratorOnServe:
    """serving.shop.GeneratorClient over a deployment handle."""

    def __init__(
        self, handle: DeploymentHandle, timeout_s: float, metrics: Metrics, *, may_sleep: bool = False
    ) -> None:
        """`may_sleep`: at rest no replica runs, and asking whether one is ready would wake it."""
        self._handle = handle.options(**BALANCED)
        self._may_sleep = may_sleep
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._answered_at = -math.inf
        self._admission = Admission()
        self._shadow = Shadow(self._served)
        self._challenger: Callable[[], tuple[str | None, float]] = lambda: (None, 0.0)

    async def render(self, request: RenderRequest) -> bytes | Refusal:
        with self._counted(request) as outcome:
            with self._admission.place(request.patience_s) as came_back:
                served = await self._served(request)
                came_back(served)
            self._made(served, request, outcome)
            self._shadow.consider(request, served, *self._challenger())
            return served.outcome

    async def stream(self, request: RenderRequest) -> AsyncGenerator[StreamStart | bytes | StreamEnd]:
        with self._counted(request) as outcome, self._admission.place(request.patience_s) as came_back:
            messages = stream(self._handle, "stream", self._dated(request), timeout_s=self._timeout_s)
            async with contextlib.aclosing(messages):
                async for message in messages:
                    if isinstance(message, Served):
                        came_back(message)
                        self._made(message, request, outcome)
                        yield StreamEnd(message.outcome)
                    else:
                        yield message

    def report(self) -> ShadowReport:
        return self._shadow.report()

    async def _served(self, request: RenderRequest) -> Served:
        return await call(self._handle, "render", self._dated(request), timeout_s=self._timeout_s)

    def _dated(self, request: RenderRequest) -> RenderRequest:
        return replace(request, deadline=time.time() + min(self._timeout_s, deadlines.left()))

    def _made(self, served: Served, request: RenderRequest, outcome: list[str]) -> None:
        self._answered_at = time.monotonic()
        self._metrics.rendered(served, request.model)
        outcome[0] = "made"
        if isinstance(served.outcome, Refusal):
            outcome[0] = "refused"
            for reason in served.outcome.reasons:
                self._metrics.refusals.labels(reason.partition(":")[0]).inc()

    @contextlib.contextmanager
    def _counted(self, request: RenderRequest) -> Iterator[list[str]]:
        """Count what becomes of a render: one word in a list, for the block to say."""
        outcome = ["failed"]
        self._metrics.in_flight.inc()
        try:
            yield outcome
        except Problem as problem:
            outcome[0] = PROBLEMS.get(problem.status_code, outcome[0])
            raise
        except (asyncio.CancelledError, GeneratorExit):
            outcome[0] = "cancelled"
            raise
        finally:
            self._metrics.in_flight.dec()
            self._metrics.renders.labels(outcome[0], request.model).inc()

    def compare_with(self, challenger: Callable[[], tuple[str | None, float]]) -> None:
        """Compare renders with those of a version, and on what share of them."""
        self._challenger = challenger

    async def load(self, model: str) -> None:
        """Have a version at hand; RenderError says why it cannot be loaded."""
        await call(self._handle, "load", model, timeout_s=self._timeout_s)

    def at_rest(self) -> bool:
        return self._may_sleep and not self._alive()

    def _alive(self) -> bool:
        return time.monotonic() - self._answered_at < PROOF_OF_LIFE_S

    async def ready(self) -> bool:
        if self._may_sleep or self._alive():
            return True  # a probe need not queue behind the renders that just prove it
        return await call(self._handle, "ready", timeout_s=READY_TIMEOUT_S)


class Ingress:
    """Opens the stores, then hands HTTP to FastAPI; Serve calls `__serve_build_asgi_app__` in the replica."""

    def __init__(
        self,
        args: AppArgs,
        versions: dict[str, ModelVersion],
        recommender: DeploymentHandle | None,
        generator: DeploymentHandle,
    ) -> None:
        """`recommender`: None to hold it in this process."""
        inner_port.keep_inside()
        logs.write_warnings_at_once()
        tracing.start(args.tracing, "ingress")
        settings = args.settings()
        storage = Storage(settings.storage_root)
        dataset = Dataset.open(storage, args.data)
        events = EventStore(args.event_store_url)
        events.seed(dataset, args.seed_events_per_viewer)
        pseudonymiser = Pseudonymiser.load(settings)
        cache = ClipCache(storage, memory_bytes=args.cache_memory_bytes, storage_bytes=args.cache_storage_bytes)
        ErasuresElsewhere(events, cache, longest_render_s=args.render_timeout_s).start()
        if args.ingress_replicas > 1:
            Repeated("clips-elsewhere", cache.recount, RECOUNT_S).start()
        self._args = args
        self._cards = {"data": args.data, **{name: model_card(version) for name, version in versions.items()}}
        models = Models(generator=versions["generator"].reference, recommender=versions["recommender"].reference)
        metrics = Metrics()
        metrics.watch("shopreel_clip_cache_bytes", "Bytes of clips kept.", "tier", cache.sizes)
        metrics.watch("shopreel_replicas", "Replicas that run.", "deployment", ReplicaCounts(running_replicas))
        asleep = args.generator_replicas.min_replicas == 0
        served = GeneratorOnServe(generator, args.render_timeout_s, metrics, may_sleep=asleep)
        registry = Registry(settings)

        slates = RecommenderOnServe(recommender) if recommender else RecommenderInside(args, versions["recommender"])

        def loading(kind: Kind, bring: Callable[[str], Awaitable[None]]) -> Load:
            async def load(reference: str) -> str:
                version = await asyncio.to_thread(registry.resolve, reference, kind)
                await bring(version.reference)
                return version.reference

            return load

        loads = {"generator": loading("generator", served.load), "recommender": loading("recommender", slates.load)}
        versions_served = Versions(storage, models, loads)
        generators = versions_served.of("generator")
        served.compare_with(lambda: (generators.rollout.shadow, generators.rollout.shadow_share))
        metrics.watch("shopreel_model_share", "Share of viewers by version.", "version", versions_served.shares)
        choices = LookChoices(args.event_store_url)
        presets, looks = preset_codes(), None
        if args.looks.learned:
            looks = LearnedLooks(choices, events, tuple(presets), args.looks)
            looks.start(args.trend_refresh_s)
        self._shop = Shop(
            catalogue=Catalogue(dataset),
            events=events,
            cache=cache,
            uploads=UploadDecoder(args.uploads),
            pseudonymiser=pseudonymiser,
            recommender=slates,
            generator=served,
            versions=versions_served,
            presets=presets,
            history_events=args.history_events,
            clip_wait_s=args.clip_wait_s,
            metrics=metrics,
            looks=looks,
            rendering="labelled" if args.visible_label else "",
        )
        ahead = Ahead(self._shop, args.render_ahead)
        self._feeds = Feeds(self._shop, Plans(pseudonymiser), ahead, wait_s=args.feed_wait_s)
        self._eraser = Eraser(
            self._shop,
            ahead,
            events=events,
            choices=choices,
            cache=cache,
            dataset=dataset,
            pseudonymiser=pseudonymiser,
            longest_render_s=args.render_timeout_s,
        )
        self._jobs = Jobs(self._shop, JobStore(args.event_store_url))

    def __serve_build_asgi_app__(self) -> FastAPI:  # noqa: N807 - the name Serve looks for
        return build_http(
            self._shop,
            self._feeds,
            self._jobs,
            self._eraser,
            model_cards=self._cards,
            viewers=self._args.demo_viewers,
            access=self._args.access,
            limits=self._args.limits,
            upload_bytes=self._args.uploads.max_bytes,
            ring=None if self._args.access.keys == "never" else KeyRing(KeyStore(self._args.event_store_url)),
            replicas=self._args.ingress_replicas,
            most_s=self._args.render_timeout_s,
            replica=serve.get_replica_context().replica_id.unique_id,
        )


def running_replicas() -> dict[str, float]:
    """Replicas that run, by deployment; asks Serve's controller."""
    deployments = serve.status().applications[serve.get_replica_context().app_name].deployments
    return {name: status.replica_states.get("RUNNING", 0) for name, status in deployments.items()}


def model_card(version: ModelVersion) -> dict[str, Any]:
    """What `GET /v1/models` says of a version; aliases as they were at deploy."""
    return {
        "name": version.name,
        "version": version.version,
        "reference": version.reference,
        "run_id": version.run_id,
        "aliases": list(version.aliases),
        "metrics": dict(version.metrics),
        "lineage": dict(version.lineage),
        "created_at": version.created_at.isoformat(),
    }
