"""The demo's dataset: the sample shop, or real photos standing in for the videos of a real viewing log."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

from cluster.cli.demo.progress import bar, console
from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset


@dataclass(frozen=True)
class DemoShop:
    """A dataset and the raw ids of its viewers (the dataset itself knows pseudonyms only)."""

    dataset: Dataset
    raw_of: dict[str, str]
    """Pseudonym → raw id."""
    statement: str
    """What is real and what is simulated."""


def sample_shop(storage: Storage, pseudonymiser: Pseudonymiser) -> DemoShop:
    """The shop that comes with shopreel: rendered turntable clips, simulated viewers."""
    from trainables.data.importers.sample import import_sample
    from trainables.data.sample import shop

    with bar("clips") as update:
        import_sample(storage, "sample", pseudonymiser, on_progress=lambda at: update(at.done, at.total))
    raw_ids = set(shop.events()["viewer_id"].to_pylist())
    return DemoShop(
        Dataset.open(storage, "sample"),
        {pseudonymiser.of(raw): raw for raw in raw_ids},
        "Sample shop: products rendered by shopreel's own renderer, viewers simulated.",
    )


def real_shop(storage: Storage, pseudonymiser: Pseudonymiser, photos: Path, log: Path, limit: int) -> DemoShop:
    """Photos become clips by camera moves; the log's most-watched videos are dealt to the products."""
    from trainables.data.importers.kuairand import import_kuairand
    from trainables.data.importers.photos import import_photos
    from trainables.data.stand_in import STATEMENT, stand_in

    with bar("photos to clips") as update:
        import_photos(storage, "real", photos, limit=limit, on_progress=lambda at: update(at.done, at.total))
    with bar("rows of the log") as update:
        # Without the earlier histories: their times are made up, and the log alone says enough here.
        import_kuairand(
            storage, "real-log", log, pseudonymiser, history=False, on_progress=lambda rows: update(rows, rows)
        )
    dataset = Dataset.open(storage, "real")
    joined = stand_in(dataset, Dataset.open(storage, "real-log"))
    console.print(f"      [yellow]{STATEMENT}[/]")
    pairs = ", ".join(f"{tag} → {category}" for tag, category in list(joined.category_of.items())[:6])
    console.print(f"      [dim]{len(joined.video_of_product)} videos, categories mapped by rank: {pairs} …[/]")
    return DemoShop(dataset, {pseudonymiser.of(raw): raw for raw in _raw_viewers(log)}, STATEMENT)


def _raw_viewers(log: Path) -> set[str]:
    raw_ids: set[str] = set()
    for path in sorted(log.glob("log_*.csv.gz")):
        with gzip.open(path, "rt", newline="") as source:
            raw_ids.update(row["user_id"] for row in csv.DictReader(source))
    return raw_ids
