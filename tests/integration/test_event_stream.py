"""A log streamed by Ray Data is counted as it would be in one piece, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.storage import Storage
from tests.tiny_shop import make_tiny_shop
from trainables.data.schemas import EVENT_TYPES
from trainables.recommender.features.event_stream import COLUMNS, count_events, dataset_events

pytestmark = pytest.mark.usefixtures("ray_local")


def test_counts_do_not_depend_on_blocks(storage: Storage) -> None:
    import ray.data

    dataset = make_tiny_shop(storage, viewers=20)
    events = dataset.arrow("events", COLUMNS)
    ids = [f"p{i:02d}" for i in range(12)]
    whole = count_events(dataset_events(dataset), ids)
    seen: list[int] = []
    pieces = [events.slice(first, 7) for first in range(0, events.num_rows, 7)]
    parts = count_events(ray.data.from_arrow(pieces), ids, seen.append)
    assert whole.total == parts.total == seen[-1] == events.num_rows
    assert (whole.events_nT == parts.events_nT).all()
    assert (whole.last_ms_n == parts.last_ms_n).all()
    np.testing.assert_allclose(whole.watch_seconds_n, parts.watch_seconds_n)
    product, kind = events["product_id"].to_pylist(), events["event_type"].to_pylist()
    for row, product_id in enumerate(ids):
        for column, event_type in enumerate(EVENT_TYPES):
            expected = sum(p == product_id and t == event_type for p, t in zip(product, kind, strict=True))
            assert whole.events_nT[row, column] == expected
