"""A small viewing log with known tastes, for the recommender's tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.data.schemas import conform
from trainables.data.style_code import CODE_DIM
from trainables.recommender.train import TrainingData

DAY_MS = 86_400_000
START_MS = 1_700_000_000_000
PRESETS = ("vintage", "sport", "neon", "minimal", "warm_film", "ink")


def events_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """An `events` table of rows with viewer_id, product_id, event_type, at (milliseconds) and any other column."""
    rows = [{"event_id": f"e{i}", **row} for i, row in enumerate(rows)]
    names = sorted({name for row in rows for name in row} | {"event_id", "viewer_id", "product_id", "event_type", "at"})
    columns = {name: [row.get(name) for row in rows] for name in names}
    columns["at"] = pa.array(columns["at"], pa.int64()).cast(pa.timestamp("ms", tz="UTC"))
    return conform(pa.table(columns), "events", "test")


def products_table(ids: Sequence[str], categories: Sequence[str] | None = None, **columns: Sequence[Any]) -> pa.Table:
    titles = columns.pop("title", [""] * len(ids))
    kinds = categories or ["unknown"] * len(ids)
    return conform(pa.table({"product_id": ids, "title": titles, "category": kinds, **columns}), "products", "test")


def preset_codes() -> dict[str, np.ndarray]:
    """Six codes far apart, as real presets are."""
    rng = np.random.default_rng(7)
    return {name: rng.normal(0, 1.5, CODE_DIM).astype(np.float32) for name in PRESETS}


def two_tastes(viewers: int = 300, products: int = 60, days: int = 20, seed: int = 0) -> TrainingData:
    """Viewer i likes products of parity i % 2, most of all in the look i % 6, which every second clip is shown in.

    They watch a product they like to the end always in that look, else in two cases of five; what they don't like they
    skip. One in ten goes the other way. The last two products of the catalogue were never shown.
    """
    rng = np.random.default_rng(seed)
    ids = [f"p{i:02d}" for i in range(products)]
    rows = []
    for viewer in range(viewers):
        shown = rng.choice(products - 2, 24, replace=False)
        for place, product in enumerate(shown):
            likes = (product % 2 == viewer % 2) == (rng.random() < 0.9)
            style = PRESETS[viewer % 6 if rng.random() < 0.5 else rng.integers(6)]
            finishes = likes and (style == PRESETS[viewer % 6] or rng.random() < 0.4)
            share = 1.0 if finishes else 0.05
            at = START_MS + int((place + rng.random()) * days / 24 * DAY_MS)
            common = {"viewer_id": f"v{viewer:03d}", "product_id": ids[product], "at": at}
            watch = {"watch_seconds": 8.0 * share, "duration_seconds": 8.0, "style": style}
            rows += [{**common, "event_type": "impression"}, {**common, "event_type": "watch", **watch}]
    titles = [f"{'red lamp' if i % 2 else 'blue chair'} {i}" for i in range(products)]
    catalogue = products_table(ids, ["lamp" if i % 2 else "chair" for i in range(products)], title=titles)
    offset = np.where(np.arange(CODE_DIM) < 6, 1.0, 0.0)
    codes = {
        product_id: (rng.normal(0, 0.5, CODE_DIM) + (offset if i % 2 else -offset)).astype(np.float32)
        for i, product_id in enumerate(ids)
    }
    return TrainingData(events_table(rows), catalogue, codes)
