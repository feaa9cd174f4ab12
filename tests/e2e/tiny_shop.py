"""A shop of 12 products, 64² clips and a viewing log, small enough for a test; and the models to serve it.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data import schemas
from trainables.data.dataset import Dataset
from trainables.data.style_code import style_code

NAME = "tiny"
PRODUCTS = tuple(f"p{number:02d}" for number in range(12))
VIEWERS = tuple(f"viewer-{number}" for number in range(40))
"""Raw ids; the dataset has their pseudonyms."""
FRAMES, SIDE, FPS = 12, 64, 12.0
START = datetime(2026, 1, 1, tzinfo=UTC)


def make_dataset(storage: Storage, pseudonymiser: Pseudonymiser) -> Dataset:
    """Products, clips and events; the same every time."""
    dataset = Dataset.create(storage, NAME)
    dataset.append("products", pa.Table.from_pylist([_product(i) for i in range(len(PRODUCTS))]), "tiny")
    dataset.append("clips", pa.Table.from_pylist([_clip(i) for i in range(len(PRODUCTS))], schemas.CLIPS), "tiny")
    dataset.append("events", pa.Table.from_pylist(_events(pseudonymiser), schemas.EVENTS), "tiny")
    return dataset


def clip_frames(number: int) -> np.ndarray:
    """A coloured disc that circles on a soft ground, uint8 (T, H, W, 3)."""
    angle_T = 2 * np.pi * np.arange(FRAMES) / FRAMES
    y_HW, x_HW = np.mgrid[:SIDE, :SIDE]
    hue = 2 * np.pi * number / len(PRODUCTS)
    colour = 128 + 110 * np.cos(hue + np.array([0.0, 2.1, 4.2]))
    frames = []
    for angle in angle_T:
        inside = np.hypot(x_HW - 32 - 12 * np.cos(angle), y_HW - 32 - 12 * np.sin(angle)) < 10 + number % 4
        ground = np.repeat((150 + y_HW)[..., None], 3, -1)
        frames.append(np.where(inside[..., None], colour, ground))
    return np.stack(frames).round().clip(0, 255).astype(np.uint8)


def _product(i: int) -> dict:
    category = ("mug", "lamp", "bag")[i % 3]
    return {"product_id": PRODUCTS[i], "title": f"{category.title()} {i}", "category": category, "price": 10.0 + i}


def _clip(i: int) -> dict:
    frames = clip_frames(i)
    return {
        "clip_id": f"clip-{i}",
        "product_id": PRODUCTS[i],
        "num_frames": FRAMES,
        "height": SIDE,
        "width": SIDE,
        "fps": FPS,
        "frames": frames.tobytes(),
        "style_code": style_code(frames).tolist(),
        "source": f"{i}.mp4",
        "source_sha256": f"{i:064d}",
    }


def _events(pseudonymiser: Pseudonymiser) -> list[dict]:
    """Every viewer watches four products of one category to the end, and skips one of another."""
    rows = []
    for v, viewer in enumerate(VIEWERS):
        liked = [i for i in range(len(PRODUCTS)) if i % 3 == v % 3]
        for n, i in enumerate([*liked[v % 2 :], (v + 1) % len(PRODUCTS)]):
            rows.append({
                "event_id": f"e{v}-{n}",
                "viewer_id": pseudonymiser.of(viewer),
                "product_id": PRODUCTS[i],
                "event_type": "watch",
                "at": START + timedelta(days=v, minutes=n),
                "watch_seconds": 1.0 if i in liked else 0.1,
                "duration_seconds": 1.0,
            })  # fmt: skip
    return rows
