"""`shopreel tune`: sweeps with Ray Tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.errors import InputError
from cluster.settings import Settings

app = typer.Typer(no_args_is_help=True)


@app.callback()
def tune() -> None:
    """Sweep settings with Ray Tune."""


@app.command("generator")
def generator(
    data: Annotated[str | None, typer.Option(help="Dataset with clips, see `shopreel data list`.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Points of the space to try.")] = 8,
    name: Annotated[str | None, typer.Option(help="Name of the sweep; default sweep-DATE-TIME.")] = None,
    steps: Annotated[int, typer.Option(min=4, help="Training steps of a trial.")] = 100,
    scheduler: Annotated[str, typer.Option(help="asha, pbt, median or none.")] = "asha",
    search: Annotated[str, typer.Option(help="optuna, random or grid.")] = "optuna",
    objective: Annotated[str, typer.Option(help="score, or front: style and contours apart.")] = "score",
    resume: Annotated[str | None, typer.Option(help="Sweep to take up again, as it was begun.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; default: what the cluster has room for.")
    ] = None,
    workers_per_trial: Annotated[int, typer.Option(min=1, help="DDP workers of a trial.")] = 1,
    config: Annotated[Path | None, typer.Option(help="YAML file with the settings that all trials share.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One shared setting, e.g. frame_size=64.")] = None,
    start: Annotated[str | None, typer.Option(help="Weights to begin with: starter, or a bundle folder.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow; default SQLite under SHOPREEL_HOME.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster; default: Ray started on this machine.")] = None,
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
    from cluster.config import load
    from trainables.generator.restyle.config import RestyleTrainConfig
    from trainables.generator.starter import start_bundle
    from tuning.config import SweepConfig
    from tuning.sweep import begun, resume_sweep, run_sweep
    from tuning.table import LiveTable, summary

    if (data is None) == (resume is None):
        raise InputError("give either --data NAME for a new sweep or --resume SWEEP for one that was broken off")
    settings = Settings.load(tracking_uri=tracking_uri).with_address(address)
    if resume is not None:
        sweep = begun(settings, resume)
        with LiveTable(f"sweep {resume}", sweep.trials, sweep.steps, Console(stderr=True)) as table:
            result = resume_sweep(settings, resume, callbacks=(table,))
    else:
        base = load(RestyleTrainConfig, config, set_ or ())
        sweep = SweepConfig(
            trials=trials,
            name=name,
            steps=steps,
            scheduler=scheduler,
            search=search,
            objective=objective,
            concurrency=concurrency,
            workers_per_trial=workers_per_trial,
            seed=seed,
        )
        with LiveTable(f"sweep over {data}", trials, steps, Console(stderr=True)) as table:
            result = run_sweep(settings, data, sweep, base, start=start_bundle(start, "restyle"), callbacks=(table,))
    console = Console()
    console.print(summary(f"sweep {result.name}", result.trials, sweep.steps))
    for trial in result.trials:
        if trial.error:
            console.print(f"[red]{trial.name} failed:[/] {trial.error}", highlight=False, soft_wrap=True)
    console.print(f"best: {result.best.name}, settings in [bold]{result.best_config_path}[/]", highlight=False)
    console.print(f"report: [bold]{result.report_path}[/]", highlight=False, soft_wrap=True)
