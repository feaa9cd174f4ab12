"""Which version of each model answers whom: rolled forward, tried on a share of viewers, rolled back, while requests go
on. Every answer is of one version of a model.

What is wanted is written under the storage root, so that every ingress replica follows within a second and one that is
started anew goes on with it. A deployment of another version begins a new record.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cluster.errors import NotFoundError, ShopreelError, StorageError
from cluster.storage import Storage
from serving.messages import Models
from serving.problems import Problem

logger = logging.getLogger("ray.serve")

Kind = Literal["generator", "recommender"]
RECORDS: dict[Kind, str] = {"generator": "serving/rollout.json", "recommender": "serving/rollout-recommender.json"}
LOOK_S = 1.0

Load = Callable[[str], Awaitable[str]]
"""Brings a version to the replicas, or raises ShopreelError or Problem with the reason; returns its full reference."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What is served of one model, and what was before."""

    deployed: str
    """Version the deployment began with."""
    serving: str
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
            return self.serving
        place = int.from_bytes(hashlib.sha256(f"{self.canary} {viewer}".encode()).digest()[:8]) / 2**64
        return self.canary if place < self.share else self.serving


class Track:
    """The versions of one model that one ingress replica answers with."""

    def __init__(self, storage: Storage, record: str, deployed: str, load: Load) -> None:
        self._storage, self._record, self._deployed, self._load = storage, record, deployed, load
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

    def shares(self) -> dict[str, float]:
        """Share of viewers by version."""
        rollout = self._rollout
        on_trial = {rollout.canary: rollout.share} if rollout.canary else {}
        return {rollout.serving: 1.0 - sum(on_trial.values()), **on_trial}

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
        if version == now.serving and (shadow or share < 1):
            raise Problem.field("reference", f"{version} is served to everyone; compare or try another version")
        if shadow:
            return await self._write(replace(now, shadow=version, shadow_share=share))
        if share < 1:
            return await self._write(replace(now, canary=version, share=share))
        before = now.before if version == now.serving else (*now.before, now.serving)
        rolled = replace(now, serving=version, canary=None, share=0.0, before=before)
        if now.shadow == version:  # nothing is left to compare, and `back` is to go back to the version before
            rolled = replace(rolled, shadow=None, shadow_share=0.0)
        return await self._write(rolled)

    async def back(self) -> Rollout:
        """End a comparison, or else a trial, or else go back one version; a Problem 409 where there is none before."""
        now = await self._look()
        if now.shadow is not None:
            return await self._write(replace(now, shadow=None, shadow_share=0.0))
        if now.canary is not None:
            return await self._write(replace(now, canary=None, share=0.0))
        if not now.before:
            raise Problem(409, f"there is no version before {now.serving} to go back to")
        return await self._write(replace(now, serving=now.before[-1], before=now.before[:-1]))

    async def _look(self) -> Rollout:
        try:
            self._rollout = await asyncio.to_thread(self._read)
        except ShopreelError:
            logger.exception("the record of what to serve cannot be read; %s goes on", self._rollout.serving)
        finally:
            self._looked_at, self._looking = time.monotonic(), False
        return self._rollout

    async def _write(self, rollout: Rollout) -> Rollout:
        await asyncio.to_thread(self._storage.write_json, self._record, asdict(rollout))
        logger.warning("serving %s", rollout)
        self._rollout = rollout
        return rollout

    def _read(self) -> Rollout:
        try:
            said: dict[str, Any] = self._storage.read_json(self._record)
        except NotFoundError:
            said = {}
        if said.get("deployed") != self._deployed:
            return Rollout(deployed=self._deployed, serving=self._deployed)
        if "generator" in said:  # as it was written when only generators were rolled
            said["serving"] = said.pop("generator")
        return Rollout(**{**said, "before": tuple(said["before"])})


class Versions:
    """The versions of all models that one ingress replica answers with."""

    def __init__(self, storage: Storage, deployed: Models, loads: Mapping[Kind, Load]) -> None:
        self._tracks = {
            kind: Track(storage, record, getattr(deployed, kind), loads[kind]) for kind, record in RECORDS.items()
        }

    def of(self, kind: Kind) -> Track:
        """Those of one model."""
        return self._tracks[kind]

    @property
    def models(self) -> Models:
        """Versions for who is no viewer."""
        return Models(**{kind: track.rollout.serving for kind, track in self._tracks.items()})

    def models_for(self, viewer: str) -> Models:
        """Versions for a viewer's pseudonym; the same every time."""
        return Models(**{kind: track.rollout.version_for(viewer) for kind, track in self._tracks.items()})

    def shares(self) -> dict[str, float]:
        """Share of viewers by version."""
        return {version: share for track in self._tracks.values() for version, share in track.shares().items()}
