"""A challenger in the champion's shadow: some renders are made again by it, behind everything else, and compared; no
viewer ever sees them.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import av
import numpy as np

from cluster.errors import ShopreelError
from serving import deadlines
from serving.contracts import Refusal, RenderRequest
from serving.messages import ShadowReport, ShadowSide
from serving.problems import Problem
from serving.render_queue import Served

logger = logging.getLogger("ray.serve")

PRIORITY = 2
"""Behind jobs."""
MOST_IN_FLIGHT = 2
"""Comparisons at a time; further renders are not compared."""

Render = Callable[[RenderRequest], Awaitable[Served]]


@dataclass
class _Side:
    """What is known of one version's renders of the compared clips."""

    seconds: float = 0.0
    refused: int = 0
    faults: Counter = field(default_factory=Counter)

    def count(self, served: Served) -> None:
        self.seconds += served.took_s
        if isinstance(served.outcome, Refusal):
            self.refused += 1
            self.faults.update(reason.partition(":")[0] for reason in served.outcome.reasons)

    def shown(self, model: str, pairs: int) -> ShadowSide:
        return ShadowSide(
            model=model,
            render_seconds=self.seconds / pairs if pairs else None,
            refused=self.refused,
            faults=dict(self.faults),
        )


class Shadow:
    """Comparisons of one ingress replica; another pair of versions begins anew."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._tasks: set[asyncio.Task] = set()
        self._begin("", "")

    def consider(self, request: RenderRequest, served: Served, challenger: str | None, share: float) -> None:
        """Compare this render with the challenger's, for a share of clips; returns at once."""
        if challenger is None or request.model == challenger or request.priority >= PRIORITY:
            return
        if len(self._tasks) >= MOST_IN_FLIGHT or np.random.random() >= share:
            return
        if (request.model, challenger) != self._models:
            self._begin(request.model or "", challenger)
        with deadlines.lifted():
            task = asyncio.ensure_future(self._compare(request, served))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def report(self) -> ShadowReport:
        """What is known so far."""
        champion, challenger = self._models
        return ShadowReport(
            pairs=self._pairs,
            failed=self._failed,
            difference=self._difference / self._shown if self._shown else None,
            champion=self._champion.shown(champion, self._pairs),
            challenger=self._challenger.shown(challenger, self._pairs),
        )

    def _begin(self, champion: str, challenger: str) -> None:
        self._models = (champion, challenger)
        self._pairs = self._failed = self._shown = 0
        self._difference = 0.0
        self._champion, self._challenger = _Side(), _Side()

    async def _compare(self, request: RenderRequest, served: Served) -> None:
        models = self._models
        try:
            other = await self._render(replace(request, model=models[1], priority=PRIORITY))
        except (Problem, ShopreelError) as error:
            if not (isinstance(error, Problem) and error.status_code == 429):  # busy says nothing of the challenger
                self._failed += models == self._models
                logger.warning("%s could not render in the shadow: %s", models[1], error)
            return
        outcomes = (served.outcome, other.outcome)
        apart = None
        if all(isinstance(outcome, bytes) for outcome in outcomes):
            apart = await asyncio.to_thread(difference, *outcomes)
        if models != self._models:
            return
        self._pairs += 1
        self._champion.count(served)
        self._challenger.count(other)
        if apart is not None:
            self._shown += 1
            self._difference += apart


def difference(one: bytes, other: bytes) -> float:
    """Mean absolute difference of two clips' pixels, grey levels."""
    a_THW3, b_THW3 = _frames(one), _frames(other)
    shared = min(len(a_THW3), len(b_THW3))
    return float(np.abs(a_THW3[:shared] - b_THW3[:shared]).mean())


def _frames(mp4: bytes) -> np.ndarray:
    with av.open(io.BytesIO(mp4)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(np.int16)
