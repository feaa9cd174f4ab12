"""Products stand in for the videos of a log: deterministic, one to one, by category."""

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import InputError
from cluster.storage import Storage
from tests.unit.test_storage import clip_rows, products
from trainables.data.dataset import Dataset
from trainables.data.stand_in import stand_in


def watches(*videos: str) -> pa.Table:
    n = len(videos)
    return pa.table(
        {
            "event_id": [f"e{i}" for i in range(n)],
            "viewer_id": [f"v{i % 3}" for i in range(n)],
            "product_id": list(videos),
            "event_type": ["watch"] * n,
            "at": pa.array(np.arange(n, dtype=np.int64) * 1000, pa.timestamp("ms", tz="UTC")),
        }
    )


@pytest.fixture
def log(storage: Storage) -> Dataset:
    dataset = Dataset.create(storage, "log")
    rows = {"product_id": ["x", "y", "z", "rare"], "title": ["t"] * 4, "category": ["tag-1", "tag-2", "tag-1", "tag-2"]}
    dataset.append("products", pa.table(rows), "test")
    dataset.append("events", watches("x", "x", "x", "y", "y", "z", "z", "rare"), "test")
    return dataset


def shop_of(storage: Storage, name: str, categories: dict[str, str]) -> Dataset:
    shop = Dataset.create(storage, name)
    table = products(*categories)
    shop.append("products", table.set_column(2, "category", pa.array(list(categories.values()))), "test")
    shop.append("clips", clip_rows(*categories), "test")
    return shop


def test_most_watched_videos_are_dealt_by_category(storage: Storage, log: Dataset) -> None:
    shop = shop_of(storage, "shop", {"a": "dress", "b": "dress", "c": "hat"})
    joined = stand_in(shop, log)
    assert joined.category_of == {"tag-1": "dress", "tag-2": "hat"}
    assert joined.video_of_product == {"a": "x", "b": "z", "c": "y"}
    assert joined.events == shop.count("events") == 7  # the rare video has no product
    assert "stands in" in shop.manifest["stand_in"]["statement"]


def test_a_full_category_overflows_to_the_freest(storage: Storage, log: Dataset) -> None:
    shop = shop_of(storage, "shop", {"a": "dress", "b": "dress", "c": "dress", "d": "hat"})
    assert stand_in(shop, log).video_of_product == {"a": "x", "d": "y", "b": "z", "c": "rare"}


def test_joining_twice_adds_nothing(storage: Storage, log: Dataset) -> None:
    shop = shop_of(storage, "shop", {"a": "dress"})
    assert stand_in(shop, log).events == 3
    assert stand_in(shop, log).events == 0


def test_a_log_without_watches_is_refused(storage: Storage) -> None:
    shop = shop_of(storage, "shop", {"a": "dress"})
    log = Dataset.create(storage, "silent")
    table = watches("x")
    log.append("events", table.set_column(3, "event_type", pa.array(["impression"])), "test")
    with pytest.raises(InputError, match="no watch events"):
        stand_in(shop, log)
