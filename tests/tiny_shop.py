"""A dataset small enough to train on in seconds: moving discs on plain grounds, and a handful of viewers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.style_code import style_code

DAY_MS = 24 * 3600 * 1000
FIRST_MS = 1_700_000_000_000


def make_tiny_shop(storage: Storage, name: str = "tiny", *, products: int = 12, viewers: int = 30) -> Dataset:
    """`products` clips of 8 frames at 64×64 and a viewing log in which a viewer keeps to even or to odd products."""
    dataset = Dataset.create(storage, name)
    ids = [f"p{number:02d}" for number in range(products)]
    columns = {"product_id": ids, "title": [f"disc {i}" for i in ids], "category": ["disc"] * products}
    dataset.append("products", pa.table(columns), "tiny shop")
    dataset.append("clips", pa.Table.from_pylist([_clip(i, number) for number, i in enumerate(ids)]), "tiny shop")
    if viewers:
        dataset.append("events", pa.Table.from_pylist(_events(ids, viewers)), "tiny shop")
    return dataset


def _clip(product_id: str, number: int) -> dict:
    rng = np.random.default_rng(number)
    ground, disc = rng.integers(40, 220, 3), rng.integers(0, 255, 3)
    y, x = np.mgrid[:64, :64]
    frames = np.empty((8, 64, 64, 3), np.uint8)
    for frame in range(8):
        inside = (x - 22 - 3 * frame) ** 2 + (y - 32) ** 2 < (8 + number % 5 * 2) ** 2
        frames[frame] = np.where(inside[..., None], disc, ground)
    return {
        "clip_id": f"clip-{product_id}",
        "product_id": product_id,
        "num_frames": 8,
        "height": 64,
        "width": 64,
        "fps": 8.0,
        "frames": frames.tobytes(),
        "style_code": style_code(frames).tolist(),
        "source": f"{product_id}.mp4",
        "source_sha256": product_id,
    }


def _events(ids: list[str], viewers: int) -> list[dict]:
    rng = np.random.default_rng(0)
    rows = []
    for viewer in range(viewers):
        for n, product_id in enumerate(rng.permutation(ids[viewer % 2 :: 2])):
            rows.append(
                {
                    "event_id": f"e{viewer}-{n}",
                    "viewer_id": f"v{viewer}",
                    "product_id": str(product_id),
                    "event_type": "watch",
                    "at": FIRST_MS + int(rng.integers(0, 30 * DAY_MS)),
                    "watch_seconds": 6.0,
                    "duration_seconds": 6.0,
                }
            )
    return rows
