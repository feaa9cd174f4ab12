"""Counts of what happened to every product, by a streaming Ray Data pipeline over a log of any length.

Each block of events becomes one small block of counts where it lies; the driver adds those up as they arrive. Memory
holds the blocks in flight and one row of counts a product, never the log. Counts are sums: the result does not depend
on the order or the size of blocks.

Dims: n products, E events of a block, T event types.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.data.dataset import Dataset
from trainables.data.schemas import EVENT_TYPES
from trainables.recommender.feedback import MAX_WATCH_SECONDS, WATCH, numbers, rows_in

if TYPE_CHECKING:
    import ray.data

COLUMNS = ["product_id", "event_type", "at", "watch_seconds"]
NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class EventCounts:
    """What a log says of every product, in the order of the product ids given."""

    events_nT: np.ndarray
    """int64, by type in the order of schemas.EVENT_TYPES."""
    watch_seconds_n: np.ndarray
    """float64; times below 0 count as 0, above a day as a day."""
    last_ms_n: np.ndarray
    """int64, time of the last event; `NEVER` without one."""
    unknown: int
    """Events of products or types that are not known; they are not counted above."""

    @property
    def total(self) -> int:
        return int(self.events_nT.sum()) + self.unknown


def dataset_events(dataset: Dataset) -> ray.data.Dataset:
    """A dataset's log as a stream; Ray must be up."""
    import ray.data

    events = ray.data.read_parquet(dataset.files("events"), filesystem=dataset.storage.filesystem)
    return events.select_columns(COLUMNS)


def count_events(
    events: ray.data.Dataset, product_ids: Sequence[str], on_progress: Callable[[int], None] = lambda events: None
) -> EventCounts:
    """Counts of a stream with the columns of `COLUMNS`; `on_progress` is told the events counted so far."""
    import ray
    import ray.data

    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    n = len(product_ids)
    total = EventCounts(np.zeros((n, len(EVENT_TYPES)), np.int64), np.zeros(n), np.full(n, NEVER), 0)
    known = ray.put(pa.array(list(product_ids), pa.string()))
    with ray.data.DataContext.current(context):
        counted = events.map_batches(
            _count_block, batch_size=None, batch_format="pyarrow", zero_copy_batch=True, fn_kwargs={"known": known}
        )
        for block in counted.iter_batches(batch_size=None, batch_format="pyarrow"):
            total = _added(total, block)
            on_progress(total.total)
    return total


def _count_block(block: pa.Table, *, known: object) -> pa.Table:
    import ray

    return count_table(block, ray.get(known) if isinstance(known, ray.ObjectRef) else known)


def count_table(block: pa.Table, product_ids: pa.Array) -> pa.Table:
    """Counts of one block: columns `row` (of `product_ids`, −1 for unknown), `seconds`, `last`, and one an event type.

    The last row, −1, holds how many events were unknown in the column of the first type.
    """
    product_E = pc.fill_null(pc.index_in(block["product_id"], value_set=product_ids), -1).to_numpy()
    type_E = rows_in(block["event_type"], EVENT_TYPES)
    at_E, watch_E = block["at"].cast(pa.int64()).to_numpy(), numbers(block["watch_seconds"])
    watch_E = np.clip(np.nan_to_num(watch_E, nan=0, posinf=MAX_WATCH_SECONDS), 0, MAX_WATCH_SECONDS) * (type_E == WATCH)
    good_E = (product_E >= 0) & (type_E >= 0)
    rows, own_E = np.unique(product_E[good_E], return_inverse=True)
    counts = np.zeros((len(rows), len(EVENT_TYPES)), np.int64)
    np.add.at(counts, (own_E, type_E[good_E]), 1)
    last = np.full(len(rows), NEVER)
    np.maximum.at(last, own_E, at_E[good_E])
    watched = np.bincount(own_E, watch_E[good_E], minlength=len(rows))
    unknown = int((~good_E).sum())
    columns = {"row": np.append(rows, -1), "seconds": np.append(watched, 0.0), "last": np.append(last, NEVER)}
    columns |= {kind: np.append(counts[:, i], unknown if i == 0 else 0) for i, kind in enumerate(EVENT_TYPES)}
    return pa.table(columns)


def _added(total: EventCounts, block: pa.Table) -> EventCounts:
    """A block's counts added in place; `block` may be several joined."""
    row = block["row"].to_numpy()
    known, rows = row >= 0, row[row >= 0]
    for i, kind in enumerate(EVENT_TYPES):
        np.add.at(total.events_nT[:, i], rows, block[kind].to_numpy()[known])
    np.add.at(total.watch_seconds_n, rows, block["seconds"].to_numpy()[known])
    np.maximum.at(total.last_ms_n, rows, block["last"].to_numpy()[known])
    unknown = int(block[EVENT_TYPES[0]].to_numpy()[~known].sum())
    return EventCounts(total.events_nT, total.watch_seconds_n, total.last_ms_n, total.unknown + unknown)
