"""Make the sample shop's files: `python -m trainables.data.sample.make --out DIR`.

Writes `clips/<product_id>.mp4`, `products.csv` and `events.parquet` below DIR. The same seed gives the same pixels and
the same log on one version of torch and numpy.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from trainables.data.sample.catalogue import COLUMNS, KINDS, Product, catalogue
from trainables.data.sample.encode import write_clip
from trainables.data.sample.render import Shot, render
from trainables.data.sample.viewers import ChoiceConfig
from trainables.data.sample.visits import simulate, write_log


def make_clip(product: Product, folder: Path, seed: int) -> int:
    """Render one product into `folder`; returns the file's size in bytes."""
    clip = render(product.model(seed), product.design.paper, Shot())
    return write_clip(clip, folder / f"{product.product_id}.mp4")


def _work(product_id: str, folder: Path, seed: int) -> tuple[str, int]:
    # Designs hold functions, which do not travel between processes: the id does.
    torch.set_num_threads(1)
    (product,) = (p for p in catalogue() if p.product_id == product_id)
    return product_id, make_clip(product, folder, seed)


def make_clips(products: Sequence[Product], folder: Path, seed: int, workers: int) -> int:
    """Render all products with a progress bar; returns the bytes written."""
    folder.mkdir(parents=True, exist_ok=True)
    text, clocks = TextColumn("{task.description}"), (TimeElapsedColumn(), TimeRemainingColumn())
    total = 0
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context)
    with Progress(text, BarColumn(), MofNCompleteColumn(), *clocks) as progress, pool:
        bar = progress.add_task("clips", total=len(products))
        jobs = [pool.submit(_work, product.product_id, folder, seed) for product in products]
        for job in as_completed(jobs):
            product_id, size = job.result()
            total += size
            progress.update(bar, advance=1, description=f"clips, {total / 1e6:.2f} MB, last {product_id}")
    return total


def write_products(products: Sequence[Product], path: Path) -> None:
    """Write the catalogue as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(product.row() for product in products)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m trainables.data.sample.make", description="Make the sample shop.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--only", choices=KINDS, help="render the clips of one kind, and nothing else")
    parser.add_argument("--workers", type=int, default=1, help="processes that render (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="moves veins, flecks, grain and every viewer (default 0)")
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error(f"--workers is {options.workers}; set it to 1 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the sample shop as the command line asks."""
    options, console = parse(arguments), Console()
    everything = catalogue()
    wanted = [product for product in everything if options.only in (None, product.kind)]
    size = make_clips(wanted, options.out / "clips", options.seed, options.workers)
    console.print(f"{len(wanted)} clips, {size / 1e6:.2f} MB, in {options.out / 'clips'}")
    if options.only:
        return
    write_products(everything, options.out / "products.csv")
    log = simulate([product.row() for product in everything], ChoiceConfig(seed=options.seed))
    path = options.out / "events.parquet"
    write_log(log, path)
    console.print(f"{log.num_rows} events, {path.stat().st_size / 1e6:.2f} MB, in {path}")


if __name__ == "__main__":
    main()
