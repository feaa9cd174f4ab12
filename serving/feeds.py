"""Feeds: a slate with a clip for every product. Clips that take too long, or that nobody can render, never hold it up:
the product's own clip is shown, and the feed says why and where the late ones can be waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from serving import clip_cache, deadlines, styles
from serving.ahead import Ahead
from serving.contracts import RenderError
from serving.messages import ClipNews, ClipOut, Feed, FeedItem
from serving.plans import Plan, Plans
from serving.problems import Problem
from serving.shop import Shop
from serving.styles import Style

logger = logging.getLogger("ray.serve")

RESERVE_S = 0.05
"""Kept of a caller's deadline for sending the answer."""
LOOK_UP_S = 0.02
"""A feed that does not wait for renders still waits this long for clips that lie in the cache's storage tier."""


@dataclass(frozen=True)
class _Look:
    """How the clips of one feed are rendered: all in one style, by one version."""

    style: Style
    model: str


class Feeds:
    """Feeds of a shop, and the clips they still owe."""

    def __init__(self, shop: Shop, plans: Plans, ahead: Ahead, *, wait_s: float) -> None:
        """`wait_s`: longest time a feed waits for its clips, seconds."""
        self._shop = shop
        self._plans = plans
        self._ahead = ahead
        self._wait_s = wait_s
        self._late: set[asyncio.Task] = set()

    async def feed(self, viewer: str, k: int, wait: float | None = None) -> Feed:
        """The slate with every clip in the viewer's look that can be had within `wait` seconds (None: the longest).

        What is late goes on rendering, and `events_url` tells when it is there; where the caller's deadline is what cut
        the wait short, it is given up instead.
        """
        slate = await self._shop.slate(viewer, k)
        started = time.perf_counter()
        products = tuple(item.product.id for item in slate.items)
        look = _Look(styles.blend(slate.look.weights, self._shop.presets), slate.models.generator)
        clips = await self._clips(products, look, wait)
        latency = {**slate.latency_ms, "render": round((time.perf_counter() - started) * 1000, 1)}
        because = {reason for clip in clips for reason in (clip.reason, *clip.refused) if reason}
        plan = Plan(
            products=products,
            weights=slate.look.weights,
            generator=slate.models.generator,
            made_at=int(time.time()),
        )
        pending = any(clip.status == "pending" for clip in clips)
        self._shop.metrics.feeds.labels(str(bool(because)).lower()).inc()
        self._ahead.expect(viewer, products)
        return Feed(
            **slate.model_dump(exclude={"items", "latency_ms"}),
            items=[FeedItem(**item.model_dump(), clip=clip) for item, clip in zip(slate.items, clips, strict=True)],
            degraded=bool(because),
            degraded_because=sorted(because),
            events_url=f"/v1/feed/{self._plans.sign(plan)}/events" if pending else None,
            latency_ms={**latency, "total": round(sum(latency.values()), 1)},
        )

    def plan(self, token: str) -> Plan:
        """What a feed promised; a Problem 404 for a token that is not ours, or too old."""
        return self._plans.read(token)

    async def follow(self, plan: Plan) -> AsyncIterator[ClipNews]:
        """What becomes of each clip of a feed, in the order in which it is known.

        A product that only the replica which made the feed knows, as it was imported in between their starts, is left
        out.
        """
        look = _Look(styles.blend(plan.weights, self._shop.presets), plan.generator)

        async def news(position: int, product_id: str) -> ClipNews:
            return ClipNews(position=position, product_id=product_id, clip=await self._clip(product_id, look))

        places = [place for place in enumerate(plan.products) if self._shop.catalogue.shows(place[1])]
        tasks = [asyncio.ensure_future(news(*place)) for place in places]
        try:
            for known in asyncio.as_completed(tasks):
                yield await known
        finally:
            _cancel(tasks)

    async def _clips(self, products: Iterable[str], look: _Look, wait: float | None) -> list[ClipOut]:
        wait_s = self._wait_s if wait is None else min(wait, self._wait_s)
        budget_s = deadlines.left() - RESERVE_S
        cut_short = budget_s < wait_s
        if cut_short:
            renders = [asyncio.ensure_future(self._clip(product_id, look)) for product_id in products]
        else:
            with deadlines.lifted():  # they may outlive the request
                renders = [asyncio.ensure_future(self._clip(product_id, look)) for product_id in products]
        try:
            if renders:
                await asyncio.wait(renders, timeout=max(LOOK_UP_S, min(wait_s, budget_s)))
        except asyncio.CancelledError:
            _cancel(renders)
            raise
        if cut_short:
            _cancel(renders)
            late = {"reason": "not rendered before the caller's deadline"}
        else:
            self._let_finish(renders)
            late = {"status": "pending", "reason": None if wait == 0 else f"not rendered within {wait_s:g} s"}
        return [
            render.result() if render.done() else self._original(product_id, **late)
            for product_id, render in zip(products, renders, strict=True)
        ]

    async def _clip(self, product_id: str, look: _Look) -> ClipOut:
        """The clip in the look, or the original and why; whatever happens to the generator, there is an answer."""
        try:
            shown = await self._shop.restyle(product_id, look.style, 1.0, model=look.model, patience_s=self._wait_s)
        except Problem as problem:
            return self._original(product_id, reason=problem.detail)
        except RenderError as error:
            return self._original(product_id, reason=str(error))
        except Exception:  # noqa: BLE001 - a fault of the generator must not cost the feed; the log has it
            logger.exception("a clip of a feed could not be rendered")
            return self._original(product_id, reason="the clip could not be rendered")
        made = not shown.refused
        return ClipOut(
            id=shown.clip_id,
            url=f"/v1/clips/{shown.clip_id}",
            status="ready" if made else "original",
            style=look.style.name if made else None,
            model_version=look.model if made else None,
            cached=shown.cached,
            restyled=made,
            generated=made,
            refused=list(shown.refused),
        )

    def _original(self, product_id: str, *, reason: str | None, status: str = "original") -> ClipOut:
        return ClipOut(
            id=clip_cache.original_id(self._shop.catalogue.source(product_id)),
            url=self._shop.catalogue[product_id].product.clip_url,
            status=status,
            style=None,
            model_version=None,
            cached=False,
            restyled=False,
            generated=False,
            reason=reason,
        )

    def _let_finish(self, renders: Iterable[asyncio.Task]) -> None:
        for render in renders:
            if not render.done():
                self._late.add(render)  # the loop itself only keeps weak references
                render.add_done_callback(self._late.discard)


def _cancel(tasks: Iterable[asyncio.Task]) -> None:
    for task in tasks:
        task.cancel()
