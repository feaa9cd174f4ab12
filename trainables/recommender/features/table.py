"""The table `product_features` of a dataset: a row a product, a column a modality, null where it is missing.

It lies beside the other tables as Parquet parts. A build adds rows for products that are new or have changed; of
several rows of a product the one of the latest build counts.

Dims: n products, d numbers of a modality, D of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.recommender.features.attributes import soft_bins
from trainables.recommender.features.blocks import standardised
from trainables.recommender.features.extract import MODALITIES, VERSION

TABLE = "product_features"
SCHEMA = pa.schema(
    [
        pa.field("product_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False, metadata={"note": "hash of all the row was made of"}),
        *(
            pa.field(name, pa.list_(pa.float32()), metadata={"note": f"{size} numbers"})
            for name, size in MODALITIES.items()
        ),
    ]
)
BINNED = ("duration", "price")
"""Single numbers: near values are alike, far ones are not."""


def source_of(product: Mapping[str, Any], clip_id: str | None) -> str:
    """Hash of what a product's row is made of: equal sources have equal rows."""
    parts = (VERSION, product["product_id"], product["title"], product["description"], product["price"], clip_id)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def write_rows(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store rows (`product_id`, `source`, and arrays or None by modality) as one part after all others."""
    table = pa.table(
        {field.name: pa.array([_plain(row.get(field.name)) for row in rows], field.type) for field in SCHEMA},
        schema=SCHEMA,
    )
    digest = hashlib.sha256("\n".join(table["source"].to_pylist()).encode()).hexdigest()[:16]
    number = len(dataset.storage.list(dataset.folder(TABLE)))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    name = dataset.folder(f"{TABLE}/part-{number:06d}-{digest}.parquet")
    dataset.storage.write_bytes(name, sink.getvalue().to_pybytes())


def read_sources(dataset: Dataset) -> dict[str, str]:
    """Product → source of its row; empty where nothing was built."""
    found: dict[str, str] = {}
    for table in _parts(dataset, ["product_id", "source"]):
        found.update(zip(table["product_id"].to_pylist(), table["source"].to_pylist(), strict=True))
    return found


def read_modalities(dataset: Dataset, product_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Modality → (n, d) float32 in the order asked for, NaN rows where missing; modalities nobody has are left out."""
    row_of = {product_id: row for row, product_id in enumerate(product_ids)}
    found = {name: np.full((len(product_ids), size), np.nan, np.float32) for name, size in MODALITIES.items()}
    for table in _parts(dataset, None):
        rows = np.array([row_of.get(product_id, -1) for product_id in table["product_id"].to_pylist()], np.int64)
        for name, size in MODALITIES.items():
            column = table[name].combine_chunks()
            known = column.is_valid().to_numpy(zero_copy_only=False)
            values = np.full((len(column), size), np.nan, np.float32)
            values[known] = column.drop_null().flatten().to_numpy().reshape(-1, size)
            found[name][rows[rows >= 0]] = values[rows >= 0]
    return {name: block for name, block in found.items() if np.isfinite(block).all(1).any()}


def content_blocks(modalities: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Blocks ready for `content.content_features`: statistics standardised a column, single numbers as soft bins."""
    return {
        name: soft_bins(block[:, 0]) if name in BINNED else block if name == "text" else standardised(block)
        for name, block in modalities.items()
    }


def _parts(dataset: Dataset, columns: list[str] | None) -> Iterable[pa.Table]:
    """Tables of the parts, oldest first."""
    for name in dataset.storage.list(dataset.folder(TABLE)):
        if name.endswith(".parquet"):
            part = dataset.folder(f"{TABLE}/{name}")
            yield dataset.storage.reading(part, partial(_read, dataset.storage, part, columns))


def _read(storage: Storage, part: str, columns: list[str] | None) -> pa.Table:
    with storage.filesystem.open_input_file(storage.path(part)) as source:
        return pq.read_table(source, columns=columns)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
