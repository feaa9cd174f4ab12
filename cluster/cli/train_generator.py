"""`shopreel train generator`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cluster.settings import Settings


def command(
    data: Annotated[str, typer.Option(help="Dataset with clips, see `shopreel data list`.")],
    task: Annotated[str, typer.Option(help="restyle, repair, enhance or generate.")] = "restyle",
    run: Annotated[
        str | None, typer.Option(help="Name of the run; the same name goes on after an interruption.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings; may be partial.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, e.g. steps=600; repeat at will.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="DDP workers, default 2 (1 without Ray).")] = None,
    ray: Annotated[bool, typer.Option("--ray/--no-ray", help="Train on Ray, or in this process.")] = True,
    styles: Annotated[Path | None, typer.Option(help="restyle: folder of pictures, looks to learn too.")] = None,
    start: Annotated[str | None, typer.Option(help="Weights to begin with: starter, or a bundle folder.")] = None,
    max_failures: Annotated[
        int, typer.Option(min=-1, help="Restarts after failed workers, -1: any number; preemptions are free.")
    ] = 3,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow; default SQLite under SHOPREEL_HOME.")] = None,
    address: Annotated[str | None, typer.Option(help="Ray cluster; default: Ray started on this machine.")] = None,
) -> None:
    """Train a generator network on a dataset's clips and register it as challenger.

    A tenth of the products is held out; the table at the end is measured on them.

    \b
    Examples:
      shopreel train generator --data shop
      shopreel train generator --data shop --set steps=2000 --set loss.content_weight=0.1
      shopreel train generator --data shop --config best.yaml --styles ./paintings --run autumn
      shopreel train generator --data shop --task enhance --set steps=2000
      shopreel train generator --data shop --start starter --set steps=300
      shopreel train generator --data shop --no-ray --set batch_size=4
    """
    from cluster.config import load
    from trainables.generator.job import run_training
    from trainables.generator.starter import start_bundle
    from trainables.generator.task import task_named

    settings = Settings.load(tracking_uri=tracking_uri).with_address(address)
    generator = task_named(task)
    resolved = load(generator.config_class, config, set_ or ())
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("starting workers", total=resolved.steps)

        def on_step(step: int, terms: dict[str, float]) -> None:
            losses = "  ".join(f"{name} {terms[f'loss/{name}']:.3f}" for name in generator.progress_terms)
            progress.update(bar, completed=step, description=losses)

        trained = run_training(
            settings,
            data,
            run,
            resolved,
            workers=workers or (2 if ray else 1),
            use_ray=ray,
            on_step=on_step,
            styles=str(styles) if styles else None,
            start=start_bundle(start, task),
            max_failures=max_failures,
        )
    console = Console()
    console.print(_table(trained.metrics))
    console.print(f"run {trained.run_name} → [bold]{trained.version.reference}[/] (challenger)", highlight=False)


def _table(metrics: dict[str, float]) -> Table:
    table = Table(title=f"{int(metrics['steps'])} steps", title_style="bold")
    table.add_column("measure")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        if name.startswith(("loss/", "heldout/")):
            table.add_row(name, f"{value:.4f}")
    return table
