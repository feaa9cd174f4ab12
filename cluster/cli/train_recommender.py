"""`shopreel train recommender`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cluster.settings import Settings


def command(
    data: Annotated[str, typer.Option(help="Dataset with a viewing log, see `shopreel data list`.")],
    run: Annotated[str | None, typer.Option(help="Name of the run; default recommender-DATE-TIME.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings; may be partial.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, e.g. ease.l2=200; repeat at will.")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray/--no-ray", help="Sum the statistics on Ray, or in this process.")] = True,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow; default SQLite under SHOPREEL_HOME.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster; default: Ray started on this machine.")] = None,
) -> None:
    """Train the recommender on a viewing log and register it as challenger.

    The newest tenth of the events is held out; the table compares the model with popularity on it.

    \b
    Examples:
      shopreel train recommender --data shop
      shopreel train recommender --data shop --set ease.l2=200 --set history_half_life_days=3
      shopreel train recommender --data shop --config best.yaml --run nightly --no-ray
    """
    from cluster.config import load
    from trainables.recommender.job import run_training
    from trainables.recommender.settings import RecommenderTrainConfig

    settings = Settings.load(tracking_uri=tracking_uri).with_address(address)
    resolved = load(RecommenderTrainConfig, config, set_ or ())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {"reading": progress.add_task("reading", total=None)}

        def on_progress(stage: str, done: int, total: int) -> None:
            progress.update(tasks["reading"], total=1, completed=1)
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        trained = run_training(settings, data, run, resolved, use_ray=ray, on_progress=on_progress)
    console = Console()
    console.print(_comparison(trained.metrics))
    if ranked := _ranker_table(trained.metrics):
        console.print(ranked)
    for note in trained.notes:
        console.print(note, highlight=False)
    console.print(f"run {trained.run_name} → [bold]{trained.version.reference}[/] (challenger)", highlight=False)


def _comparison(metrics: dict[str, float]) -> Table:
    viewers = int(metrics["holdout_viewers"])
    table = Table(title=f"held-out events, {viewers} viewers", title_style="bold")
    for column in ("measure", "recommender", "popularity"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for name, value in metrics.items():
        if f"popularity_{name}" in metrics:
            table.add_row(name, f"{value:.4f}", f"{metrics[f'popularity_{name}']:.4f}")
    return table


def _ranker_table(metrics: dict[str, float]) -> Table | None:
    """What the ranker of impressions reached on the newest of them; None without one."""
    measures = {name.removeprefix("ranker_"): value for name, value in metrics.items() if name.startswith("ranker_")}
    if not measures:
        return None
    table = Table(title="newest impressions, by a ranker kept from them", title_style="bold")
    table.add_column("measure")
    table.add_column("ranker", justify="right")
    for name, value in measures.items():
        table.add_row(name, f"{value:.4f}")
    return table
