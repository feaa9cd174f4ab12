"""Which version of the generator answers whom: rolled forward, tried on a share of viewers, rolled back, while requests
go on. Every answer is of one version.

What is wanted is written under the storage root, so that every ingress replica follows within a second and one that is
started anew goes on with it. A deployment of another version begins a new record.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from cluster.errors import NotFoundError, ShopreelError, StorageError
from cluster.storage import Storage
from serving.messages import Models
from serving.problems import Problem

logger = logging.getLogger("ray.serve")

RECORD = "serving/rollout.json"
LOOK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What is served, and what was before."""

    deployed: str
    """Version the deployment began with."""
    generator: str
    canary: str | None = None
    share: float = 0.0
    """Of viewers that get the canary, 0…1; the same ones every time."""
    shadow: str | None = None
    """Version whose renders are compared and never shown."""
    shadow_share: float = 0.0
    """Of renders that are compared, 0…1."""
    before: tuple[str, ...] = ()
    """Versions served earlier, the latest last."""

    def version_for(self, viewer: str) -> str:
        """Version for a viewer's pseudonym."""
        if self.canary is None:
            return self.generator
        place = int.from_bytes(hashlib.sha256(f"{self.canary} {viewer}".encode()).digest()[:8]) / 2**64
        return self.canary if place < self.share else self.generator


class Versions:
    """The versions one ingress replica answers with."""

    def __init__(self, storage: Storage, deployed: Models, load: Callable[[str], Awaitable[str]]) -> None:
        """`load`: bring a version to the generator, or raise ShopreelError or Problem with the reason; returns its
        reference, resolved.
        """
        self._storage, self._deployed, self._load = storage, deployed, load
        self._looked_at, self._looking = time.monotonic(), False
        self._tasks: set[asyncio.Task] = set()
        self._rollout = self._read()

    @property
    def rollout(self) -> Rollout:
        """What is served now."""
        if time.monotonic() - self._looked_at > LOOK_S and not self._looking:
            self._looking = True
            task = asyncio.ensure_future(self._look())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._rollout

    @property
    def models(self) -> Models:
        """Versions for who is no viewer."""
        return self._deployed.model_copy(update={"generator": self.rollout.generator})

    def models_for(self, viewer: str) -> Models:
        """Versions for a viewer's pseudonym; the same every time."""
        return self._deployed.model_copy(update={"generator": self.rollout.version_for(viewer)})

    def shares(self) -> dict[str, float]:
        """Share of viewers by version."""
        rollout = self._rollout
        shares = {rollout.generator: 1.0 - (rollout.share if rollout.canary else 0.0), self._deployed.recommender: 1.0}
        return {**shares, **({rollout.canary: rollout.share} if rollout.canary else {})}

    async def roll(self, reference: str, share: float, *, shadow: bool = False) -> Rollout:
        """Serve a version to all viewers, try it on a share of them, or compare it on a share of renders. A Problem 422
        says why it cannot be loaded, 503 that the registry does not answer; what was served goes on.
        """
        try:
            version = await self._load(reference)
        except StorageError as error:  # its text names addresses and folders
            logger.error("%s cannot be served: %s", reference, error)
            again = {"retry-after": "5"}
            raise Problem(503, "the model registry does not answer; nothing has changed", headers=again) from error
        except (ShopreelError, Problem) as error:
            reason = error.detail if isinstance(error, Problem) else error
            raise Problem.field("reference", f"{reference} cannot be served: {reason}; nothing has changed") from error
        now = await self._look()
        if shadow:
            return await self._write(replace(now, shadow=version, shadow_share=share))
        if share < 1:
            return await self._write(replace(now, canary=version, share=share))
        before = now.before if version == now.generator else (*now.before, now.generator)
        return await self._write(replace(now, generator=version, canary=None, share=0.0, before=before))

    async def back(self) -> Rollout:
        """End a comparison, or else a trial, or else go back one version; a Problem 409 where there is none before."""
        now = await self._look()
        if now.shadow is not None:
            return await self._write(replace(now, shadow=None, shadow_share=0.0))
        if now.canary is not None:
            return await self._write(replace(now, canary=None, share=0.0))
        if not now.before:
            raise Problem(409, f"there is no version before {now.generator} to go back to")
        return await self._write(replace(now, generator=now.before[-1], before=now.before[:-1]))

    async def _look(self) -> Rollout:
        try:
            self._rollout = await asyncio.to_thread(self._read)
        except ShopreelError:
            logger.exception("the record of what to serve cannot be read; %s goes on", self._rollout.generator)
        finally:
            self._looked_at, self._looking = time.monotonic(), False
        return self._rollout

    async def _write(self, rollout: Rollout) -> Rollout:
        await asyncio.to_thread(self._storage.write_json, RECORD, asdict(rollout))
        logger.warning("serving %s", rollout)
        self._rollout = rollout
        return rollout

    def _read(self) -> Rollout:
        try:
            said: dict[str, Any] = self._storage.read_json(RECORD)
        except NotFoundError:
            said = {}
        if said.get("deployed") != self._deployed.generator:
            return Rollout(deployed=self._deployed.generator, generator=self._deployed.generator)
        return Rollout(**{**said, "before": tuple(said["before"])})
