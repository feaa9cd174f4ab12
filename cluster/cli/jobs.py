"""`shopreel jobs`, `logs` and `stop`: what runs on a Ray cluster."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from cluster.jobs import Job

Address = Annotated[
    str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="URL of the cluster's dashboard, http://HEAD:8265.")
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or a part of it that no other has.")]

notes = Console(stderr=True)
_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "RUNNING": "cyan"}


def list_command(address: Address) -> None:
    """List the jobs of a Ray cluster, the newest first.

    \b
    Examples:
      shopreel jobs --address http://HEAD:8265
    """
    from cluster.job_client import connect
    from cluster.jobs import list_jobs

    jobs = list_jobs(connect(address))
    if not jobs:
        notes.print("no jobs yet; submit one with [bold]shopreel submit -- COMMAND[/]")
        return
    table = Table(title=f"jobs at {address}", title_style="bold")
    for column in ("job", "command", "status", "started (UTC)", "took", "exit code"):
        table.add_column(column, overflow="fold")
    for job in jobs:
        table.add_row(
            escape(job.job_id),
            escape(job.command),
            f"[{_COLOURS.get(job.status, 'default')}]{job.status}[/]",
            f"{job.started:%Y-%m-%d %H:%M}" if job.started else "",
            _took(job),
            "" if job.exit_code is None else str(job.exit_code),
        )
    Console().print(table)


def logs(
    job: JobId,
    address: Address,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job ends, and end with its exit code.")
    ] = False,
) -> None:
    """Print what a job has printed. Ctrl-C leaves the job alone.

    \b
    Examples:
      shopreel logs shopreel-train-generator-1a2b3c4d --address http://HEAD:8265
      shopreel logs 1a2b --follow --address http://HEAD:8265
    """
    from cluster.job_client import connect
    from cluster.jobs import find_job, follow_job, job_log

    client = connect(address)
    found = find_job(client, job)
    if follow:
        raise typer.Exit(follow_job(client, found.job_id, pass_on))
    pass_on(job_log(client, found.job_id))


def stop(job: JobId, address: Address) -> None:
    """Stop a job as Ctrl-C would, and wait until it has ended; its run in MLflow ends as killed.

    \b
    Examples:
      shopreel stop 1a2b --address http://HEAD:8265
    """
    from cluster.job_client import connect
    from cluster.jobs import find_job, stop_job

    client = connect(address)
    found = find_job(client, job)
    if found.ended is not None:
        notes.print(f"job {found.job_id} has already ended: {found.status}")
        return
    notes.print(f"job {found.job_id}: {stop_job(client, found.job_id)}")


def pass_on(text: str) -> None:
    """Print a part of a log as it comes."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _took(job: Job) -> str:
    if job.started is None:
        return ""
    seconds = int(((job.ended or datetime.now(UTC)) - job.started).total_seconds())
    return f"{seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
