"""The HTTP side without Serve: the real application over fake models, called in process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from cluster.errors import NotFoundError
from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from serving.ahead import Ahead
from serving.args import DemoViewer
from serving.catalogue import Catalogue
from serving.clip_cache import ClipCache
from serving.contracts import Answer, RenderRequest, StreamEnd, StreamStart
from serving.door.settings import AccessArgs, LimitArgs, UploadArgs
from serving.erasure import Eraser
from serving.event_store import EventStore
from serving.feeds import Feeds
from serving.job_store import JobStore
from serving.jobs import Jobs
from serving.look_choices import LookChoices
from serving.looks import LearnedLooks
from serving.messages import Models, ShadowReport
from serving.metrics import Metrics
from serving.plans import Plans
from serving.routes import build_http
from serving.shadow import Shadow
from serving.shop import Shop
from serving.uploads.decoder import UploadDecoder
from serving.versions import Versions
from tests.e2e.tiny_shop import PRODUCTS, make_dataset
from trainables.data.style_code import CODE_DIM

PRESETS = {name: np.full(CODE_DIM, i, np.float32) for i, name in enumerate(("minimal", "neon", "ink"))}
LONGEST_RENDER_S = 1.0
MAX_UPLOAD = 200_000
KEY = b"k" * 32
UPLOADS = UploadDecoder(UploadArgs(max_bytes=MAX_UPLOAD))
"""One for all tests: its process starts with the first upload and ends with theirs."""


class FakeRecommender:
    """Products in catalogue order without those of the history; `sees` what it was asked."""

    def __init__(self) -> None:
        self.histories: list[list[str]] = []
        self.hosts_failure: Exception | None = None
        self.load_failure: Exception | None = None

    async def recommend(self, model: str, history: Any, k: int, now_ms: int) -> Answer:
        seen = [event.product_id for event in history]
        self.histories.append(seen)
        reasons = [SimpleNamespace(product_id=product_id, share=0.25) for product_id in seen]
        slate = [p for p in PRODUCTS if p not in seen][:k]
        source = "history" if seen else "popular"
        items = [SimpleNamespace(product_id=p, score=0.5, source=source, reasons=reasons) for p in slate]
        return Answer(items, {"neon": 0.7, "ink": 0.3} if seen else {"minimal": 1.0}, model)

    async def hosts(
        self, model: str, history: Any, k: int, now_ms: int, live: list[str] | None
    ) -> list[SimpleNamespace]:
        if self.hosts_failure is not None:
            raise self.hosts_failure
        names = [name for name in ("acme", "brio", "cara") if live is None or name in live]
        known = [SimpleNamespace(product_id="acme", share=0.25), SimpleNamespace(product_id="brio", share=-0.1)]
        return [SimpleNamespace(product_id=n, score=0.5, source="history", reasons=known) for n in names][:k]

    async def load(self, reference: str) -> str:
        if self.load_failure is not None:
            raise self.load_failure
        return reference

    async def similar(self, model: str, product_id: str, k: int) -> list[tuple[str, float]]:
        if product_id == PRODUCTS[-1]:
            raise NotFoundError("new")
        return [(p, 0.5) for p in PRODUCTS if p != product_id][:k]


@dataclass
class FakeGenerator:
    """Answers with a recognisable body, or raises `failure`."""

    failure: Exception | None = None
    failing_product: str | None = None
    resting: bool = False
    requests: list[RenderRequest] = field(default_factory=list)

    async def render(self, request: RenderRequest) -> bytes:
        self.requests.append(request)
        if self.failure is not None and self.failing_product in (None, request.product_id):
            raise self.failure
        return f"mp4 of {request.product_id} {request.code_S[0]:.2f} {request.strength}".encode()

    async def stream(self, request: RenderRequest) -> AsyncGenerator[StreamStart | bytes | StreamEnd]:
        whole = await self.render(request)
        yield StreamStart(())
        yield whole[:5]
        yield whole[5:]
        yield StreamEnd(whole)

    def at_rest(self) -> bool:
        return self.resting

    def report(self) -> ShadowReport:
        return Shadow(self.render).report()

    async def load(self, reference: str) -> str:
        if self.failure is not None:
            raise self.failure
        return reference

    async def ready(self) -> bool:
        if self.failure is not None:
            raise self.failure
        return True


@dataclass
class Site:
    """The application, what is behind it, and a client."""

    shop: Shop
    feeds: Feeds
    events: EventStore
    recommender: FakeRecommender
    generator: FakeGenerator
    app: Any

    def __call__(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(send())


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return Catalogue(make_dataset(Storage(str(tmp_path_factory.mktemp("shop"))), Pseudonymiser(KEY)))


@pytest.fixture
def site(catalogue: Catalogue, storage: Storage, tmp_path: Any) -> Site:
    return make_site(catalogue, storage, f"sqlite:///{tmp_path}/events.db")


def make_site(
    catalogue: Catalogue,
    storage: Storage,
    database: str,
    clips_ahead: int = 0,
    looks: LearnedLooks | None = None,
    **door: Any,
) -> Site:
    """A site whose door has settings of its own: access, limits, upload_bytes, ring."""
    events = EventStore(database)
    cache = ClipCache(storage, memory_bytes=10**6, storage_bytes=10**7)
    recommender, generator = FakeRecommender(), FakeGenerator()
    shop = Shop(
        catalogue=catalogue,
        events=events,
        uploads=UPLOADS,
        cache=cache,
        pseudonymiser=Pseudonymiser(KEY),
        recommender=recommender,
        generator=generator,
        versions=Versions(
            storage,
            Models(generator="generator/3", recommender="recommender/2"),
            {"generator": generator.load, "recommender": recommender.load},
        ),
        presets=PRESETS,
        history_events=50,
        clip_wait_s=4.0,
        metrics=Metrics(),
        looks=looks,
    )
    ahead = Ahead(shop, clips_ahead)
    feeds = Feeds(shop, Plans(Pseudonymiser(KEY)), ahead, wait_s=60)
    settings = {"access": AccessArgs(), "limits": LimitArgs(), "upload_bytes": MAX_UPLOAD, **door}
    app = build_http(
        shop,
        feeds,
        Jobs(shop, JobStore(database)),
        Eraser(
            shop,
            ahead,
            events=events,
            choices=LookChoices(database),
            cache=cache,
            dataset=catalogue._dataset,
            pseudonymiser=Pseudonymiser(KEY),
            longest_render_s=LONGEST_RENDER_S,
        ),
        model_cards={"generator": {"reference": "generator/3"}},
        viewers=(DemoViewer(id="mia", label="Mia"),),
        **settings,
    )
    return Site(shop, feeds, events, recommender, generator, app)
