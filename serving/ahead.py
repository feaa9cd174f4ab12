"""Rendering ahead: while no render is waited for, the clips are made that a viewer is likely to be shown next.

Whoever watches, clicks or buys one product of a feed gets another in its place next time: the ones that come behind
the feed's own in the viewer's ranking, in the viewer's look. They are asked for one at a time and behind everything
else, so a request that comes in meanwhile waits for one clip at most; a generator that is at rest is left so.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Collection

from serving import deadlines, styles
from serving.contracts import RenderError
from serving.problems import Problem
from serving.shop import Shop

logger = logging.getLogger("ray.serve")

PRIORITY = 3
"""Behind the challenger's shadow."""
MOST_WAITING = 64
"""Viewers whose next clips are still to be made; the longest waiting is forgotten beyond that."""


class Ahead:
    """What one ingress replica renders ahead."""

    def __init__(self, shop: Shop, clips: int) -> None:
        """`clips` a feed."""
        self._shop = shop
        self._clips = clips
        self._waiting: OrderedDict[str, frozenset[str]] = OrderedDict()  # viewer → products they have in front of them
        self._worker: asyncio.Task | None = None
        self._rendering: tuple[str, asyncio.Task] | None = None

    def expect(self, viewer: str, shown: Collection[str]) -> None:
        """A feed of these products went to this viewer, who will ask again; returns at once."""
        if self._clips == 0:
            return
        self._waiting.pop(viewer, None)
        self._waiting[viewer] = frozenset(shown)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)
        if self._worker is None or self._worker.done():
            with deadlines.lifted():
                self._worker = asyncio.ensure_future(self._work())

    async def forget(self, viewer: str) -> None:
        """Nothing is made ahead for this viewer any more once this returns, until they ask for another feed."""
        self._waiting.pop(viewer, None)
        if self._rendering is not None and self._rendering[0] == viewer:
            self._rendering[1].cancel()
            await asyncio.wait([self._rendering[1]])

    async def _work(self) -> None:
        while True:
            await self._shop.quiet()
            if not self._waiting:  # the last one may have been forgotten meanwhile
                return
            viewer, shown = self._waiting.popitem()  # the last one is the likeliest to be there still
            task = asyncio.ensure_future(self._render(viewer, shown))
            self._rendering = (viewer, task)
            await asyncio.wait([task])

    async def _render(self, viewer: str, shown: frozenset[str]) -> None:
        try:
            await self._render_next(viewer, shown)
        except (Problem, RenderError) as error:
            logger.info("clips of a next feed were not rendered ahead: %s", error)
        except Exception:  # noqa: BLE001 - a task without a caller: the log has it, the next viewer's go on
            logger.exception("clips of a next feed could not be rendered ahead")

    async def _render_next(self, viewer: str, shown: frozenset[str]) -> None:
        slate = await self._shop.slate(viewer, len(shown) + self._clips, shown=False)
        look = styles.blend(slate.look.weights, self._shop.presets)
        following = [item.product.id for item in slate.items if item.product.id not in shown]
        for product_id in following[: self._clips]:
            await self._shop.quiet()
            if self._shop.at_rest():
                return
            made = await self._shop.restyle(
                product_id, look, 1.0, model=slate.models.generator, priority=PRIORITY, patience_s=math.inf
            )
            self._shop.metrics.ahead.labels("kept" if made.cached else "made").inc()
