"""What a dataset holds, in numbers and as a contact sheet."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from trainables.data import schemas
from trainables.data.contact_sheet import contact_sheet
from trainables.data.dataset import Dataset

CLIPS_SHOWN = 24
FRAMES_SHOWN = 6
CELL = 112


def summarise(dataset: Dataset) -> dict[str, Any]:
    """JSON-ready: `{"name", "content_hash", "tables": {name: {"rows", "columns": […]}}, "events", "imports"}`."""
    tables = {name: _table(dataset, name) for name in schemas.TABLES if dataset.has(name)}
    return {
        "name": dataset.name,
        "content_hash": dataset.content_hash(),
        "tables": tables,
        "events": _events(dataset) if "events" in tables else None,
        "imports": dataset.manifest["imports"],
    }


def dataset_sheet(dataset: Dataset) -> Image.Image | None:
    """Up to 24 clips, evenly spread over the dataset, some frames of each; None without clips."""
    if not dataset.has("clips"):
        return None
    products = dataset.clip_products()
    count = min(CLIPS_SHOWN, len(products))
    facts = {row["product_id"]: row for row in _facts(dataset)}
    # Ordered by category, so that every kind is seen.
    products.sort(key=lambda product_id: (facts.get(product_id, {}).get("category", ""), product_id))
    rows, labels = [], []
    for product_id in (products[i * len(products) // count] for i in range(count)):
        clip = dataset.clip(product_id)
        shown = min(FRAMES_SHOWN, len(clip.frames_THWC))
        rows.append([clip.frames_THWC[i * len(clip.frames_THWC) // shown] for i in range(shown)])
        fact = facts.get(product_id, {"title": product_id, "category": ""})
        labels.append(f"{fact['title']}\n{fact['category']}")
    title = f"{dataset.name}: {count} of {len(products)} clips"
    return contact_sheet(rows, labels, title=title, cell=CELL)


def _facts(dataset: Dataset) -> list[dict[str, Any]]:
    if not dataset.has("products"):
        return []
    return dataset.arrow("products", ["product_id", "title", "category"]).to_pylist()


def _table(dataset: Dataset, name: str) -> dict[str, Any]:
    # Frames stay on disk: everything else of a clip is small.
    columns = [field.name for field in schemas.TABLES[name] if not pa.types.is_large_binary(field.type)]
    table = dataset.arrow(name, columns)
    return {
        "rows": table.num_rows,
        "columns": [_column(field, table) for field in schemas.TABLES[name]],
    }


def _column(field: pa.Field, table: pa.Table) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": field.name, "type": str(field.type), "note": field.metadata[b"note"].decode()}
    if field.name not in table.column_names:
        return facts
    column = table[field.name]
    facts["nulls"] = column.null_count
    if pa.types.is_nested(field.type):
        return facts
    facts["unique"] = pc.count_distinct(column).as_py()
    if not pa.types.is_string(field.type) and not pa.types.is_boolean(field.type):
        low_high = pc.min_max(column).as_py()
        facts["min"], facts["max"] = _plain(low_high["min"]), _plain(low_high["max"])
    return facts


def _events(dataset: Dataset) -> dict[str, Any]:
    table = dataset.arrow("events", ["viewer_id", "product_id", "event_type", "at"])
    types = pc.value_counts(table["event_type"]).to_pylist()
    span = pc.min_max(table["at"]).as_py()
    return {
        "by_type": {entry["values"]: entry["counts"] for entry in sorted(types, key=lambda entry: -entry["counts"])},
        "viewers": pc.count_distinct(table["viewer_id"]).as_py(),
        "products_seen": pc.count_distinct(table["product_id"]).as_py(),
        "first": _plain(span["min"]),
        "last": _plain(span["max"]),
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
