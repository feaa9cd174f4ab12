"""A named dataset under the storage root: Parquet tables, appended to without duplicates, read by key.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from cluster.errors import InputError, NotFoundError
from cluster.storage import Storage
from trainables.data import schemas
from trainables.runs.driver_lock import alone

CLIPS_A_ROW_GROUP = 4  # a clip is read by key without decoding its neighbours


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip of one product."""

    clip_id: str
    product_id: str
    frames_THWC: np.ndarray
    """uint8 (T, H, W, 3)."""
    fps: float
    style_code: np.ndarray
    """float32 (S,)."""


@dataclass
class Dataset:
    """Tables of one dataset. Open with `Dataset.open` (must exist) or `Dataset.create` (made when missing)."""

    storage: Storage
    name: str
    _clip_rows: dict[str, tuple[str, int, int]] | None = field(default=None, repr=False)

    @classmethod
    def open(cls, storage: Storage, name: str) -> Dataset:
        dataset = cls(storage, check_name(name))
        if not storage.exists(f"datasets/{name}/dataset.json"):
            known = ", ".join(list_datasets(storage)) or "none yet"
            raise NotFoundError(
                f"dataset {name!r} does not exist (there are: {known}); make it with `shopreel import … --as {name}`"
            )
        return dataset

    @classmethod
    def create(cls, storage: Storage, name: str) -> Dataset:
        dataset = cls(storage, check_name(name))
        if not storage.exists(dataset.folder("dataset.json")):
            storage.write_json(dataset.folder("dataset.json"), {"name": name, "imports": []})
        return dataset

    def imported_into(self) -> AbstractContextManager[None]:
        """Inside the block no other process imports into the dataset or erases from it, as far as `alone` can see to
        it: two imports would each store the rows that both bring.
        """
        return self._changed_alone("give this one another --as")

    def erased_from(self) -> AbstractContextManager[None]:
        """The same for an erasure: an import at that time could bring back what is being taken out."""
        return self._changed_alone("stop it, and erase again")

    def _changed_alone(self, fix: str) -> AbstractContextManager[None]:
        told = f"another command imports into dataset {self.name!r} or erases from it"
        return alone(self.storage, self.folder(), told, fix)

    def folder(self, part: str = "") -> str:
        return f"datasets/{self.name}/{part}".rstrip("/")

    @property
    def manifest(self) -> dict[str, Any]:
        """`{"name", "imports": [{"source", "kind", "added", "known", "set_aside", …}], …}`, newest import last."""
        return self.storage.read_json(self.folder("dataset.json"))

    def record_import(self, entry: dict[str, Any], **extra: Any) -> None:
        """Append what one import did to the manifest; `extra` sets keys of the manifest itself."""
        manifest = self.manifest
        manifest["imports"].append(entry)
        self.storage.write_json(self.folder("dataset.json"), {**manifest, **extra})

    def files(self, table: str) -> list[str]:
        """Filesystem paths of a table's Parquet files: clips of the newest import first, else by name."""
        names = [name for name in self.storage.list(self.folder(table)) if name.endswith(".parquet")]
        names.sort(key=lambda name: (-_imports_before(name), name))
        return [self.storage.path(self.folder(f"{table}/{name}")) for name in names]

    def has(self, table: str) -> bool:
        return bool(self.files(table))

    def arrow(self, table: str, columns: list[str] | None = None) -> pa.Table:
        """A whole table in memory; never ask for `clips` with frames this way."""
        files = self.files(table)
        if not files:
            raise NotFoundError(
                f"dataset {self.name!r} has no {table}; import some with `shopreel import … --as {self.name}`"
            )
        schema = schemas.TABLES[table]
        return self.storage.reading(
            self.folder(table),
            lambda: pads.dataset(files, filesystem=self.storage.filesystem, schema=schema).to_table(columns=columns),
        )

    def count(self, table: str) -> int:
        files = self.files(table)
        if not files:
            return 0
        return self.storage.reading(
            self.folder(table), lambda: pads.dataset(files, filesystem=self.storage.filesystem).count_rows()
        )

    def keys(self, table: str) -> set[str]:
        """Keys already stored; imports drop them."""
        key = schemas.KEYS[table]
        return set(self.arrow(table, [key])[key].to_pylist()) if self.has(table) else set()

    def append(self, table: str, rows: pa.Table, source: str) -> int:
        """Store rows whose key is new; returns how many. For many calls keep one `TableWriter`."""
        return TableWriter(self, table, source).add(rows).new

    def write_part(self, table: str, rows: pa.Table, source: str) -> None:
        """Store rows whose keys are new, as one file named by its keys: a repeated write is the same file.

        Files of clips also say how many imports were there before, since a later one shows its products anew.
        """
        rows = schemas.conform(rows, table, source)
        digest = hashlib.sha256("\n".join(rows[schemas.KEYS[table]].to_pylist()).encode()).hexdigest()[:16]
        sink = pa.BufferOutputStream()
        groups = CLIPS_A_ROW_GROUP if table == "clips" else 128 * 1024
        pq.write_table(rows, sink, compression="zstd", row_group_size=groups)
        before = len(self.manifest["imports"]) if table == "clips" else 0
        name = f"part-{before:06d}-{digest}" if before else f"part-{digest}"
        self.storage.write_bytes(self.folder(f"{table}/{name}.parquet"), sink.getvalue().to_pybytes())
        self._clip_rows = None

    def content_hash(self) -> str:
        """Hash over the keys of every table: equal content gives an equal hash, whatever the order of imports."""
        digest = hashlib.sha256()
        for table, key in schemas.KEYS.items():
            digest.update(table.encode())
            if self.has(table):
                values = self.arrow(table, [key])[key]
                digest.update("\n".join(values.take(pc.sort_indices(values)).to_pylist()).encode())
        return digest.hexdigest()

    def clip_products(self) -> list[str]:
        """Products that have a clip, in stored order."""
        return list(self._clip_index())

    def clip(self, product_id: str) -> Clip:
        """The product's first clip of the newest import that brought one; reads one row group."""
        index = self._clip_index()
        if product_id not in index:
            raise NotFoundError(f"dataset {self.name!r} has no clip of product {product_id!r}")
        path, group, row = index[product_id]

        def read() -> pa.Table:
            with self.storage.filesystem.open_input_file(path) as source:
                return pq.ParquetFile(source).read_row_group(group)

        table = self.storage.reading(self.folder("clips"), read)
        return clip_of_row(table.slice(row, 1).to_pylist()[0])

    def clips(self, product_ids: Iterable[str] | None = None) -> Iterable[Clip]:
        """Clips one at a time, in stored order or in the order asked for."""
        for product_id in self._clip_index() if product_ids is None else product_ids:
            yield self.clip(product_id)

    def _clip_index(self) -> dict[str, tuple[str, int, int]]:
        """product → (file, row group, row in group)."""
        if self._clip_rows is None:
            index: dict[str, tuple[str, int, int]] = {}
            for path in self.files("clips"):
                groups = self.storage.reading(self.folder("clips"), partial(self._products_by_group, path))
                for group, products in enumerate(groups):
                    for row, product_id in enumerate(products):
                        index.setdefault(product_id, (path, group, row))
            self._clip_rows = index
        return self._clip_rows

    def _products_by_group(self, path: str) -> list[list[str]]:
        with self.storage.filesystem.open_input_file(path) as source:
            reader = pq.ParquetFile(source)
            groups = [reader.read_row_group(group, columns=["product_id"]) for group in range(reader.num_row_groups)]
        return [group["product_id"].to_pylist() for group in groups]


def _imports_before(part: str) -> int:
    """How many imports a part's name says were there before; none in the names of first imports and other tables."""
    fields = part.split("-")
    return int(fields[1]) if len(fields) == 3 else 0


@dataclass(frozen=True)
class Added:
    """What became of the rows given to a `TableWriter`."""

    new: int
    known: int
    """Stored before the writer was opened."""
    duplicates: int
    """Given to this writer more than once."""


class TableWriter:
    """Appends to one table without duplicates; the stored keys are read once, when it is made."""

    def __init__(self, dataset: Dataset, table: str, source: str) -> None:
        self._dataset, self._table, self._source = dataset, table, source
        self.known = frozenset(dataset.keys(table))
        self._written: set[str] = set()

    def __contains__(self, key: str) -> bool:
        """True for a stored key."""
        return key in self.known or key in self._written

    def add(self, rows: pa.Table) -> Added:
        """Store the rows whose key is new, as one file."""
        rows = schemas.conform(rows, self._table, self._source)
        keep, known = [], 0
        for key in rows[schemas.KEYS[self._table]].to_pylist():
            known += key in self.known
            keep.append(key not in self.known and key not in self._written)
            self._written.add(key)
        fresh = rows.filter(pa.array(keep, pa.bool_()))
        if fresh.num_rows:
            self._dataset.write_part(self._table, fresh, self._source)
        return Added(fresh.num_rows, known, rows.num_rows - fresh.num_rows - known)


def clip_of_row(row: dict[str, Any]) -> Clip:
    """A `clips` row as arrays; the frames are a read-only view of the row's bytes."""
    shape = (row["num_frames"], row["height"], row["width"], 3)
    return Clip(
        clip_id=row["clip_id"],
        product_id=row["product_id"],
        frames_THWC=np.frombuffer(row["frames"], np.uint8).reshape(shape),
        fps=row["fps"],
        style_code=np.asarray(row["style_code"], np.float32),
    )


def list_datasets(storage: Storage) -> list[str]:
    """Names of the datasets under the storage root."""
    return [name for name in storage.list("datasets") if storage.exists(f"datasets/{name}/dataset.json")]


def check_name(name: str) -> str:
    """A dataset, run or model name: letters, digits, '-', '_' and '.', not starting with '.'."""
    if not name or name.startswith(".") or not all(c.isalnum() or c in "-_." for c in name) or len(name) > 100:
        raise InputError(f"{name!r} is not a name; use up to 100 letters, digits, '-', '_' and '.'")
    return name
