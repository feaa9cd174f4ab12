"""The `shopreel` command. Each command lives in its own module and imports what it needs when it runs."""

from __future__ import annotations

import io
import os
import signal
import sys

import typer
from rich.console import Console
from rich.markup import escape

from cluster.cli import (
    clips,
    data,
    erase,
    evaluate,
    evaluate_looks,
    evaluate_recommender,
    explain,
    export,
    features,
    importing,
    jobs,
    keys,
    manifests,
    models,
    rollout,
    score,
    serve,
    slates,
    status,
    submit,
    train_generator,
    train_recommender,
    tune,
)
from cluster.cli.demo import command as demo
from cluster.errors import ShopreelError
from cluster.runtime import spare_loopback_of_proxies

app = typer.Typer(
    name="shopreel",
    help="Personalised retail video on Ray: import, train, sweep, register, serve.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
train = typer.Typer(no_args_is_help=True, help="Train a model on a dataset and register it as challenger.")
train.command("generator")(train_generator.command)
train.command("recommender")(train_recommender.command)

app.command("demo")(demo.command)
app.add_typer(importing.app, name="import", help="Bring in products, clips and viewing logs.")
app.add_typer(data.app, name="data", help="List datasets and look into one.")
app.add_typer(train, name="train")
app.add_typer(tune.app, name="tune", help="Sweep settings with Ray Tune.")
app.add_typer(clips.app, name="clips", help="Restyle, repair, enhance and generate clips in folders.")
evaluate.app.command("recommender")(evaluate_recommender.command)
evaluate.app.command("looks")(evaluate_looks.command)
app.add_typer(evaluate.app, name="evaluate", help="Measure a model on data it never saw.")
app.add_typer(models.app, name="models", help="List, show, promote and roll back registered models.")
app.add_typer(features.app, name="features", help="Multimodal features of products.")
app.command("slates")(slates.command)
app.command("score")(score.command)
app.command("explain")(explain.command)
app.add_typer(export.app, name="export", help="Take numbers out of a dataset that say nothing about a single viewer.")
app.add_typer(erase.app, name="erase", help="Take a viewer out of datasets and models.")
app.command("serve")(serve.command)
app.command("status")(status.command)
app.add_typer(rollout.app, name="rollout", help="Serve another version of a model, without a restart.")
app.add_typer(keys.app, name="keys", help="Make, list, rotate and revoke keys of the HTTP side.")
app.add_typer(manifests.app, name="manifests", help="What runs shopreel on a cluster: Kubernetes, ray up.")
app.command("submit", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(
    submit.command
)
app.command("jobs")(jobs.list_command)
app.command("logs")(jobs.logs)
app.command("stop")(jobs.stop)


def main() -> None:
    """Run the command line; an error a user can mend is one line and an exit code, not a stack trace."""
    spare_loopback_of_proxies(os.environ)
    if os.environ.get("RAY_JOB_STOP_SIGNAL") == "SIGINT":
        # A cluster that a script started in the background ignores SIGINT, and its jobs inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # where a terminal's encoding lacks a sign, a ? will do
            stream.reconfigure(errors="replace")
    try:
        app()
    except ShopreelError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
