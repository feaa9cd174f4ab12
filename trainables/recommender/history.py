"""A viewer's history as the recommender reads it, whoever kept it: a dataset's log or the live event store."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ["viewer_id", "product_id", "event_type", "at", "watch_seconds", "duration_seconds", "style"]


@dataclass(frozen=True)
class HistoryEvent:
    """One thing one viewer did."""

    product_id: str
    event_type: str
    """One of schemas.EVENT_TYPES."""
    at_ms: int
    """Milliseconds since 1970, UTC."""
    watch_seconds: float | None = None
    duration_seconds: float | None = None
    style: str | None = None
    """Named look in which the clip was shown; None: as it came."""


def histories(events: pa.Table, viewers: Collection[str] | None = None) -> dict[str, list[HistoryEvent]]:
    """Histories of some viewers (None: of all) out of an `events` table, oldest event first."""
    if viewers is not None:
        events = events.filter(pc.is_in(events["viewer_id"], value_set=pa.array(list(viewers), pa.string())))
    events = events.select(COLUMNS).sort_by([("viewer_id", "ascending"), ("at", "ascending")])
    columns = {name: events[name].to_pylist() for name in COLUMNS if name != "at"}
    columns["at"] = events["at"].cast(pa.int64()).to_pylist()
    found: dict[str, list[HistoryEvent]] = {}
    for viewer, *values in zip(*(columns[name] for name in COLUMNS), strict=True):
        found.setdefault(viewer, []).append(HistoryEvent(*values))
    return found
