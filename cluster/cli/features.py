"""`shopreel features`: what products show, sound like and say, as numbers for the recommender."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cluster.settings import Settings

app = typer.Typer(no_args_is_help=True)
status = Console(stderr=True)


@app.callback()
def features() -> None:
    """Multimodal features of products."""


@app.command("build")
def build(
    data: Annotated[str, typer.Option("--data", help="Dataset, as in `shopreel data list`.")],
    address: Annotated[str | None, typer.Option(help="Ray cluster to run on; default: Ray on this machine.")] = None,
) -> None:
    """Make or bring up to date the table `product_features` of a dataset: frames, sound, text, look, motion, length,
    price. Products that are up to date are not read again.

    \b
    Examples:
      shopreel features build --data shop
    """
    from cluster.runtime import ray_session
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.recommender.features.pipeline import build_features

    settings = Settings.load().with_address(address)
    dataset = Dataset.open(Storage(settings.storage_root), data)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=status, transient=True) as progress:
        task = progress.add_task("starting Ray", total=None)
        with ray_session(settings):
            report = build_features(
                dataset, lambda done, total: progress.update(task, description="products", completed=done, total=total)
            )
    status.print(
        f"[bold]{data}[/]: {report.made} of {report.products} products made "
        f"({report.without_clip} without a clip), {report.current} up to date"
    )
