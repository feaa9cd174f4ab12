"""What the demo asks of the endpoint, and the pictures it makes of the answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.cli.demo.client import DemoClient
from cluster.cli.demo.pictures import write_sheet
from cluster.cli.demo.viewers import DemoViewer

PRODUCTS_SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What came back."""

    statuses: dict[str, int]
    """`METHOD route status` → count."""
    feed_latency_ms: list[float]
    looks: dict[str, str]
    """Raw viewer id → preset nearest to the viewer's look."""
    slate_changed_after_click: bool
    sheet: Path
    clips: int


def ask(base_url: str, viewers: list[DemoViewer], folder: Path) -> Answers:
    """A feed a viewer, the same products for all three, and a click that must change the next slate."""
    client = DemoClient(base_url, folder / "clips")
    feeds = {viewer.raw_id: client.feed(viewer.raw_id) for viewer in viewers}
    for viewer in viewers:
        best = feeds[viewer.raw_id]["items"][0]
        client.save(best["clip"]["url"], f"feed-{viewer.raw_id}-{best['product']['id']}")

    rows = []
    for product in _products_of_different_kinds(list(feeds.values())):
        clips = [client.save(product["clip_url"], f"{product['id']}-source")]
        clips += [client.render(product["id"], v.weights, f"{product['id']}-{v.raw_id}") for v in viewers]
        rows.append((product["title"], clips))
    sheet = folder / "contact-sheet.png"
    write_sheet(sheet, rows, ["source", *(viewer.label for viewer in viewers)])

    viewer = viewers[0].raw_id
    before = client.recommend(viewer)
    client.click(viewer, before[-1])
    return Answers(
        slate_changed_after_click=client.recommend(viewer) != before,
        statuses=dict(sorted(client.statuses.items())),
        feed_latency_ms=[round(feed["latency_ms"]["total"], 1) for feed in feeds.values()],
        looks={raw_id: feed["look"]["style"] for raw_id, feed in feeds.items()},
        sheet=sheet,
        clips=len(list(client.clips.glob("*.mp4"))),
    )


def _products_of_different_kinds(feeds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best product of each category over all feeds, categories as they come."""
    by_category: dict[str, dict[str, Any]] = {}
    for rank in range(max(len(feed["items"]) for feed in feeds)):
        for feed in feeds:
            if rank < len(feed["items"]):
                product = feed["items"][rank]["product"]
                by_category.setdefault(product["category"], product)
    return list(by_category.values())[:PRODUCTS_SHOWN]
