"""Jobs: many clips rendered in the background, behind everything someone waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import uuid
from collections.abc import Iterator, Sequence

from cluster.errors import StorageError
from serving import deadlines, styles
from serving.contracts import RenderError
from serving.job_store import JobStore, StoredJob
from serving.messages import ClipRequest, JobOut, JobResult
from serving.problems import Problem
from serving.shop import Shop

logger = logging.getLogger("ray.serve")

BACKGROUND = 1
BEAT_S = 1.0
"""How often a running job says that it is alive and asks whether it may go on."""
BUSY_PAUSE_S = 1.0
"""A full queue is left to those who wait for an answer."""
MOST_RUNNING = 8
"""Jobs an ingress replica runs at a time; they share its way to the generator."""
TRIES = 5
"""Of a clip while no generator answers, or while what is more urgent keeps it waiting until its time is up."""
_ID = re.compile(r"[0-9a-f]{32}")


class Jobs:
    """Runs jobs, one clip at a time each, and knows those of every replica."""

    def __init__(self, shop: Shop, store: JobStore) -> None:
        self._shop = shop
        self._store = store
        self._owner = uuid.uuid4().hex
        self._running: dict[str, asyncio.Task] = {}
        self._coming = 0  # jobs that are being kept or taken over, and will run then

    async def start(self, clips: Sequence[ClipRequest]) -> JobOut:
        """Check every clip, keep the job and begin it. A Problem names the clips at fault, or says that it is busy."""
        for place, clip in enumerate(clips):
            try:
                self._shop.catalogue.source(clip.product_id)
                styles.requested(clip.style, self._shop.presets)
            except Problem as problem:
                raise Problem.field(f"clips.{place}", str(problem.detail)) from problem
        if not self._has_room():
            raise Problem(429, "too many jobs are running; wait for one of them", headers={"retry-after": "10"})
        job_id = uuid.uuid4().hex
        with self._place():
            await asyncio.to_thread(self._store.add, job_id, self._owner, [clip.model_dump() for clip in clips])
            return _shown(self._begin(await self._find(job_id)))

    async def status(self, job_id: str) -> JobOut:
        """How far a job is; one whose replica died goes on here, as soon as there is room."""
        job = await self._find(job_id)
        # One of ours that seems lost is not: it could not be written down that it lives.
        if job.orphaned and job.job_id not in self._running and self._has_room():
            with self._place():
                if await asyncio.to_thread(self._store.adopt, job, self._owner):
                    self._begin(job)
        return _shown(job)

    async def cancel(self, job_id: str) -> JobOut:
        """End a job; the clip it waits for leaves the queue, clips that are there stay."""
        await self._find(job_id)
        await asyncio.to_thread(self._store.cancel, job_id)
        if (task := self._running.get(job_id)) is not None:
            task.cancel()
        return _shown(await self._find(job_id))

    async def _find(self, job_id: str) -> StoredJob:
        job = await asyncio.to_thread(self._store.find, job_id) if _ID.fullmatch(job_id) else None
        if job is None:
            raise Problem(404, f"there is no job {job_id[:40]!r}; jobs are kept for a day")
        return job

    def _has_room(self) -> bool:
        return len(self._running) + self._coming < MOST_RUNNING

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Room for a job until it runs: others may come while the database is asked."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def _begin(self, job: StoredJob) -> StoredJob:
        with deadlines.lifted():
            task = self._running[job.job_id] = asyncio.ensure_future(self._run(job))
        task.add_done_callback(lambda _: self._running.pop(job.job_id, None))
        return job

    async def _run(self, job: StoredJob) -> None:
        results = list(job.results)
        beat = asyncio.ensure_future(self._beat(job.job_id, results, asyncio.current_task()))
        try:
            for clip in job.clips[len(results) :]:
                result = await self._render(ClipRequest(**clip))
                results.append(result.model_dump())
            await asyncio.to_thread(self._store.report, job.job_id, self._owner, results, done=True)
        except Exception:  # noqa: BLE001 - a task without a caller: the log has it, another replica may go on
            logger.exception("job %s stopped", job.job_id)
        finally:
            beat.cancel()

    async def _beat(self, job_id: str, results: list, job: asyncio.Task | None) -> None:
        """Write down how far the job is, until it is no longer ours."""
        while await self._still_ours(job_id, results):
            await asyncio.sleep(BEAT_S)
        if job is not None:
            job.cancel()

    async def _still_ours(self, job_id: str, results: list) -> bool:
        """Whether the job may go on; it does while the store cannot be asked, whom the next beat asks again."""
        try:
            return await asyncio.to_thread(self._store.report, job_id, self._owner, list(results), done=False)
        except StorageError as error:
            logger.error("job %s goes on; how far it is cannot be written down: %s", job_id, error)
            return True

    async def _render(self, clip: ClipRequest) -> JobResult:
        """What became of a clip; whatever happens to it, the job's other clips are still rendered."""
        style = styles.requested(clip.style, self._shop.presets)
        tries = 0
        while True:
            try:
                made = await self._shop.restyle(clip.product_id, style, clip.strength, priority=BACKGROUND)
            except Problem as problem:
                tries += problem.status_code != 429
                if problem.status_code in (429, 503, 504) and tries < TRIES:
                    await asyncio.sleep(BUSY_PAUSE_S)
                    continue
                return JobResult(product_id=clip.product_id, reason=str(problem.detail))
            except RenderError as error:
                return JobResult(product_id=clip.product_id, reason=str(error))
            except Exception:  # noqa: BLE001 - another replica would meet the same fault, again and again
                logger.exception("a clip of a job could not be rendered")
                return JobResult(product_id=clip.product_id, reason="the clip could not be rendered")
            return JobResult(
                product_id=clip.product_id,
                clip_id=made.clip_id,
                url=f"/v1/clips/{made.clip_id}",
                reason="; ".join(made.refused) or None,
            )


def _shown(job: StoredJob) -> JobOut:
    done = len(job.results)
    return JobOut(
        id=job.job_id,
        status=job.status,
        total=len(job.clips),
        done=done,
        failed=sum(1 for result in job.results if result["url"] is None),
        progress=done / len(job.clips),
        results=[JobResult(**result) for result in job.results],
    )
