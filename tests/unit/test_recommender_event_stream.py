"""Counting a block of a log: what is unknown is counted apart, impossible times are bounded."""

from __future__ import annotations

import pyarrow as pa

from trainables.recommender.features.event_stream import NEVER, count_table


def test_unknown_products_and_impossible_times_are_bounded() -> None:
    events = pa.table(
        {
            "product_id": ["a", "a", "zzz", "a", None],
            "event_type": ["watch", "watch", "watch", "stare", "click"],
            "at": pa.array([5, 9, 7, 8, 1], pa.timestamp("ms", tz="UTC")),
            "watch_seconds": pa.array([-3.0, 1e12, 1.0, 2.0, None], pa.float32()),
        }
    )
    counts = count_table(events, pa.array(["a", "b"])).to_pydict()
    assert counts["row"] == [0, -1]
    assert counts["watch"] == [2, 0]
    assert counts["seconds"] == [86_400, 0]
    assert counts["last"][0] == 9
    assert counts["impression"] == [0, 3]  # in the last row: how many are unknown
    assert counts["last"][1] == NEVER
