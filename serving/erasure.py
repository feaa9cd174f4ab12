"""Forgetting a viewer: events, rows of the dataset's log, clips in their own look; and a receipt that names nobody."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import uuid
from datetime import UTC, datetime

from cluster.errors import InputError
from cluster.pseudonym import Pseudonymiser
from serving.ahead import Ahead
from serving.clip_cache import ClipCache
from serving.event_store import EventStore
from serving.look_choices import LookChoices
from serving.messages import ErasureReceipt
from serving.problems import Problem
from serving.shop import Shop
from trainables.data.dataset import Dataset
from trainables.recommender.privacy.dataset_erasure import erase_from_dataset

logger = logging.getLogger("ray.serve")

RETRY_AFTER_S = 10
LEFT_IN_POSTGRESQL = (
    "PostgreSQL: rows are deleted and the table is vacuumed; its pages, its write-ahead log and backups keep bytes "
    "until they are used again"
)


class Eraser:
    """Erases one viewer at a time. What it did before it failed stays done: erasing again goes on from there."""

    def __init__(
        self,
        shop: Shop,
        ahead: Ahead,
        *,
        events: EventStore,
        choices: LookChoices,
        cache: ClipCache,
        dataset: Dataset,
        pseudonymiser: Pseudonymiser,
        longest_render_s: float,
    ) -> None:
        """`longest_render_s`: time after which no render is under way any more that began now, in any replica."""
        self._shop, self._ahead, self._events, self._choices = shop, ahead, events, choices
        self._cache, self._dataset = cache, dataset
        self._pseudonymiser = pseudonymiser
        self._longest_render_s = longest_render_s
        self._turn = asyncio.Lock()
        self._later: set[asyncio.Task] = set()

    async def erase(self, viewer: str) -> ErasureReceipt:
        """Forget a viewer by the shop's own id; a viewer nobody knows gets a receipt all the same.

        A Problem 503 where the recommender does not answer, which knows the viewer's look, or while the dataset is
        imported into: nothing is erased then.
        """
        async with self._turn:
            await self._ahead.forget(viewer)
            clips = await self._shop.personal_clips(viewer)
            receipt = await asyncio.to_thread(self._erase_alone, self._pseudonymiser.of(viewer), clips)
        if clips:
            task = asyncio.ensure_future(self._discard_late_ones(clips))
            self._later.add(task)  # the loop itself only keeps weak references
            task.add_done_callback(self._later.discard)
        return receipt

    async def _discard_late_ones(self, clips: frozenset[str]) -> None:
        """What other replicas were rendering for the viewer comes to storage after the erasure."""
        await asyncio.sleep(self._longest_render_s)
        await asyncio.to_thread(self._cache.discard, clips)

    def _erase_alone(self, name: str, clips: frozenset[str]) -> ErasureReceipt:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._dataset.erased_from())
            except InputError as error:  # its text names a process and a host
                logger.warning("nobody is erased yet: %s", error)
                again = {"retry-after": str(RETRY_AFTER_S)}
                raise Problem(503, "an import or another erasure is under way; try again", headers=again) from error
            return self._erase(name, clips)

    def _erase(self, name: str, clips: frozenset[str]) -> ErasureReceipt:
        at = datetime.now(UTC)
        removed = {
            "clips": self._cache.discard(clips) if clips else 0,
            "look_choices": self._choices.forget(name),
            "events": self._events.forget(name),
        }
        logged = erase_from_dataset(self._dataset, [name])
        removed |= {f"dataset_{table}": rows for table, rows in logged.rows_removed.items()}
        notes = []
        if logged.total:
            notes.append("the files the dataset was imported from may still name the viewer: do not import them again")
            notes += [
                f"{model} was trained before: `shopreel erase viewer --model {model}` renews it"
                for model in sorted(self._shop.versions.of("recommender").shares())
            ]
        notes += [LEFT_IN_POSTGRESQL] if self._events.kind == "postgresql" else []
        receipt = ErasureReceipt(
            receipt_id=uuid.uuid4().hex,
            at=at.isoformat(timespec="seconds"),
            viewer_sha256=hashlib.sha256(name.encode()).hexdigest(),
            removed=removed,
            notes=notes,
        )
        self._events.keep_receipt(
            receipt.receipt_id, receipt.viewer_sha256, int(at.timestamp() * 1000), receipt.model_dump_json()
        )
        return receipt
