"""`shopreel tune`: sweeps with Ray Tune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from cluster.errors import InputError
from cluster.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuning.config import SweepConfig
    from tuning.outcome import SweepResult
    from tuning.subject import Subject

app = typer.Typer(no_args_is_help=True)

Data = Annotated[str | None, typer.Option(help="Dataset, see `shopreel data list`.")]
Trials = Annotated[int, typer.Option(min=1, help="Points of the space to try.")]
Name = Annotated[str | None, typer.Option(help="Name of the sweep; default sweep-DATE-TIME.")]
Search = Annotated[str, typer.Option(help="optuna, random or grid.")]
Resume = Annotated[str | None, typer.Option(help="Sweep to take up again, as it was begun.")]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Trials at a time; default: what the cluster has room for.")
]
Config = Annotated[Path | None, typer.Option(help="YAML file with the settings that all trials share.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the search.")]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow; default SQLite under SHOPREEL_HOME.")]
Address = Annotated[str | None, typer.Option(help="Ray cluster; default: Ray started on this machine.")]


@app.callback()
def tune() -> None:
    """Sweep settings with Ray Tune."""


@app.command("generator")
def generator(
    data: Data = None,
    trials: Trials = 8,
    name: Name = None,
    steps: Annotated[int, typer.Option(min=4, help="Training steps of a trial.")] = 100,
    scheduler: Annotated[str, typer.Option(help="asha, pbt, median or none.")] = "asha",
    search: Search = "optuna",
    objective: Annotated[str, typer.Option(help="score, or front: style and contours apart.")] = "score",
    resume: Resume = None,
    concurrency: Concurrency = None,
    workers_per_trial: Annotated[int, typer.Option(min=1, help="DDP workers of a trial.")] = 1,
    config: Config = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One shared setting, e.g. frame_size=64.")] = None,
    start: Annotated[str | None, typer.Option(help="Weights to begin with: starter, or a bundle folder.")] = None,
    seed: Seed = 0,
    tracking_uri: TrackingUri = None,
    address: Address = None,
) -> None:
    """Sweep learning rate × λ × batch size: Ray Train runs under a scheduler, points chosen by Optuna.

    Trials are compared on held-out products by style distance and loss of contours, which do not depend on λ. The best
    settings are written to sweeps/NAME/best.yaml under the storage root, and report.html beside them: curves, the
    Pareto front over λ, what mattered, the best clips. A trial that fails, fails alone; a sweep that was killed goes on
    with --resume.

    \b
    Examples:
      shopreel tune generator --data shop --trials 12
      shopreel tune generator --data shop --trials 20 --steps 400 --workers-per-trial 2 --name spring
      shopreel tune generator --data shop --trials 8 --scheduler pbt --search random
      shopreel tune generator --data shop --trials 16 --objective front
      shopreel tune generator --resume spring
      shopreel train generator --data shop --config .shopreel/sweeps/spring/best.yaml
    """
    from trainables.generator.starter import start_bundle
    from tuning.config import SweepConfig
    from tuning.generator.subject import SUBJECT

    def asked() -> SweepConfig:
        return SweepConfig(
            trials=trials, name=name, steps=steps, scheduler=scheduler, search=search, objective=objective,
            concurrency=concurrency, workers_per_trial=workers_per_trial, seed=seed,
        )  # fmt: skip

    settings = Settings.load(tracking_uri=tracking_uri).with_address(address)
    base = _base(SUBJECT, config, set_)
    _sweep(settings, SUBJECT, data, resume, asked, base, start_bundle(start, "restyle"))


@app.command("recommender")
def recommender(
    data: Data = None,
    trials: Trials = 24,
    name: Name = None,
    scheduler: Annotated[str, typer.Option(help="asha, median or none.")] = "asha",
    search: Search = "optuna",
    objective: Annotated[str, typer.Option(help="score, or front: NDCG and coverage apart.")] = "score",
    resume: Resume = None,
    concurrency: Concurrency = None,
    config: Config = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One shared setting, e.g. content_weight=2.")] = None,
    seed: Seed = 0,
    tracking_uri: TrackingUri = None,
    address: Address = None,
) -> None:
    """Sweep the item-item model: λ, half-lives, worth of an impression, trend, popularity.

    Training chooses these for itself from a few values each, one after the other; that choice is the first trial, and
    the sweep looks further and at all of them together. Trials train on a quarter, half and all of the viewers and are
    compared by NDCG@10 on the newest tenth of the events before those that `train recommender` is judged on, so what
    comes of best.yaml is measured on events that no trial has seen.

    \b
    Examples:
      shopreel tune recommender --data shop --trials 30 --name spring
      shopreel tune recommender --data shop --trials 30 --objective front
      shopreel tune recommender --resume spring
      shopreel train recommender --data shop --config .shopreel/sweeps/spring/best.yaml
    """
    from tuning.config import SweepConfig
    from tuning.recommender.subject import STEPS, SUBJECT

    def asked() -> SweepConfig:
        return SweepConfig(
            trials=trials, name=name, steps=STEPS, scheduler=scheduler, search=search, objective=objective,
            concurrency=concurrency, seed=seed,
        )  # fmt: skip

    settings = Settings.load(tracking_uri=tracking_uri).with_address(address)
    _sweep(settings, SUBJECT, data, resume, asked, _base(SUBJECT, config, set_), None)


def _base(subject: Subject, config: Path | None, assignments: list[str] | None) -> Any:
    from cluster.config import load

    return load(subject.config_class, config, assignments or ())


def _sweep(
    settings: Settings,
    subject: Subject,
    data: str | None,
    resume: str | None,
    asked: Callable[[], SweepConfig],
    base: Any,
    start: Path | None,
) -> None:
    """Run or take up a sweep and say what came of it; what was asked for is looked at for a new one only."""
    from tuning.sweep import begun, planned, resume_sweep, run_sweep
    from tuning.table import LiveTable

    if (data is None) == (resume is None):
        raise InputError("give either --data NAME for a new sweep or --resume SWEEP for one that was broken off")
    try:
        sweep = planned(subject, asked()) if resume is None else begun(settings, resume, subject)
    except ValueError as error:
        raise InputError(str(error)) from error
    with LiveTable(f"sweep {sweep.name}", sweep, Console(stderr=True)) as table:
        if resume is None:
            result = run_sweep(settings, subject, data, sweep, base, start=start, callbacks=(table,))
        else:
            result = resume_sweep(settings, resume, callbacks=(table,))
    _tell(result, sweep)


def _tell(result: SweepResult, sweep: SweepConfig) -> None:
    from tuning.table import summary

    console = Console()
    console.print(summary(f"sweep {result.name}", result.trials, sweep))
    for trial in result.trials:
        if trial.error:
            console.print(f"[red]{trial.name} failed:[/] {escape(trial.error)}", highlight=False, soft_wrap=True)
    console.print(
        f"best: {result.best.name}, settings in [bold]{escape(str(result.best_config_path))}[/]",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"report: [bold]{escape(str(result.report_path))}[/]", highlight=False, soft_wrap=True)
