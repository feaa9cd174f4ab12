"""`shopreel slates`: the best products of many viewers, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cluster.cli.known_ids import note_strangers
from cluster.cli.result_files import check_parquet, plain_ids, write_parquet
from cluster.errors import InputError
from cluster.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

VIEWER_COLUMN = "user_id"


def command(
    model: Annotated[str, typer.Option(help="recommender@ALIAS or recommender/VERSION.")],
    data: Annotated[str, typer.Option(help="Dataset with the viewers' log, see `shopreel data list`.")],
    viewers: Annotated[Path, typer.Option(help="CSV with a column user_id of the shop's own viewer ids.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    k: Annotated[int, typer.Option(min=1, help="Products a viewer.")] = 20,
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow; default SQLite under SHOPREEL_HOME.")] = None,
) -> None:
    """Recommend K products to each viewer of a file; what a viewer met in the data is left out.

    \b
    Columns of the result: user_id as given, video_id, rank from 1, score; one row a place.
    A viewer without events gets what is popular. Where the data has events newer than the model, or other products, its
    statistics and catalogue are brought up to the data first; the registered model stays as it is.
    Examples:
      shopreel slates --model recommender@champion --data shop --viewers viewers.csv --k 20 --out slates.parquet
    """
    import pyarrow as pa

    from cluster.pseudonym import Pseudonymiser
    from cluster.registry import Registry
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.recommender.batch import caught_up, slates
    from trainables.recommender.bundle import load_model
    from trainables.recommender.train import read_training_data

    settings = Settings.load(tracking_uri=tracking_uri)
    ids = read_viewers(viewers)
    check_parquet(out)
    dataset = Dataset.open(Storage(settings.storage_root), data)
    version = Registry(settings).resolve(model, "recommender")
    console = Console(stderr=True)
    with console.status("reading the model and the log …"):
        trained = load_model(Registry(settings).fetch(version))
        training_data = read_training_data(dataset)
    with console.status("counting the newest events …"):
        current = caught_up(trained, training_data)
    pseudonymiser = Pseudonymiser.load(settings)
    names = [pseudonymiser.of(raw) for raw in ids.tolist()]
    note_strangers(
        console, "viewers", pa.array(names, pa.string()), training_data.events["viewer_id"], data, VIEWER_COLUMN
    )
    columns = (TextColumn("slates"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("slates", total=len(ids))
        places = slates(
            current,
            training_data.events,
            names,
            k,
            current.trained_until_ms,
            lambda done: progress.update(task, completed=done),
        )
    found = _table(ids, current.product_ids, *places)
    write_parquet(found, out)
    Console().print(f"{len(ids):,} viewers, {len(found):,} places → {out}", highlight=False)


def read_viewers(path: Path) -> pd.Series:
    """Raw ids of a CSV's column user_id, as text, each once, in order."""
    from trainables.data.importers.tables import read_csv

    if not path.is_file():
        raise InputError(f"--viewers: there is no file {path}")
    table = read_csv(path, only=(VIEWER_COLUMN,))
    ids = table[VIEWER_COLUMN].str.strip().drop_duplicates()  # an import strips ids, too
    if (ids == "").any():
        raise InputError(f"{path}: column {VIEWER_COLUMN!r} has empty values; take those rows out")
    return ids


def _table(ids: pd.Series, product_ids: tuple[str, ...], viewer_N, row_N, score_N) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    starts = np.searchsorted(viewer_N, viewer_N)  # viewers come one after another
    return pd.DataFrame(
        {
            "user_id": plain_ids(ids.to_numpy()[viewer_N]),
            "video_id": plain_ids(np.asarray(product_ids, dtype=object)[row_N]),
            "rank": np.arange(len(viewer_N)) - starts + 1,
            "score": score_N,
        }
    )
