"""The `shopreel demo` command and its options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster.errors import InputError


def command(
    photos: Annotated[
        Path | None, typer.Option(help="Folder of your own product photos (with an index.csv, or a folder a category).")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Folder of a KuaiRand viewing log (log_*.csv.gz).")] = None,
    products: Annotated[int, typer.Option(min=8, help="With --photos: how many photos to take.")] = 240,
    steps: Annotated[int, typer.Option(min=10, help="Training steps of the generator.")] = 160,
    trials: Annotated[int, typer.Option(min=2, help="Trials of the sweep before it.")] = 4,
    workers: Annotated[int, typer.Option(min=1, help="DDP workers.")] = 2,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="HTTP port; default 8000, or a free one.")] = None,
) -> None:
    """Run the whole chain once: import, train, sweep, DDP, registry, gate, HTTP, clips for three viewers.

    Without options it runs on the sample shop that comes with shopreel (rendered products, simulated viewers).
    Pictures and a summary are left under the storage root in demo/. On a terminal it keeps serving until Ctrl-C.

    \b
    Examples:
      shopreel demo
      shopreel demo --photos clothing-dataset-small --log KuaiRand-Pure/data
    """
    if (photos is None) != (log is None):
        raise InputError("--photos and --log go together: give both, or neither for the sample shop")
    from cluster.cli.demo.chain import DemoOptions, run_demo

    options = DemoOptions(
        photos=photos,
        log=log,
        products=products,
        steps=steps,
        trials=trials,
        workers=workers,
        port=port,
        keep_serving=sys.stdin.isatty() and sys.stdout.isatty(),
    )
    run_demo(options)
