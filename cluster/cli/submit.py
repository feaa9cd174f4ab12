"""`shopreel submit`: any shopreel command, as a job on a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlparse

import typer
from rich.console import Console

from cluster.cli.jobs import Address, pass_on
from cluster.errors import InputError
from cluster.settings import Settings, holds_password

notes = Console(stderr=True)


def command(
    arguments: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="The shopreel command to run.")],
    address: Address,
    working_dir: Annotated[
        Path | None, typer.Option(help="Folder to upload and run in, for files the command names (YAML, photos).")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Run in this image, with its code instead of this installation's.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Print the job's id and return; the job goes on.")] = False,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow server as the cluster reaches it.")] = None,
) -> None:
    """Run a shopreel command as a job on a Ray cluster; prints its log and ends with its exit code. Ctrl-C cancels it.

    The code of this installation is uploaded with the job, and SHOPREEL_HOME and the other SHOPREEL_* settings go with
    it (not SHOPREEL_PSEUDONYM_KEY, which the cluster has itself, nor SHOPREEL_API_KEY). Every node must reach the
    storage root. A cluster that asks for a token gets that of RAY_AUTH_TOKEN, or of the file RAY_AUTH_TOKEN_PATH;
    RAY_JOB_HEADERS (JSON) is for proxies.

    \b
    Examples:
      shopreel submit --address http://127.0.0.1:8265 -- train generator --data shop --workers 4
      shopreel submit --address http://HEAD:8265 --working-dir . -- train generator --data shop --config best.yaml
      shopreel submit --address http://HEAD:8265 --image shopreel:0.1.0-ray2.60.0 --detach -- tune generator --data shop
    """
    from cluster.job_client import connect
    from cluster.jobs import follow_job, stop_job, submit_command

    if arguments[0] == "submit":
        raise InputError("a job cannot submit a job; give the command itself after --")
    settings = Settings.load(tracking_uri=tracking_uri)
    client = connect(address)
    if "://" not in settings.storage_root and urlparse(address).hostname not in ("127.0.0.1", "localhost", "::1"):
        notes.print(
            f"[yellow]the storage root is the folder {settings.storage_root}: every node must see it there; "
            "otherwise set SHOPREEL_HOME to a URI such as s3://bucket/prefix[/]"
        )
    stores = {"SHOPREEL_EVENT_STORE": settings.event_store_url, "SHOPREEL_TRACKING_URI": settings.tracking_uri}
    for name in (name for name, url in stores.items() if holds_password(url)):
        notes.print(
            f"[yellow]{name} holds a password, which goes with the job and is seen by all who see the dashboard: "
            "leave it out, and give it to the nodes (PGPASSWORD, MLFLOW_TRACKING_PASSWORD)[/]"
        )
    job_id = submit_command(client, arguments, settings, working_dir=working_dir, image=image)
    if detach:
        notes.print(f"[dim]runs at {address}; see shopreel jobs, logs and stop[/]")
        print(job_id)
        return
    notes.print(f"[dim]job {job_id} at {address}; Ctrl-C cancels it[/]")
    try:
        code = follow_job(client, job_id, pass_on)
    except KeyboardInterrupt:
        stop_job(client, job_id)
        notes.print("[yellow]job cancelled[/]")
        raise
    raise typer.Exit(code)
