"""Real photos and a real viewing log in one dataset: each product stands in for one video of the log.

No open data set has both pixels and viewers. The most-watched videos of the log are dealt to the products of the shop,
one video a product, and the log's events are kept with the product in the video's place. Everything is deterministic:

1. videos are ordered by how often they were watched (ties by id), as many as there are products;
2. the categories of the log (KuaiRand: a video's first tag), by total watches, are mapped in turn to the categories of
   the shop, by size: the first to the first, and round again;
3. in order, each video takes the next free product of its category, and where none is left of the category with the
   most free products.

So viewing is real, pictures are real, and that a viewer watched *this garment* is not.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import InputError
from trainables.data.dataset import Dataset

STATEMENT = (
    "Each product stands in for one video of the viewing log: the pictures are real and the viewing is real, "
    "but the viewers watched other videos, not these products."
)


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What was joined."""

    video_of_product: dict[str, str]
    category_of: dict[str, str]
    """Category of the log → category of the shop."""
    events: int
    """Events added to the shop's dataset."""


def stand_in(shop: Dataset, log: Dataset) -> StandIn:
    """Add the log's events to `shop`, each video replaced by its product; doing it twice adds nothing."""
    shown = set(shop.clip_products())
    products = [row for row in shop.arrow("products").to_pylist() if row["product_id"] in shown]
    events = log.arrow("events")
    if not products:
        raise InputError(f"dataset {shop.name!r} has no products with clips; import photos or clips into it first")
    videos = _most_watched(events, len(products))
    tag_of = {
        row["product_id"]: row["category"] for row in log.arrow("products", ["product_id", "category"]).to_pylist()
    }
    category_of = _map_categories(videos, tag_of, products)
    product_of = _deal(list(videos), tag_of, category_of, products)

    kept = events.filter(pc.is_in(events["product_id"], pa.array(list(product_of))))
    renamed = pa.array([product_of[video] for video in kept["product_id"].to_pylist()], pa.string())
    kept = kept.set_column(kept.column_names.index("product_id"), "product_id", renamed)
    with shop.imported_into():
        added = shop.append("events", kept, f"viewing log {log.name!r}")
        entry = {"kind": "stand-in", "source": log.name, "added": {"events": added}, "statement": STATEMENT}
        shop.record_import(entry, stand_in={"statement": STATEMENT, "category_of": category_of})
    return StandIn(video_of_product={p: v for v, p in product_of.items()}, category_of=category_of, events=added)


def _most_watched(events: pa.Table, count: int) -> dict[str, int]:
    """Video → watches, most watched first."""
    watched = events.filter(pc.equal(events["event_type"], "watch"))
    if watched.num_rows == 0:
        raise InputError("the viewing log has no watch events; a log of impressions alone says nothing about taste")
    counts = watched.group_by("product_id").aggregate([("event_id", "count")]).to_pylist()
    ordered = sorted(counts, key=lambda row: (-row["event_id_count"], row["product_id"]))
    return {row["product_id"]: row["event_id_count"] for row in ordered[:count]}


def _map_categories(videos: dict[str, int], tag_of: dict[str, str], products: list[dict]) -> dict[str, str]:
    watches: Counter[str] = Counter()
    for video, count in videos.items():
        watches[tag_of[video]] += count
    sizes = Counter(product["category"] for product in products)
    tags = sorted(watches, key=lambda tag: (-watches[tag], tag))
    categories = sorted(sizes, key=lambda category: (-sizes[category], category))
    return {tag: categories[i % len(categories)] for i, tag in enumerate(tags)}


def _deal(
    videos: list[str], tag_of: dict[str, str], category_of: dict[str, str], products: list[dict]
) -> dict[str, str]:
    free: dict[str, deque[str]] = {}
    for product in sorted(products, key=lambda row: row["product_id"]):
        free.setdefault(product["category"], deque()).append(product["product_id"])
    product_of = {}
    for video in videos:
        category = category_of[tag_of[video]]
        if not free[category]:
            category = max(sorted(free), key=lambda name: len(free[name]))
        product_of[video] = free[category].popleft()
    return product_of
