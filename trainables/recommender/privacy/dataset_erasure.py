"""Taking viewers out of a dataset at rest: every Parquet file that holds them is rewritten without them.

A file is replaced whole, by a rename, so a reader sees it before or after and a crash leaves nothing half done; running
the erasure again finishes it. Rows set aside by imports are searched as well. An import or another erasure at the same
time may bring a viewer back: `Dataset.erased_from` keeps both out of a store on this machine, elsewhere erase once more
afterwards. So does importing the source again, which is why the receipt says where the rows came from.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainables.data.dataset import Dataset
from trainables.data.schemas import TABLES

VIEWER = "viewer_id"
SET_ASIDE = "set_aside.csv"
ROWS_A_GROUP = 128 * 1024


@dataclass(frozen=True)
class RewrittenFile:
    """One file of a dataset before and after."""

    file: str
    """Path below the dataset's folder."""
    rows_removed: int
    rows_left: int
    sha256_before: str
    sha256_after: str | None
    """None: nothing was left and the file is gone."""


@dataclass(frozen=True)
class DatasetErasure:
    """What was removed from a dataset."""

    dataset: str
    content_hash_before: str
    content_hash_after: str
    rows_removed: dict[str, int]
    """By table, and `set_aside` for rows that imports kept apart."""
    files: tuple[RewrittenFile, ...]
    sources: tuple[str, ...]
    """Where the dataset was imported from: the viewer may still be there."""

    @property
    def total(self) -> int:
        """Rows removed."""
        return sum(self.rows_removed.values())

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def erase_from_dataset(dataset: Dataset, viewers: Collection[str]) -> DatasetErasure:
    """Remove every row of some viewers (pseudonyms) from a dataset; one that holds none of them stays as it is."""
    before = dataset.content_hash()
    names = pa.array(sorted(viewers), pa.string())
    removed, files = {}, []
    for table in (name for name, schema in TABLES.items() if VIEWER in schema.names):
        rewritten = [_rewrite_part(dataset, table, name, names) for name in dataset.storage.list(dataset.folder(table))]
        files += [file for file in rewritten if file is not None]
        removed[table] = sum(file.rows_removed for file in rewritten if file is not None)
    aside = _rewrite_set_aside(dataset, viewers)
    files += [aside] if aside else []
    removed["set_aside"] = aside.rows_removed if aside else 0
    return DatasetErasure(
        dataset=dataset.name,
        content_hash_before=before,
        content_hash_after=dataset.content_hash(),
        rows_removed=removed,
        files=tuple(files),
        sources=tuple(dict.fromkeys(entry["source"] for entry in dataset.manifest["imports"])),
    )


def _rewrite_part(dataset: Dataset, table: str, name: str, viewers: pa.Array) -> RewrittenFile | None:
    """Replace one Parquet file; None where it holds nobody to forget."""
    if not name.endswith(".parquet"):
        return None
    path = dataset.folder(f"{table}/{name}")
    data = dataset.storage.read_bytes(path)
    source = pa.BufferReader(data)
    theirs = pc.is_in(pq.read_table(source, columns=[VIEWER])[VIEWER], value_set=viewers)
    count = pc.sum(theirs).as_py() or 0
    if not count:
        return None
    left = pq.read_table(pa.BufferReader(data), schema=TABLES[table]).filter(pc.invert(theirs))
    written = None
    if left.num_rows:
        sink = pa.BufferOutputStream()
        pq.write_table(left, sink, compression="zstd", row_group_size=ROWS_A_GROUP)
        written = sink.getvalue().to_pybytes()
    return _replaced(dataset, f"{table}/{name}", data, written, count, left.num_rows)


def _rewrite_set_aside(dataset: Dataset, viewers: Collection[str]) -> RewrittenFile | None:
    if not dataset.storage.exists(dataset.folder(SET_ASIDE)):
        return None
    data = dataset.storage.read_bytes(dataset.folder(SET_ASIDE))
    rows = pd.read_csv(io.BytesIO(data), dtype="string", keep_default_na=False)
    theirs = rows[VIEWER].isin(list(viewers))
    if not theirs.any():
        return None
    left = rows[~theirs]
    written = left.to_csv(index=False).encode() if len(left) else None
    return _replaced(dataset, SET_ASIDE, data, written, int(theirs.sum()), len(left))


def _replaced(dataset: Dataset, file: str, before: bytes, after: bytes | None, gone: int, left: int) -> RewrittenFile:
    if after is None:
        dataset.storage.delete(dataset.folder(file))
    else:
        dataset.storage.write_bytes(dataset.folder(file), after)
    return RewrittenFile(file, gone, left, _sha256(before), None if after is None else _sha256(after))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
