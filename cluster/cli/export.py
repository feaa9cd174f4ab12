"""`shopreel export`: numbers of a dataset that say nothing about a single viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.cli.result_files import check_file, writing
from cluster.errors import InputError
from cluster.settings import Settings

app = typer.Typer(no_args_is_help=True)


@app.callback()
def export() -> None:
    """Take numbers out of a dataset that say nothing about a single viewer."""


@app.command("segments")
def segments(
    data: Annotated[str, typer.Option(help="Dataset, as in `shopreel data list`.")],
    by: Annotated[str, typer.Option(help="surface, category (of the product) or attribute:NAME (of the viewer).")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    k: Annotated[int, typer.Option(help="Least distinct viewers of a segment, 20 or more.")] = 20,
) -> None:
    """Count viewers, events and watch time by segment, for segments of at least K distinct viewers.

    \b
    Columns of the result:
      segment             a surface, category or value; unknown where the dataset does not tell; total in the last row
      viewers             distinct viewers with an event in the segment
      events              events of any kind
      clicks, likes, purchases
      mean_watch_seconds  of watches whose time is known; empty where they are of fewer than K viewers
    Smaller segments are left out, and so is the next smallest where what is left out could be computed from the
    number of the whole log. The row total is about the segments shown, not about the whole log.
    Examples:
      shopreel export segments --data shop --by category --out categories.csv
      shopreel export segments --data shop --by attribute:user_active_degree --out activity.csv --k 50
    """
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.recommender.privacy.segments import check_k, segment_of_events, segment_table

    check_k(k)
    if out.suffix != ".csv":
        raise InputError(f"--out is {out}; name a file that ends in .csv")
    check_file(out)
    dataset = Dataset.open(Storage(Settings.load().storage_root), data)
    with Console(stderr=True).status("reading the log …") as status:
        events, segment = segment_of_events(dataset, by)
        status.update(f"counting {events.num_rows:,} events …")
        found = segment_table(events, segment, k)
    with writing(out):
        found.table.to_csv(out, index=False, float_format="%.3f")
    left_out = f"{found.too_small:,} of fewer than {k} viewers left out"
    if found.with_them:
        left_out += f" and {found.with_them:,} more, so that those cannot be computed"
    Console().print(f"{found.shown:,} segments, {left_out} → {out}", highlight=False, soft_wrap=True)
