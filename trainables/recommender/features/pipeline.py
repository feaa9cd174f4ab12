"""`product_features` as a streaming Ray Data pipeline: clips in batches through the vision trunk, rows out in parts.

Blocks of clips are read, turned into a few hundred numbers each and dropped again, so memory holds a handful of clips
and one part of rows, however large the catalogue is. Products whose row is up to date are not read at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import InputError
from trainables.data.audio import MEL_BANDS
from trainables.data.dataset import Dataset
from trainables.recommender.features.extract import Extractor, Footage, text_and_price
from trainables.recommender.features.table import read_sources, source_of, write_rows

ROWS_A_PART = 4096
CLIPS_A_BATCH = 8
CLIP_COLUMNS = [
    "clip_id",
    "product_id",
    "num_frames",
    "height",
    "width",
    "fps",
    "frames",
    "style_code",
    "audio_logmel",
    "source_seconds",
]
FROM_CLIP = ("frames", "audio", "style", "motion", "duration")


@dataclass(frozen=True)
class FeatureReport:
    """What a build did."""

    products: int
    """In the catalogue."""
    made: int
    """Rows made."""
    current: int
    """Rows that were up to date."""
    without_clip: int
    """Of those made, products of which only text and price could be said."""


def build_features(
    dataset: Dataset, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> FeatureReport:
    """Make the rows that are missing or out of date; Ray must be up (`cluster.runtime.ray_session`).

    A build that was broken off goes on where it stopped. Raises InputError for a dataset without products.
    """
    if not dataset.has("products"):
        raise InputError(f"dataset {dataset.name!r} has no products; import photos, clips or a catalogue first")
    wanted = ["product_id", "title", "description", "price"]
    products = {row["product_id"]: row for row in dataset.arrow("products", wanted).to_pylist()}
    clip_of: dict[str, str] = {}
    if dataset.has("clips"):
        clips = dataset.arrow("clips", ["product_id", "clip_id"])
        for product_id, clip_id in zip(clips["product_id"].to_pylist(), clips["clip_id"].to_pylist(), strict=True):
            clip_of.setdefault(product_id, clip_id)
    built = read_sources(dataset)
    source = {product_id: source_of(row, clip_of.get(product_id)) for product_id, row in products.items()}
    due = [product_id for product_id in products if built.get(product_id) != source[product_id]]
    shown = {clip_of[product_id] for product_id in due if product_id in clip_of}

    waiting: list[dict[str, Any]] = []
    on_progress(0, len(due))
    for done, row in enumerate(_rows(dataset, due, clip_of, shown), 1):
        text = text_and_price(*(products[row["product_id"]][name] for name in wanted[1:]))
        waiting.append({**row, **text, "source": source[row["product_id"]]})
        if len(waiting) == ROWS_A_PART:
            write_rows(dataset, waiting)
            waiting = []
        on_progress(done, len(due))
    if waiting:
        write_rows(dataset, waiting)
    return FeatureReport(len(products), len(due), len(products) - len(due), len(due) - len(shown))


def _rows(dataset: Dataset, due: list[str], clip_of: dict[str, str], shown: set[str]) -> Iterator[dict[str, Any]]:
    """product_id and the clip's modalities of each product that is due, those with a clip first."""
    if shown:
        yield from _stream(dataset, shown)
    for product_id in due:
        if product_id not in clip_of:
            yield {"product_id": product_id}


def _stream(dataset: Dataset, shown: set[str]) -> Iterator[dict[str, Any]]:
    import ray
    import ray.data

    if not ray.is_initialized():
        raise RuntimeError("Ray is not up; build features inside `with ray_session(settings):`")
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    wanted = ray.put(pa.array(sorted(shown), pa.string()))
    with ray.data.DataContext.current(context):
        clips = ray.data.read_parquet(dataset.files("clips"), filesystem=dataset.storage.filesystem)
        due = clips.select_columns(CLIP_COLUMNS).map_batches(
            _kept, batch_size=None, batch_format="pyarrow", zero_copy_batch=True, fn_kwargs={"wanted": wanted}
        )
        rows = due.map_batches(
            _Worker,
            batch_size=CLIPS_A_BATCH,
            batch_format="pyarrow",
            zero_copy_batch=True,
            concurrency=(1, max(1, int(ray.cluster_resources().get("CPU", 1)) - 1)),
        )
        for batch in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in batch.to_pylist():
                yield {name: np.asarray(v, np.float32) if isinstance(v, list) else v for name, v in row.items()}


def _kept(block: pa.Table, *, wanted: Any) -> pa.Table:
    """The clips that are due: one a product."""
    import ray

    return block.filter(
        pc.is_in(block["clip_id"], value_set=ray.get(wanted) if isinstance(wanted, ray.ObjectRef) else wanted)
    )


class _Worker:
    """One actor: its own trunk, batch after batch."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self._extractor = Extractor()

    def __call__(self, batch: pa.Table) -> pa.Table:
        rows = batch.to_pylist()
        made = self._extractor.footage([_footage(row) for row in rows]) if rows else []
        columns = {"product_id": pa.array([row["product_id"] for row in rows], pa.string())}
        for name in FROM_CLIP:
            values = [None if row[name] is None else row[name].tolist() for row in made]
            columns[name] = pa.array(values, pa.list_(pa.float32()))
        return pa.table(columns)


def _footage(row: dict[str, Any]) -> Footage:
    frames = np.frombuffer(row["frames"], np.uint8).reshape(row["num_frames"], row["height"], row["width"], 3)
    sound = row["audio_logmel"]
    return Footage(
        frames_THWC=frames,
        fps=row["fps"],
        style_code=np.asarray(row["style_code"], np.float32),
        audio_logmel=None if not sound else np.asarray(sound, np.float32).reshape(-1, MEL_BANDS),
        source_seconds=row["source_seconds"],
    )
