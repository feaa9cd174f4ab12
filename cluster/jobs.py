"""Run a shopreel command as a Ray job: upload the code, follow the log, hand back the exit code, cancel on Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import InputError, ShopreelError
from cluster.runtime import RAY_ENVIRONMENT, export_environment
from cluster.settings import Settings
from cluster.tracking import code_version

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

PACKAGES = ("cluster", "trainables", "tuning", "serving")
NOT_PASSED_ON = ("SHOPREEL_PSEUDONYM_KEY",)
"""Anyone who sees the dashboard sees a job's environment; the cluster carries this secret itself."""

READY_SECONDS = 120
"""How long a cluster may take from its first answer until it takes jobs."""

STOP_SECONDS = 20
"""How long a cancelled command has to end its run in MLflow before it is killed."""


class JobFailedError(ShopreelError):
    """Ray could not run the command at all (its environment failed, a node was lost, the cluster went away)."""


def connect(address: str) -> JobSubmissionClient:
    """A client of the cluster's job API. `address` is the dashboard's URL, usually http://HEAD:8265."""
    export_environment()
    from ray.job_submission import JobSubmissionClient

    if not address.startswith(("http://", "https://")):
        raise InputError(f"--address is {address!r}; give the URL of the cluster's dashboard, such as http://HEAD:8265")
    for name in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError) as error:
        raise JobFailedError(f"no Ray cluster answers at {address}; check --address ({error})") from error


def run_command(
    client: JobSubmissionClient,
    command: Sequence[str],
    settings: Settings,
    *,
    working_dir: Path | None = None,
    on_start: Callable[[str], None] = lambda job_id: None,
    on_log: Callable[[str], None] = sys.stdout.write,
) -> int:
    """Run `shopreel COMMAND…` on the cluster and wait for it; returns its exit code.

    `on_start` gets the job's id, `on_log` its output as it comes. On KeyboardInterrupt the job is stopped first.
    Raises JobFailedError where there is no exit code to return.
    """
    job_id = f"shopreel-{'-'.join(command[:2])}-{uuid.uuid4().hex[:8]}"
    try:
        _submit(client, job_id, entrypoint(command), runtime_env(settings, os.environ, working_dir))
        on_start(job_id)
        asyncio.run(_follow(client, job_id, on_log))
        return _exit_code(client, job_id)
    except KeyboardInterrupt:
        _stop(client, job_id)
        raise
    except (ConnectionError, RuntimeError) as error:
        raise JobFailedError(f"job {job_id}: {error}") from error


def entrypoint(command: Sequence[str]) -> str:
    """Shell line of a command: this machine's interpreter where the cluster has it too, else the node's `python`.

    `-P` keeps the folder in which the cluster was started off the import path: the uploaded code counts.
    """
    local = shlex.quote(sys.executable)
    return f"PY={local}; [ -x $PY ] || PY=python; exec $PY -P -m cluster.cli.main {shlex.join(command)}"


def runtime_env(settings: Settings, env: Mapping[str, str], working_dir: Path | None) -> dict[str, Any]:
    """The job's environment: this process's code and settings, and the folder to run in."""
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


def _submit(client: JobSubmissionClient, job_id: str, line: str, environment: dict[str, Any]) -> None:
    """Upload and submit; a cluster that has just started takes jobs some seconds after its dashboard answers."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            client.submit_job(entrypoint=line, submission_id=job_id, runtime_env=environment)
            return
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(1)


async def _follow(client: JobSubmissionClient, job_id: str, on_log: Callable[[str], None]) -> None:
    """Pass the log on until the job ends. A broken connection is taken up again where it broke."""
    passed_on = 0
    while True:
        received = 0
        try:
            async for text in client.tail_job_logs(job_id):
                fresh = text[max(0, passed_on - received) :]
                received += len(text)
                if fresh:
                    on_log(fresh)
                    passed_on += len(fresh)
        except RuntimeError:  # Ray's word for a connection that broke
            pass
        if client.get_job_status(job_id).is_terminal():
            return
        await asyncio.sleep(1)


def _exit_code(client: JobSubmissionClient, job_id: str) -> int:
    details = client.get_job_info(job_id)
    if details.driver_exit_code is None:
        if details.status == "SUCCEEDED":
            return 0
        raise JobFailedError(f"job {job_id} is {details.status}: {details.message}")
    code = details.driver_exit_code
    return code if code >= 0 else 128 - code  # killed by a signal, as a shell says it


def _stop(client: JobSubmissionClient, job_id: str) -> None:
    """Stop the job and wait until it has ended, so that nothing of it runs on unseen."""
    client.stop_job(job_id)
    deadline = time.monotonic() + STOP_SECONDS + 10
    while not client.get_job_status(job_id).is_terminal() and time.monotonic() < deadline:
        time.sleep(0.5)
