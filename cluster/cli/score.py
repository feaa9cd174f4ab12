"""`shopreel score`: chances and watch times of impressions in a file."""

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

    from cluster.pseudonym import Pseudonymiser
    from trainables.recommender.ranking.ranker import Shown

IDS = ("user_id", "video_id")
NUMBERS = ("time_ms", "tab", "duration_ms")
COLUMNS = (*IDS, *NUMBERS)


def command(
    model: Annotated[str, typer.Option(help="recommender@ALIAS or recommender/VERSION.")],
    data: Annotated[str, typer.Option(help="Dataset with the viewers' log, see `shopreel data list`.")],
    impressions: Annotated[Path, typer.Option(help="What is or was shown: .parquet, .csv or .csv.gz.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    tracking_uri: Annotated[str | None, typer.Option(help="MLflow; default SQLite under SHOPREEL_HOME.")] = None,
) -> None:
    """Score impressions: chance of a click, of a long view, and the watch time to expect.

    \b
    The file has the columns user_id, video_id, time_ms (since 1970), tab and duration_ms (0 where unknown); others are
    ignored. A row's score rests on the data's events before its time and on which earlier rows of the file were shown,
    never on later ones. Unknown viewers and videos get what is usual for the rest of what is known.
    Columns of the result, one row an impression in the order of the file: user_id, video_id, time_ms, p_click,
    p_long_view, watch_seconds.
    Examples:
      shopreel score --model recommender@champion --data shop --impressions today.csv.gz --out scores.parquet
    """
    from cluster.pseudonym import Pseudonymiser
    from cluster.registry import Registry
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.recommender.bundle import load_ranker_parts
    from trainables.recommender.ranking.bundle_parts import from_tensors
    from trainables.recommender.train import read_training_data

    settings = Settings.load(tracking_uri=tracking_uri)
    check_parquet(out)
    table = read_impressions(impressions)
    dataset = Dataset.open(Storage(settings.storage_root), data)
    version = Registry(settings).resolve(model, "recommender")
    console = Console(stderr=True)
    with console.status("reading the model and the log …"):
        parts = load_ranker_parts(Registry(settings).fetch(version))
        if parts is None:
            raise InputError(
                f"{version.reference} has no ranker: the log it was trained on has too few impressions; "
                "train it on a log with events of type impression"
            )
        ranker, past = from_tensors(parts), read_training_data(dataset)
    shown = to_shown(table, Pseudonymiser.load(settings))
    note_strangers(console, "viewers", shown.viewer_ids, past.events["viewer_id"], data, "user_id")
    note_strangers(console, "videos", shown.product_ids, past.products["product_id"], data, "video_id")
    columns = (TextColumn("impressions"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("impressions", total=len(table))
        scores = ranker.score(past, shown, lambda done: progress.update(task, completed=done))
    found = table[["user_id", "video_id", "time_ms"]].assign(
        p_click=scores.click_N, p_long_view=scores.long_view_N, watch_seconds=scores.watch_seconds_N
    )
    write_parquet(found, out)
    Console().print(f"{len(found):,} impressions → {out}", highlight=False)


def read_impressions(path: Path) -> pd.DataFrame:
    """The five columns, checked; ids as the file has them, numbers as int64. Errors name file, column and row."""
    from trainables.data.importers.tables import filled, numbers, read_csv

    if not path.is_file():
        raise InputError(f"--impressions: there is no file {path}")
    if path.suffix == ".parquet":
        table = _read_parquet(path)
    elif path.name.endswith((".csv", ".csv.gz")):
        table = read_csv(path, only=COLUMNS)
    else:
        raise InputError(f"--impressions is {path}; give a file that ends in .parquet, .csv or .csv.gz")
    for column in NUMBERS:
        filled(path, column, table[column], first_row=1)
        values = numbers(path, column, table[column], first_row=1, minimum=0)
        _whole(path, column, values)
        table[column] = values.astype("int64")
    for column in IDS:
        text = filled(path, column, table[column], first_row=1)
        table[column] = plain_ids(text)
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    """The five columns of a Parquet file; no other one is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from trainables.data.importers.tables import present_columns

    try:
        with pq.ParquetFile(path) as source:
            names = present_columns(path, source.schema_arrow.names, COLUMNS)
            # Whole numbers beside empty cells would become floats, and errors would show them as 7.0.
            table = source.read(names).select(names).to_pandas(ignore_metadata=True, integer_object_nulls=True)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a readable Parquet file: {str(error).strip()}") from error
    return table.set_axis(list(COLUMNS), axis=1)


def to_shown(table: pd.DataFrame, pseudonymiser: Pseudonymiser) -> Shown:
    """Rows as the ranker takes them; raw viewer ids become pseudonyms, as at import."""
    import pyarrow as pa

    from trainables.data.importers.eventlog import pseudonyms
    from trainables.recommender.ranking.ranker import Shown

    return Shown(
        viewer_ids=pa.array(pseudonyms(table["user_id"].astype(str), pseudonymiser).tolist(), pa.string()),
        product_ids=pa.array(table["video_id"].astype(str).tolist(), pa.string()),
        at_ms=table["time_ms"].to_numpy(),
        surfaces=pa.array(("tab-" + table["tab"].astype(str)).tolist(), pa.string()),
        seconds=table["duration_ms"].to_numpy() / 1000,
    )


def _whole(path: Path, column: str, values: pd.Series) -> None:
    from trainables.data.importers.tables import bad_cell

    bad = ~(values < 2**53) | (values % 1 != 0)
    if bad.any():
        raise bad_cell(path, column, values, bad, 1, "a whole number below 2^53")
