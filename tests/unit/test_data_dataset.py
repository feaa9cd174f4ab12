"""Tables are appended to without duplicates, read by key, summarised, and shown as a contact sheet."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from cluster.errors import InputError
from cluster.storage import Storage
from trainables.data import schemas
from trainables.data.contact_sheet import contact_sheet
from trainables.data.dataset import Dataset, TableWriter
from trainables.data.style_code import style_code
from trainables.data.summary import dataset_sheet, summarise


def products(*names: str) -> pa.Table:
    return pa.Table.from_pylist([{"product_id": name, "title": f"The {name}", "category": "hats"} for name in names])


def clips(*names: str, value: int = 90) -> pa.Table:
    frames = np.full((6, 32, 32, 3), value, np.uint8)
    rows = [
        {
            "clip_id": f"clip-{name}",
            "product_id": name,
            "num_frames": 6,
            "height": 32,
            "width": 32,
            "fps": 12.0,
            "frames": frames.tobytes(),
            "style_code": style_code(frames).tolist(),
            "source": name,
            "source_sha256": name,
        }
        for name in names
    ]
    return pa.Table.from_pylist(rows, schema=schemas.CLIPS)


def test_a_writer_tells_new_known_and_repeated_rows(storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    dataset.append("products", products("a", "b"), "test")
    writer = TableWriter(dataset, "products", "test")
    added = writer.add(products("b", "c", "c"))
    assert (added.new, added.known, added.duplicates) == (1, 1, 1)
    added = writer.add(products("c", "d"))
    assert (added.new, added.known, added.duplicates) == (1, 0, 1)
    assert "d" in writer
    assert "e" not in writer
    assert sorted(dataset.keys("products")) == ["a", "b", "c", "d"]


def test_a_repeated_write_is_the_same_file(storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    for _ in range(2):
        dataset.write_part("clips", clips("a", "b"), "test")
    assert dataset.count("clips") == 2


def test_a_product_shows_the_clip_that_was_imported_last(storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    for number in range(12):
        dataset.append("clips", clips("a").set_column(0, schemas.CLIPS.field("clip_id"), [[f"take {number}"]]), "test")
        dataset.append("clips", clips(f"other {number}"), "test")
        dataset.record_import({"source": "test", "added": {}})
        assert dataset.clip("a").clip_id == f"take {number}"
        table = dataset.arrow("clips", ["product_id", "clip_id"]).to_pylist()
        assert next(row["clip_id"] for row in table if row["product_id"] == "a") == f"take {number}"
    assert dataset.clip("other 0").clip_id == "clip-other 0"
    assert dataset.count("clips") == 24


def test_bad_rows_are_refused_by_source_and_column(storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    with pytest.raises(InputError, match=r"list\.csv: column 'category' is missing"):
        dataset.append("products", products("a").drop_columns(["category"]), "list.csv")
    with pytest.raises(InputError, match=r"list\.csv: column 'price' is not float"):
        dataset.append("products", products("a").append_column("price", [["dear"]]), "list.csv")


def test_a_summary_has_counts_ranges_and_units(storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    dataset.append("products", products("a", "b").append_column("price", [[2.5, 7.0]]), "test")
    dataset.append("clips", clips("a"), "test")
    events = [
        {"event_id": str(i), "viewer_id": f"v{i % 2}", "product_id": "a", "event_type": kind, "at": 1700000000000 + i}
        for i, kind in enumerate(["click", "watch", "watch"])
    ]
    table = pa.Table.from_pylist(events)
    at = table["at"].cast(pa.timestamp("ms", tz="UTC"))
    dataset.append("events", table.set_column(4, "at", at), "test")
    summary = summarise(dataset)
    price = next(c for c in summary["tables"]["products"]["columns"] if c["name"] == "price")
    assert (price["min"], price["max"], price["nulls"], price["unique"]) == (2.5, 7.0, 0, 2)
    assert "currency" in price["note"]
    assert summary["tables"]["clips"]["rows"] == 1
    assert summary["events"]["by_type"] == {"watch": 2, "click": 1}
    assert (summary["events"]["viewers"], summary["events"]["products_seen"]) == (2, 1)
    assert summary["events"]["first"].startswith("2023-11-14T22:13:20")


def test_a_dataset_is_shown_as_a_contact_sheet(storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    assert dataset_sheet(dataset) is None
    dataset.append("products", products(*"abc"), "test")
    dataset.append("clips", clips(*"abc", value=10), "test")
    pixels = np.asarray(dataset_sheet(dataset))
    # Three rows of six dark frames, 112 pixels each, on a light ground.
    assert 0.9 < (pixels == 10).all(-1).sum() / (18 * 112 * 112) < 1.1


def test_a_contact_sheet_places_pictures_and_labels() -> None:
    red, tall = np.full((64, 64, 3), (255, 0, 0), np.uint8), np.full((128, 64, 3), (0, 0, 255), np.uint8)
    labels = ["first", "a label far too long for its place " * 4]
    sheet = np.asarray(contact_sheet([[red, tall], [red]], labels, ["x", "y"]))
    assert (sheet == (255, 0, 0)).all(-1).sum() > 2 * 100 * 100  # enlarged to the cell
    assert (sheet == (0, 0, 255)).all(-1).sum() == 128 * 64  # keeps its shape
    assert (sheet[:, :60].min(-1) < 120).any()  # ink of the labels
    wide = np.zeros((50, 100, 3), np.uint8)
    assert contact_sheet([[wide]] * 5).height - contact_sheet([[wide]]).height < 4 * 60  # no room left below pictures
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([[]])
