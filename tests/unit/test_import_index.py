"""An index CSV: columns by usual names or flags, errors that name file, column and row, missing files set aside."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from cluster.errors import InputError
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.catalogue import CLIP_SUFFIXES, PHOTO_SUFFIXES, Catalogue, Item, read_catalogue
from trainables.data.importers.photos import import_photos
from trainables.data.importers.report import ImportReport, SetAside
from trainables.data.schemas import PRODUCTS


def catalogue(folder: Path, text: str, **options) -> Catalogue:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (folder / name).write_bytes(b"x")
    (folder / "index.csv").write_text(text)
    return read_catalogue(folder, PHOTO_SUFFIXES, what="photos", index=Path("index.csv"), **options)


def test_usual_column_names_are_found_in_any_case(tmp_path: Path) -> None:
    items = catalogue(tmp_path, "SKU,Image,Name,Kind,Price,Brand,Tags\ns1,a.jpg,Red hat,hats,9.5,Acme,red|wool\n").items
    assert items[0].product == {
        "product_id": "s1",
        "title": "Red hat",
        "category": "hats",
        "description": None,
        "price": 9.5,
        "creator": "Acme",
        "tags": ["red", "wool"],
    }
    assert items[0].files == (("a.jpg", str((tmp_path / "a.jpg").resolve())),)


def test_columns_can_be_named(tmp_path: Path) -> None:
    text = "code,where,what\nx1,/a.jpg,hats\n"
    items = catalogue(tmp_path, text, columns={"path": "where", "id": "code", "category": "what"}).items
    assert (items[0].product["product_id"], items[0].product["category"]) == ("x1", "hats")


def test_names_from_a_mac_are_those_people_write(tmp_path: Path) -> None:
    composed, stored = (unicodedata.normalize(form, "Hüte/Größe.jpg") for form in ("NFC", "NFD"))
    assert composed != stored
    (tmp_path / stored).parent.mkdir()
    (tmp_path / stored).write_bytes(b"x")
    found = read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos").items
    found += catalogue(tmp_path, f"path\n{composed}\n").items
    for item in found:
        assert (item.product["product_id"], item.product["category"]) == ("Größe", "Hüte")
        assert Path(item.files[0][1]) == tmp_path / stored
    assert len(found) == 2


def test_a_byte_order_mark_and_spaces_do_no_harm(tmp_path: Path) -> None:
    assert catalogue(tmp_path, "\ufeffpath, title\na.jpg, Hat\n").items[0].product["title"] == "Hat"


def test_rows_that_end_in_a_comma_more_than_the_header_are_not_shifted(tmp_path: Path) -> None:
    found = catalogue(tmp_path, "id,path,title,price\ns1,a.jpg,Hat,3,\ns2,b.jpg,Cap,4,\n").items
    assert [(item.product["product_id"], item.product["title"], item.product["price"]) for item in found] == [
        ("s1", "Hat", 3),
        ("s2", "Cap", 4),
    ]


def test_several_files_of_one_product_and_repeated_rows(tmp_path: Path) -> None:
    found = catalogue(tmp_path, "id,path\np,a.jpg\np,b.jpg\np,a.jpg\nq,c.jpg\n")
    assert [(item.product["product_id"], len(item.files)) for item in found.items] == [("p", 2), ("q", 1)]
    assert found.duplicates == 1


def test_a_listed_file_that_does_not_exist_is_set_aside(tmp_path: Path) -> None:
    found = catalogue(tmp_path, "path\na.jpg\nnone.jpg\n")
    assert len(found.items) == 1
    assert found.set_aside[0].path == "none.jpg"
    assert "does not exist (index.csv, row 2)" in found.set_aside[0].reason


def test_a_cell_that_is_too_long_for_a_path_is_set_aside(tmp_path: Path) -> None:
    found = catalogue(tmp_path, f"path\n{'iVBOR' * 2000}\na.jpg\n")
    assert [item.product["product_id"] for item in found.items] == ["a"]
    assert len(found.set_aside[0].path) == 100
    assert "name too long (index.csv, row 1)" in found.set_aside[0].reason


@pytest.mark.parametrize("limit", [None, 1])
def test_without_ids_equal_names_in_two_folders_are_two_products(tmp_path: Path, limit: int | None) -> None:
    for name in ("hats", "shoes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"x")
    found = catalogue(tmp_path, "path\nhats/1.jpg\nshoes\\1.jpg\na.jpg\n", limit=limit)
    titles = {item.product["product_id"]: item.product["title"] for item in found.items}
    every = {"hats/1": "hats 1", "shoes/1": "shoes 1", "a": "a"}
    assert titles == (every if limit is None else {"hats/1": "hats 1"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "title\nHat\n", r"index\.csv: no column for path; name it with --path-column", id="missing column"
        ),
        pytest.param("path,price\na.jpg,5\nb.jpg,cheap\n", r"'price', row 2: 'cheap' is not a number", id="wrong type"),
        pytest.param("path,price\na.jpg,-1\n", r"'price', row 1: '-1' is not a number of at least 0", id="negative"),
        pytest.param("", r"index\.csv is empty", id="empty file"),
        pytest.param("path,price\na.jpg,3,\nb.jpg,12,50\n", r"row 2 has more cells than the header", id="bare comma"),
        pytest.param("path;price\na.jpg;3\n", r"has: path;price; save it with commas", id="semicolons"),
        pytest.param("path;price\na.jpg;3,5\n", r"row 1 .*; save it with commas", id="semicolons, decimal commas"),
        pytest.param("path\n", r"index\.csv has no rows", id="header only"),
        pytest.param('path,title\n"a.jpg,oops\n', r"index\.csv is not a readable CSV", id="open quote"),
    ],
)
def test_a_bad_index_is_refused_by_file_column_and_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        catalogue(tmp_path, text)


def test_a_named_column_that_is_missing_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"column 'cost' \(--price-column\) is missing; the file has: path, price"):
        catalogue(tmp_path, "path,price\na.jpg,5\n", columns={"price": "cost"})


def test_an_index_in_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    for encoding in ("utf-16", "cp1252"):
        (tmp_path / "index.csv").write_bytes("path,title\na.jpg,Hüte\n".encode(encoding))
        with pytest.raises(InputError, match=r"index\.csv is not UTF-8 text \(.*; save it as CSV in UTF-8"):
            read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos", index=Path("index.csv"))


def test_an_empty_folder_and_a_missing_one_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{tmp_path} holds no photos"):
        read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos")
    with pytest.raises(InputError, match=r"none is not a folder"):
        read_catalogue(tmp_path / "none", CLIP_SUFFIXES, what="clips")
    with pytest.raises(InputError, match=r"the index list\.csv does not exist"):
        read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos", index=Path("list.csv"))


def test_a_limit_is_spread_over_the_catalogue(tmp_path: Path) -> None:
    for category in ("hats", "shoes"):
        (tmp_path / category).mkdir()
        for number in range(10):
            (tmp_path / category / f"{category}{number}.png").write_bytes(b"x")
    found = read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos", limit=4)
    assert [item.product["category"] for item in found.items] == ["hats", "hats", "shoes", "shoes"]
    with pytest.raises(InputError, match="limit is 0"):
        read_catalogue(tmp_path, PHOTO_SUFFIXES, what="photos", limit=0)


def test_the_real_turntable_index_works_by_default(shared_data: Path) -> None:
    folder = shared_data / "turntables"
    found = read_catalogue(folder, CLIP_SUFFIXES, what="clips", index=Path("index.csv"))
    assert len(found.items) == 66
    assert found.set_aside == []
    assert found.items[0].product["title"] == "large clamp"
    assert found.items[0].product["category"] == "tools"


@pytest.fixture
def imported(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ImportReport]:
    """Imports an index without converting a file: all but empty ones are taken for good."""

    def store(dataset: Dataset, items: list[Item], _converter: object, report: ImportReport, _told: object) -> None:
        rows = [{field.name: item.product.get(field.name) for field in PRODUCTS} for item in items]
        dataset.append("products", pa.Table.from_pylist(rows, schema=PRODUCTS), "test")
        bad = [name for item in items for name, path in item.files if not Path(path).read_bytes()]
        report.set_aside += [SetAside(name, f"{name} is empty") for name in bad]

    monkeypatch.setattr("trainables.data.importers.media.import_media", store)

    def run(text: str) -> ImportReport:
        (tmp_path / "index.csv").write_text(text)
        return import_photos(storage, "shop", tmp_path, index=Path("index.csv"))

    return run


def test_what_an_index_says_anew_of_known_products_is_told_and_not_taken(
    imported: Callable[[str], ImportReport], storage: Storage, tmp_path: Path
) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert imported("id,path,title,price,tags\np,a.jpg,Hat,9.95,red|wool\nq,b.jpg,Cap,5,\n").notes == []
    assert imported("id,path,price,tags\np,a.jpg,9.95,red|wool\nq,b.jpg,5,\n").notes == []
    [note] = imported("id,path,title,price\np,a.jpg,Hat,8.95\nq,b.jpg,Red cap,6\n").notes
    assert "another price of 2, title of 1: import it with another --as" in note
    assert Dataset.open(storage, "shop").arrow("products")["title"].to_pylist() == ["Hat", "Cap"]


def test_a_file_that_was_mended_leaves_the_list_of_those_set_aside(
    imported: Callable[[str], ImportReport], storage: Storage, tmp_path: Path
) -> None:
    for name, data in (("a.jpg", b""), ("b.jpg", b"")):
        (tmp_path / name).write_bytes(data)
    imported("path\na.jpg\nb.jpg\nc.jpg\n")
    (tmp_path / "b.jpg").write_bytes(b"x")
    imported("path\nb.jpg\nc.jpg\n")  # a.jpg is not tried again
    rows = storage.read_bytes("datasets/shop/set_aside.csv").decode().splitlines()[1:]
    assert [row.split(",")[1] for row in rows] == ["a.jpg", "c.jpg"]
