"""Jobs in the database: any ingress replica shows and cancels them, and goes on with those of a replica that died."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from serving.database import now_ms, open_engine, reading, writing

_METADATA = sa.MetaData()
_JOBS = sa.Table(
    "jobs",
    _METADATA,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("clips", sa.Text, nullable=False),
    sa.Column("results", sa.Text, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("beat_ms", sa.BigInteger, nullable=False),
)
KEPT_MS = 24 * 3_600_000
"""How long a job can be asked for."""
ORPHANED_MS = 10_000
"""A running job nobody has spoken for in this time has lost its replica."""


@dataclass(frozen=True)
class StoredJob:
    """One job as the store keeps it."""

    job_id: str
    status: str
    """running, done or cancelled."""
    clips: list[dict[str, Any]]
    """Bodies of `POST /v1/clips`."""
    results: list[dict[str, Any]]
    """What became of the first clips, in their order."""
    created_ms: int
    beat_ms: int

    @property
    def orphaned(self) -> bool:
        return self.status == "running" and now_ms() - self.beat_ms > ORPHANED_MS


class JobStore:
    """Opens the database at `url`. Calls block: an event loop uses a thread."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, _METADATA)

    def add(self, job_id: str, owner: str, clips: Sequence[dict[str, Any]]) -> None:
        """Keep a new job, running; jobs of yesterday are forgotten."""
        now = now_ms()
        row = {"job_id": job_id, "status": "running", "owner": owner, "created_ms": now, "beat_ms": now}
        with writing(self._engine) as connection:
            connection.execute(_JOBS.delete().where(_JOBS.c.created_ms < now - KEPT_MS))
            connection.execute(_JOBS.insert().values(**row, clips=json.dumps(list(clips)), results="[]"))

    def find(self, job_id: str) -> StoredJob | None:
        """The job, or None."""
        with reading(self._engine) as connection:
            row = connection.execute(_JOBS.select().where(_JOBS.c.job_id == job_id)).one_or_none()
        if row is None:
            return None
        clips, results = json.loads(row.clips), json.loads(row.results)
        return StoredJob(row.job_id, row.status, clips, results, row.created_ms, row.beat_ms)

    def report(self, job_id: str, owner: str, results: Sequence[dict[str, Any]], *, done: bool) -> bool:
        """Say how far the job is. False where it is no longer this owner's to go on with."""
        change = {"results": json.dumps(list(results)), "beat_ms": now_ms(), "status": "done" if done else "running"}
        mine = (_JOBS.c.job_id == job_id) & (_JOBS.c.owner == owner) & (_JOBS.c.status == "running")
        with writing(self._engine) as connection:
            return connection.execute(_JOBS.update().where(mine).values(**change)).rowcount == 1

    def cancel(self, job_id: str) -> None:
        """Whoever runs it stops; a job that has ended stays as it is."""
        running = (_JOBS.c.job_id == job_id) & (_JOBS.c.status == "running")
        with writing(self._engine) as connection:
            connection.execute(_JOBS.update().where(running).values(status="cancelled"))

    def adopt(self, job: StoredJob, owner: str) -> bool:
        """Take an orphaned job over; of several that try, one does."""
        orphan = (_JOBS.c.job_id == job.job_id) & (_JOBS.c.beat_ms == job.beat_ms) & (_JOBS.c.status == "running")
        with writing(self._engine) as connection:
            change = _JOBS.update().where(orphan).values(owner=owner, beat_ms=now_ms())
            return connection.execute(change).rowcount == 1
