"""`shopreel import` and `shopreel data` on the command line: what they print, and how they fail."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image
from typer.testing import CliRunner

from cluster.cli import data, importing
from cluster.errors import InputError, NotFoundError
from cluster.storage import Storage
from trainables.data.dataset import Dataset


def run(app, *arguments: str):
    """Like the command, except that an error is raised instead of printed."""
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


@pytest.fixture
def shop(storage: Storage) -> Dataset:
    dataset = Dataset.create(storage, "shop")
    dataset.append("products", pa.Table.from_pylist([{"product_id": "p1", "title": "Hat", "category": "hats"}]), "test")
    return dataset


def test_an_event_log_is_imported_and_summed_up(shop: Dataset, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(
        "customer,product,did,at\nann,p1,basket,2024-05-01\nann,p9,basket,2024-05-01\nann,p1,wave,2024-05-01\n"
    )
    arguments = ["events", str(log), "--as", "shop", "--viewer-column", "customer", "--type-column", "did"]
    result = run(importing.app, *arguments, "--map-type", "basket=like")
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "unknown product (first: 'p9'; import its photo or clip, then this log again)" in said
    assert "unknown event type (first: 'wave'; say what it is with --map-type)" in said
    again = run(importing.app, *arguments, "--map-type", "basket=like")
    assert "1 already known" in again.output
    assert shop.count("events") == 1


def test_nothing_usable_is_an_error(shop: Dataset, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("viewer,product,type,at\nann,p9,click,2024-05-01\n")
    with pytest.raises(InputError, match=r"nothing of .*log\.csv could be imported"):
        run(importing.app, "events", str(log), "--as", "shop")


def test_mistakes_are_told_before_ray_starts(shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_ray(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("cluster.runtime.ray_session", no_ray)
    with pytest.raises(InputError, match=rf"{tmp_path} holds no photos"):
        run(importing.app, "photos", str(tmp_path), "--as", "x")
    with pytest.raises(InputError, match="none is not a folder"):
        run(importing.app, "clips", str(tmp_path / "none"), "--as", "x")
    with pytest.raises(InputError, match="move is 'zoom'"):
        run(importing.app, "photos", str(tmp_path), "--as", "x", "--move", "zoom")
    (tmp_path / "hat.jpg").touch()
    with pytest.raises(InputError, match="'my shop' is not a name"):
        run(importing.app, "photos", str(tmp_path), "--as", "my shop")
    with pytest.raises(InputError, match="columns were named but there is no index; add --index"):
        run(importing.app, "photos", str(tmp_path), "--as", "x", "--price-column", "cost")
    with pytest.raises(InputError, match="has no '='"):
        run(importing.app, "events", "log.csv", "--as", "shop", "--map-type", "basket")


def test_a_name_is_required() -> None:
    result = CliRunner().invoke(importing.app, ["photos", "folder"])
    assert result.exit_code == 2
    assert "--as" in result.output


def test_datasets_are_listed_and_shown(shop: Dataset) -> None:
    listed = json.loads(run(data.app, "list", "--json").output)
    assert listed == [{"name": "shop", "products": 1, "clips": 0, "events": 0, "viewers": 0, "imports": []}]
    assert "shop" in run(data.app, "list").output
    shown = json.loads(run(data.app, "show", "shop", "--json").output)
    assert shown["tables"]["products"]["rows"] == 1
    assert "products: 1 rows" in run(data.app, "show", "shop").output
    with pytest.raises(NotFoundError, match="'nothing' does not exist"):
        run(data.app, "show", "nothing")


def test_where_the_contact_sheet_is_keeps_its_brackets(
    shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.data.summary.dataset_sheet", lambda dataset: Image.new("RGB", (8, 8)))
    sheet = tmp_path / "[old].png"
    assert f"contact sheet: {sheet}\n" in run(data.app, "show", "shop", "--sheet", str(sheet)).output
    assert sheet.exists()


def test_a_dataset_that_may_only_be_read_is_shown_without_its_sheet(
    shop: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainables.data.summary.dataset_sheet", lambda dataset: Image.new("RGB", (8, 8)))
    Path(shop.storage.path(shop.folder("contact-sheet.png"))).mkdir()
    shown = run(data.app, "show", "shop", "--json")
    assert shown.exit_code == 0
    assert "contact_sheet" not in json.loads(shown.stdout)
    assert "no contact sheet: cannot write" in shown.stderr
    assert shown.stderr.endswith("or say where it goes with --sheet\n")
    assert "products: 1 rows" in run(data.app, "show", "shop").output
    sheet = tmp_path / "sheet.png"
    assert json.loads(run(data.app, "show", "shop", "--json", "--sheet", str(sheet)).stdout)["contact_sheet"] == str(
        sheet
    )
