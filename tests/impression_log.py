"""A small log of impressions with known causes, for the ranker's tests."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from tests.recommender_log import DAY_MS, START_MS, events_table, products_table
from trainables.data.schemas import conform
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.ranker import Shown
from trainables.recommender.train import TrainingData

SURFACES = ("tab-0", "tab-1")
TINY_RANKER = RankerConfig(
    least_impressions=500, most_rounds=40, leaf_impressions=20, learning_rate=0.1, threads=1, networks=1,
    network_epochs=2,
)  # fmt: skip
"""Trains in seconds."""


def impressions_log(viewers: int = 120, days: int = 6, a_day: int = 6, seed: int = 0) -> TrainingData:
    """40 products; every third is good, on `tab-1` more is clicked, and viewers of even number click more.

    Who clicks watches the whole of 10 or 30 seconds, who does not watches 1 s.
    """
    rng = np.random.default_rng(seed)
    rows, request = [], 0
    for viewer in range(viewers):
        for day in range(days):
            for place in range(a_day):
                product, surface = int(rng.integers(40)), int(rng.integers(2))
                seconds = 10.0 if product % 2 else 30.0
                logit = -1.5 + 2.0 * (product % 3 == 0) + 1.0 * surface + 1.0 * (viewer % 2 == 0)
                clicked = rng.random() < 1 / (1 + np.exp(-logit))
                shown = {
                    "viewer_id": f"v{viewer:03d}",
                    "product_id": f"p{product:02d}",
                    "at": START_MS + day * DAY_MS + place * 60_000 + viewer * 1000,
                    "duration_seconds": seconds,
                    "request_id": f"r{request}",
                    "surface": SURFACES[surface],
                }
                request += 1
                rows.append({**shown, "event_type": "impression"})
                rows.append({**shown, "event_type": "watch", "watch_seconds": seconds if clicked else 1.0})
                if clicked:
                    rows.append({**shown, "event_type": "click"})
    ids = [f"p{product:02d}" for product in range(40)]
    attributes = [[("video_type", "NORMAL" if i % 5 else "AD"), ("width", str(400 + i))] for i in range(40)]
    products = products_table(
        ids,
        [f"tag-{i % 4}" for i in range(40)],
        creator=[f"c{i % 7}" for i in range(40)],
        attributes=pa.array(attributes, pa.map_(pa.string(), pa.string())),
    )
    known = pa.table(
        {
            "viewer_id": [f"v{viewer:03d}" for viewer in range(viewers)],
            "attributes": pa.array(
                [[("level", str(viewer % 5))] for viewer in range(viewers)], pa.map_(pa.string(), pa.string())
            ),
        }
    )
    return TrainingData(events_table(rows), products, {}, conform(known, "viewers", "test"))


def as_shown(shown: pa.Table) -> Shown:
    """Events of impressions as rows to be scored."""
    return Shown(
        viewer_ids=shown["viewer_id"].combine_chunks(),
        product_ids=shown["product_id"].combine_chunks(),
        at_ms=shown["at"].cast(pa.int64()).to_numpy(),
        surfaces=shown["surface"].combine_chunks(),
        seconds=shown["duration_seconds"].to_numpy().astype(float),
    )
