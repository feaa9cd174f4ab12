"""What the HTTP side can do, without HTTP: slates, renders and events, over handles to the models."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import NotFoundError
from cluster.pseudonym import Pseudonymiser
from serving import clip_cache, styles
from serving.catalogue import Catalogue
from serving.clip_cache import ClipCache
from serving.contracts import GeneratorClient, NotCountedError, RecommenderClient, RenderRequest
from serving.event_store import EventStore, StoredEvent
from serving.messages import (
    ClipProvenance,
    EventIn,
    HostItem,
    HostReason,
    Hosts,
    LookOut,
    Reason,
    Recommended,
    Similar,
    SimilarItem,
    Slate,
)
from serving.metrics import Metrics
from serving.problems import Problem
from serving.renders import Rendered, Renders, Streamed
from serving.styles import Style
from serving.uploads.decoder import UploadDecoder
from serving.versions import Versions
from trainables.generator.provenance import read_provenance

if TYPE_CHECKING:
    from serving.looks import LearnedLooks
    from trainables.recommender.recommender import Reason as PastProduct
    from trainables.recommender.recommender import Recommendation

logger = logging.getLogger("ray.serve")

PROBE_VIEWER = "readiness-probe"
MAX_REASONS = 3
LEAST_SHARE = 0.005
"""Of a score; what says less for a product is no reason to name. A history of years ago has faded to almost nothing."""
COUNTING_RETRY_S = 2
SOURCE_TEXTS = {
    "history": "picked from what you watched",
    "content": "looks like what you watched",
    "popular": "popular right now",
    "fresh": "new in the shop",
}


class Shop:
    """One installation being served. All models are fixed versions."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        events: EventStore,
        uploads: UploadDecoder,
        cache: ClipCache,
        pseudonymiser: Pseudonymiser,
        recommender: RecommenderClient,
        generator: GeneratorClient,
        versions: Versions,
        presets: Mapping[str, np.ndarray],
        history_events: int,
        metrics: Metrics,
        clip_wait_s: float,
        looks: LearnedLooks | None = None,
        rendering: str = "",
    ) -> None:
        """`clip_wait_s`: patience of whoever asks for a single clip. `looks` chooses the look of a slate; None: it
        follows from the viewer's taste. `rendering` tells apart clips of one model that are finished in another way.
        """
        self.metrics = metrics
        self.catalogue = catalogue
        self.presets = presets
        self.versions = versions
        self.uploads = uploads
        self._events = events
        self._pseudonymiser = pseudonymiser
        self._recommender = recommender
        self._generator = generator
        self.shadow_report = generator.report
        self._history_events = history_events
        self._clip_wait_s = clip_wait_s
        self._looks = looks
        self._rendering = rendering
        self._renders = Renders(cache, generator, metrics)

    async def slate(self, viewer: str, k: int, *, shown: bool = True) -> Slate:
        """Products for a viewer; an unknown viewer gets what the recommender has for nobody in particular.

        What the recommender knows and this replica does not, as it was imported in between their starts, is left out.
        `shown`: whether it goes to the viewer, whose answer to the look is then waited for.
        """
        started = time.perf_counter()
        pseudonym = self._pseudonymiser.of(viewer)
        history = await asyncio.to_thread(self._events.history, pseudonym, self._history_events)
        models = self.versions.models_for(pseudonym)
        answer = await self._recommender.recommend(models.recommender, history, k, int(time.time() * 1000))
        request_id = uuid.uuid4().hex
        look, propensity = styles.personal(answer.weights, self.presets), None
        if self._looks is not None:
            choice = self._looks.choose(pseudonym, answer.weights)
            look, propensity = styles.blend({choice.style: 1.0}, self.presets), choice.propensity
            if shown:
                await asyncio.to_thread(self._looks.keep, request_id, pseudonym, answer.weights, choice)
                self.metrics.looks.labels(choice.style).inc()
        return Slate(
            request_id=request_id,
            items=[
                self._recommended(item, answer.moves[place] if answer.moves else ())
                for place, item in enumerate(answer.recommendations)
                if self.catalogue.shows(item.product_id)
            ],
            look=LookOut(style=look.name, weights=look.weights, text=look.describe(), propensity=propensity),
            models=models.model_copy(update={"recommender": answer.model}),
            latency_ms={"recommend": _milliseconds_since(started)},
        )

    async def personal_clips(self, viewer: str) -> frozenset[str]:
        """Ids of the clips in a look that is mixed for this viewer; none for a viewer nothing is known of. Those that
        are being rendered are waited for.
        """
        pseudonym = self._pseudonymiser.of(viewer)
        history = await asyncio.to_thread(self._events.history, pseudonym, self._history_events)
        if not history:
            return frozenset()
        recommender = self.versions.models_for(pseudonym).recommender
        answer = await self._recommender.recommend(recommender, history, 1, int(time.time() * 1000))
        look = styles.personal(answer.weights, self.presets)
        if len(look.weights) == 1:
            return frozenset()
        rollout = self.versions.of("generator").rollout
        served = {rollout.deployed, rollout.serving, rollout.canary, *rollout.before} - {None}

        def ids() -> frozenset[str]:
            return frozenset(
                clip_cache.clip_id(source, look.code_S, 1.0, self._renderer(model))
                for source in self.catalogue.sources()
                for model in served
            )

        found = await asyncio.to_thread(ids)  # of a large catalogue they take seconds
        await self._renders.landed(found)
        return found

    async def similar(self, product_id: str, k: int) -> Similar:
        """Products most like one product."""
        _ = self.catalogue[product_id]
        try:
            ranked = await self._recommender.similar(self.versions.models.recommender, product_id, k)
        except NotFoundError as error:
            raise Problem(404, f"product {product_id!r} is newer than the recommender; train it again") from error
        items = [
            SimilarItem(product=self.catalogue[other].product, score=score)
            for other, score in ranked
            if other in self.catalogue
        ]
        return Similar(product_id=product_id, items=items)

    async def hosts(self, viewer: str, k: int, live: Sequence[str] | None) -> Hosts:
        """Creators for a viewer among those who are live (None: all)."""
        pseudonym = self._pseudonymiser.of(viewer)
        history = await asyncio.to_thread(self._events.history, pseudonym, self._history_events)
        recommender = self.versions.models_for(pseudonym).recommender
        try:
            ranked = await self._recommender.hosts(recommender, history, k, int(time.time() * 1000), live)
        except NotFoundError as error:
            raise Problem(404, str(error)) from error
        except NotCountedError as error:
            raise Problem(503, str(error), headers={"retry-after": str(COUNTING_RETRY_S)}) from error
        return Hosts(items=[_host(item) for item in ranked])

    async def restyle(
        self,
        product_id: str,
        style: Style,
        strength: float,
        *,
        model: str | None = None,
        priority: int = 0,
        patience_s: float | None = None,
    ) -> Rendered:
        """A product's clip in a style, from the cache where it is there; the original where the render is not fit.

        `model`: version to render with; None for the one that is served. `patience_s`: longest expected wait, seconds;
        None for that of a single clip. A Problem 429 where it would be longer.
        """
        key, request = self._asked(product_id, style, strength, model, priority, patience_s)

        async def asked() -> RenderRequest:
            return request

        return await self._renders.made(key, asked, priority=priority)

    async def quiet(self) -> None:
        """Returns when no render is under way."""
        await self._renders.quiet()

    def at_rest(self) -> bool:
        """Whether a render would wake a generator that was put to rest."""
        return self._generator.at_rest()

    async def stream(self, product_id: str, style: Style, strength: float, model: str) -> Rendered | Streamed:
        """A product's clip in a style while it is being rendered; the whole of it where it is in the cache."""
        return await self._renders.streamed(*self._asked(product_id, style, strength, model))

    async def restyle_upload(self, data: bytes, style: Style, strength: float, model: str) -> Rendered:
        """An uploaded clip in a style, rendered by a version."""
        upload = hashlib.sha256(data).hexdigest()
        key = clip_cache.clip_id(upload, style.code_S, strength, self._renderer(model))

        async def asked() -> RenderRequest:
            clip = await self.uploads.decode(data)
            return RenderRequest(
                code_S=style.code_S,
                strength=strength,
                frames_THWC=clip.frames_THWC,
                fps=clip.fps,
                upload=upload,
                look=style.describe(),
                model=model,
                patience_s=self._clip_wait_s,
            )

        return await self._renders.made(key, asked)

    async def original(self, product_id: str) -> Rendered:
        """A product's own clip."""
        key = clip_cache.original_id(self.catalogue.source(product_id))
        return await self._renders.encoded(key, lambda: self.catalogue.original_mp4(product_id))

    async def poster(self, product_id: str) -> bytes:
        """First frame of a product's own clip, JPEG."""
        self.catalogue.source(product_id)
        return await asyncio.to_thread(self.catalogue.poster_jpeg, product_id)

    async def clip(self, clip_id: str) -> bytes:
        """A clip by id; a Problem 404 where it is not, or no longer, kept."""
        data = await self._renders.kept(clip_id) if clip_cache.is_clip_id(clip_id) else None
        if data is None:
            raise Problem(404, f"there is no clip {clip_id[:80]!r}; ask for a feed or render it again")
        return data

    async def provenance(self, clip_id: str) -> ClipProvenance:
        """What a kept clip says of itself; a Problem 404 where it is not kept or says nothing."""
        found = await asyncio.to_thread(read_provenance, await self.clip(clip_id))
        if found is None:
            raise Problem(404, f"clip {clip_id!r} says nothing of where it comes from; render it again")
        return ClipProvenance(
            id=clip_id,
            generated=found.generated,
            task=found.task,
            model=found.model,
            product=found.product,
            look=found.look,
            refused=list(found.refused),
        )

    async def record(self, events: Sequence[EventIn], call: str = "") -> int:
        """Store events, all or none; on disk on return. Returns how many were new.

        `call` names the client's call: events without an id get theirs from it, so that a call that is sent once more,
        because the replica died before it answered, stores nothing twice.
        """
        faults = [
            fault
            for i, event in enumerate(events)
            for fault in self._event_faults(event, f"{i}." if len(events) > 1 else "")
        ]
        if faults:
            detail = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:5])
            raise Problem(422, f"{detail}; no event of this request was stored", errors=faults)
        call = call or uuid.uuid4().hex
        ids = [event.event_id or uuid.uuid5(uuid.NAMESPACE_OID, f"{call} {i}").hex for i, event in enumerate(events)]
        stored = [self._stored(event, event_id) for event, event_id in zip(events, ids, strict=True)]
        return await asyncio.to_thread(self._events.append, stored)

    async def check_ready(self) -> None:
        """Pass where a feed can be answered with rendered clips; a Problem 503 says what is missing."""
        try:
            await self.slate(PROBE_VIEWER, 1, shown=False)
            await self._generator.ready()
        except Problem as problem:
            if problem.status_code != 429:  # saturated is alive
                raise Problem(503, problem.detail) from problem

    def _event_faults(self, event: EventIn, prefix: str) -> list[dict[str, str]]:
        faults = []
        if event.product_id not in self.catalogue:
            faults.append({"field": f"{prefix}product_id", "message": f"there is no product {event.product_id[:80]!r}"})
        if event.style is not None and event.style not in self.presets:
            faults.append(
                {
                    "field": f"{prefix}style",
                    "message": f"there is no style {event.style!r}; choose one of {', '.join(self.presets)}",
                }
            )
        return faults

    def _stored(self, event: EventIn, event_id: str) -> StoredEvent:
        copied = event.model_dump(
            include={"product_id", "event_type", "watch_seconds", "duration_seconds", "position", "style", "request_id"}
        )
        return StoredEvent(
            event_id=event_id,
            viewer_id=self._pseudonymiser.of(event.viewer),
            at_ms=event.at_ms(),
            **copied,
        )

    def _asked(
        self,
        product_id: str,
        style: Style,
        strength: float,
        model: str | None = None,
        priority: int = 0,
        patience_s: float | None = None,
    ) -> tuple[str, RenderRequest]:
        """Id of a product's clip in a style, and how to ask for it."""
        model = model or self.versions.models.generator
        key = clip_cache.clip_id(self.catalogue.source(product_id), style.code_S, strength, self._renderer(model))
        return key, RenderRequest(
            code_S=style.code_S,
            strength=strength,
            product_id=product_id,
            look=style.describe(),
            model=model,
            priority=priority,
            patience_s=self._clip_wait_s if patience_s is None else patience_s,
        )

    def _renderer(self, model: str) -> str:
        return f"{model} {self._rendering}".strip()

    def _recommended(self, item: Recommendation, moves: Sequence[str]) -> Recommended:
        named = (reason for reason in item.reasons if reason.share > max(0.0, LEAST_SHARE * item.score))
        reasons = (self._reason(reason, item.score) for reason in named)
        return Recommended(
            product=self.catalogue[item.product_id].product,
            score=item.score,
            source=item.source,
            reasons=list(islice((reason for reason in reasons if reason is not None), MAX_REASONS)),
            why=SOURCE_TEXTS[item.source],
            moves=list(moves),
        )

    def _reason(self, reason: PastProduct, score: float) -> Reason | None:
        """None for a product that has left the catalogue."""
        if reason.product_id not in self.catalogue or score <= 0:
            return None
        title = self.catalogue[reason.product_id].product.title
        return Reason(
            product_id=reason.product_id, title=title, share=reason.share / score, text=f"because you watched {title}"
        )


def _host(item: Recommendation) -> HostItem:
    shares = [(reason.product_id, reason.share / item.score) for reason in item.reasons] if item.score > 0 else []
    reasons = [HostReason(host=name, share=share) for name, share in shares if share > LEAST_SHARE][:MAX_REASONS]
    return HostItem(host=item.product_id, score=item.score, source=item.source, reasons=reasons)


def _milliseconds_since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
