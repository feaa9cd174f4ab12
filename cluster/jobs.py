"""Jobs on a Ray cluster: run a shopreel command as one, list them, follow a log, hand back the exit code, stop."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import InputError, NotFoundError
from cluster.job_client import JobFailedError, reaching
from cluster.runtime import RAY_ENVIRONMENT
from cluster.settings import Settings
from cluster.tracking import code_version

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

PACKAGES = ("cluster", "trainables", "tuning", "serving")
COMMAND = "shopreel_command"
"""Key of a job's metadata."""

NOT_PASSED_ON = ("SHOPREEL_PSEUDONYM_KEY", "SHOPREEL_API_KEY")
"""Anyone who sees the dashboard sees a job's environment; the cluster carries the first of these secrets itself."""

READY_SECONDS = 120
"""How long a cluster may take from its first answer until it takes jobs."""

STOP_SECONDS = 20
"""How long a cancelled command has to end its run in MLflow before it is killed."""

AWAY_SECONDS = 120
"""How long a followed job's cluster may be out of reach: a head that died comes back in less."""

_SERVER_FAULT = "status code 5"
"""In Ray's words for an answer of a head that is half up, or of a proxy before one that is away."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job as the cluster tells of it."""

    job_id: str
    command: str
    """The shopreel command, or the command line of a job that something else submitted."""
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    started: datetime | None
    ended: datetime | None
    exit_code: int | None
    message: str


def list_jobs(client: JobSubmissionClient) -> list[Job]:
    """Every submitted job the cluster remembers, the newest first."""
    with reaching(client):
        details = [job for job in client.list_jobs() if job.submission_id]
    jobs = [
        Job(
            job_id=job.submission_id,
            command=(job.metadata or {}).get(COMMAND, job.entrypoint),
            status=str(job.status),
            started=_moment(job.start_time),
            ended=_moment(job.end_time),
            exit_code=job.driver_exit_code,
            message=job.message or "",
        )
        for job in details
    ]
    return sorted(jobs, key=lambda job: job.started or datetime.max.replace(tzinfo=UTC), reverse=True)


def find_job(client: JobSubmissionClient, name: str) -> Job:
    """The job with that id, or the one whose id has that part. NotFoundError where there is none, or several."""
    jobs = list_jobs(client)
    found = [job for job in jobs if job.job_id == name] or [job for job in jobs if name in job.job_id]
    if len(found) == 1:
        return found[0]
    if found:
        raise NotFoundError(f"{name!r} is part of several jobs, give more of it: {_ids(found)}")
    raise NotFoundError(f"no job {name!r}; there are: {_ids(jobs) or 'none'}")


def _ids(jobs: list[Job]) -> str:
    return ", ".join(job.job_id for job in jobs)


def job_log(client: JobSubmissionClient, job_id: str) -> str:
    """What a job has printed so far."""
    with reaching(client):
        return client.get_job_logs(job_id)


def follow_job(client: JobSubmissionClient, job_id: str, on_log: Callable[[str], None]) -> int:
    """Pass a job's output on until it ends; returns its exit code. JobFailedError where there is none."""
    with reaching(client):
        asyncio.run(_follow(client, job_id, on_log))
        return _exit_code(client, job_id)


def stop_job(client: JobSubmissionClient, job_id: str) -> str:
    """Stop a job and wait until it has ended, so that nothing of it runs on unseen; returns its last status."""
    with reaching(client):
        client.stop_job(job_id)
        deadline = time.monotonic() + STOP_SECONDS + 10
        while not (status := client.get_job_status(job_id)).is_terminal():
            if time.monotonic() > deadline:
                raise JobFailedError(f"job {job_id} was told to stop and still is {status}")
            time.sleep(0.5)
        return str(status)


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def submit_command(
    client: JobSubmissionClient,
    command: Sequence[str],
    settings: Settings,
    *,
    working_dir: Path | None = None,
    image: str | None = None,
) -> str:
    """Submit `shopreel COMMAND…` and return the job's id."""
    job_id = f"shopreel-{'-'.join(command[:2])}-{uuid.uuid4().hex[:8]}"
    environment = runtime_env(settings, os.environ, working_dir, image)
    try:
        with reaching(client):
            _submit(client, job_id, command, environment)
    except KeyboardInterrupt:
        with suppress(JobFailedError):  # it may not have got there
            stop_job(client, job_id)
        raise
    return job_id


def entrypoint(command: Sequence[str]) -> str:
    """Shell line of a command: this machine's interpreter where the cluster has it too, else the node's `python`.

    `-P` keeps the folder in which the cluster was started off the import path: the uploaded code counts.
    """
    local = shlex.quote(sys.executable)
    return f'PY={local}; [ -x "$PY" ] || PY=python; exec "$PY" -P -m cluster.cli.main {shlex.join(command)}'


def runtime_env(
    settings: Settings, env: Mapping[str, str], working_dir: Path | None, image: str | None = None
) -> dict[str, Any]:
    """The job's environment: this process's settings, with its code and the folder to run in, or with an image.

    Ray runs a job in an image alone: the image brings the code, and no folder is uploaded.
    """
    root = Path(__file__).resolve().parent.parent
    ours = {name for name in env if name.startswith("SHOPREEL_")} - set(NOT_PASSED_ON)
    variables = {name: env[name] for name in sorted(ours)}
    variables |= {name: value for name, value in RAY_ENVIRONMENT.items() if not name.startswith("RAY_")}
    variables |= {
        "SHOPREEL_HOME": settings.storage_root,
        "SHOPREEL_TRACKING_URI": settings.tracking_uri,
        "SHOPREEL_EVENT_STORE": settings.event_store_url,
        "SHOPREEL_CODE_VERSION": code_version(),
        "RAY_JOB_STOP_SIGNAL": "SIGINT",  # a cancelled command ends as after Ctrl-C
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
    }
    if image is not None:
        if working_dir is not None:
            raise InputError("--working-dir does not go with --image; put the files into the image or into storage")
        return {"image_uri": image, "env_vars": variables}
    environment: dict[str, Any] = {
        "py_modules": [str(root / package) for package in PACKAGES],
        "excludes": ["__pycache__", "*.pyc"],
        "env_vars": variables,
    }
    if working_dir is not None:
        if not working_dir.is_dir():
            raise InputError(f"--working-dir {working_dir} is not a folder")
        environment["working_dir"] = str(working_dir)
    return environment


def _submit(client: JobSubmissionClient, job_id: str, command: Sequence[str], environment: dict[str, Any]) -> None:
    """Upload and submit; a cluster that has just started takes jobs some seconds after its dashboard answers."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            client.submit_job(
                entrypoint=entrypoint(command),
                submission_id=job_id,
                runtime_env=environment,
                metadata={COMMAND: shlex.join(command)},
            )
            return
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(1)


async def _follow(client: JobSubmissionClient, job_id: str, on_log: Callable[[str], None]) -> None:
    """Pass the log on until the job ends. A broken connection is taken up again where it broke."""
    passed_on = 0
    reached = time.monotonic()
    while True:
        received = 0
        try:
            async for text in client.tail_job_logs(job_id):
                fresh = text[max(0, passed_on - received) :]
                received += len(text)
                reached = time.monotonic()
                if fresh:
                    on_log(fresh)
                    passed_on += len(fresh)
        except (RuntimeError, OSError):  # Ray's word for a connection that broke, and the network's
            pass
        try:
            if client.get_job_status(job_id).is_terminal():
                return
            reached = time.monotonic()
        except (RuntimeError, OSError) as error:
            is_away = isinstance(error, OSError) or _SERVER_FAULT in str(error)
            if not is_away or time.monotonic() - reached > AWAY_SECONDS:
                raise
        await asyncio.sleep(1)


def _exit_code(client: JobSubmissionClient, job_id: str) -> int:
    details = client.get_job_info(job_id)
    if details.driver_exit_code is None:
        if details.status == "SUCCEEDED":
            return 0
        raise JobFailedError(f"job {job_id} is {details.status}: {details.message}")
    code = details.driver_exit_code
    return code if code >= 0 else 128 - code  # killed by a signal, as a shell says it
