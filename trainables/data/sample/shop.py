"""The embedded sample shop as files and tables: what a demo imports without downloading anything."""

from __future__ import annotations

import csv
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import InputError


def sample_root() -> Path:
    """Folder of the sample shop: `clips/<product_id>.mp4`, `products.csv`, `events.parquet`, `DATA_CARD.md`."""
    return Path(str(resources.files("trainables.data.sample")))


def products() -> list[dict]:
    """The catalogue, one dict a product, in the order of `products.csv`.

    Keys: product_id, title, category, description, price (float), creator, tags (list of str), colour, look.
    """
    with (sample_root() / "products.csv").open(newline="", encoding="utf-8") as file:
        return [row | {"price": float(row["price"]), "tags": row["tags"].split(";")} for row in csv.DictReader(file)]


def clip_path(product_id: str) -> Path:
    """The product's clip: H.264 MP4, 24 frames of 128 × 128 at 12 a second. InputError for an unknown product."""
    path = sample_root() / "clips" / f"{product_id}.mp4"
    if not path.is_file():
        listing = sample_root() / "products.csv"
        raise InputError(f"the sample shop has no product {product_id!r}; its ids are in {listing}")
    return path


def events() -> pa.Table:
    """The simulated viewing log, in the order of time; columns as in `trainables.data.sample.visits.SCHEMA`."""
    return pq.read_table(sample_root() / "events.parquet")
