"""Which files belong to which product: a folder of media, with or without an index CSV."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from cluster.errors import InputError
from trainables.data.importers.report import SetAside
from trainables.data.importers.tables import find_columns, numbers, read_csv

PHOTO_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif",
    ".mpo", ".ppm",
})  # fmt: skip
CLIP_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".flv", ".ogv", ".wmv", ".3gp",
    ".gif",
})  # fmt: skip

SHOWN_OF_A_PATH = 100
"""Letters of a path that is too long to be one, such as a picture's bytes in a cell."""

USUAL_COLUMNS: dict[str, Sequence[str]] = {
    "path": ("path", "file", "filename", "file_name", "image", "image_path", "photo", "clip", "clip_path", "video"),
    "id": ("product_id", "id", "sku", "item_id", "product", "item", "asin"),
    "category": ("category", "kind", "class", "label", "product_type", "department"),
    "title": ("title", "name", "product_name", "product_title", "label_text"),
    "description": ("description", "text", "details"),
    "price": ("price", "list_price", "amount"),
    "creator": ("creator", "brand", "seller", "author", "vendor", "designer"),
    "tags": ("tags", "keywords"),
}


@dataclass(frozen=True)
class Item:
    """One product and the files that show it."""

    product: dict[str, Any]
    """A row of the `products` table."""
    files: tuple[tuple[str, str], ...]
    """(name for people, absolute path) of each file."""
    stated: tuple[str, ...] = ()
    """Columns of `products` that an index fills in; the others are read off the file's name, or empty."""


@dataclass(frozen=True)
class Catalogue:
    """What a folder holds."""

    items: list[Item]
    duplicates: int
    """Index rows that repeat an earlier one."""
    set_aside: list[SetAside]
    notes: list[str]


def read_catalogue(
    folder: Path,
    suffixes: frozenset[str],
    *,
    what: str,
    index: Path | None = None,
    columns: Mapping[str, str | None] | None = None,
    limit: int | None = None,
) -> Catalogue:
    """Products of a folder. Without an index: category = folder name, id and title = file stem.

    Of files whose stem is not the only one of its kind in the folder or the index, the id is the path without ending.
    `limit` keeps so many files of the folder, or rows of the index, evenly spread; it changes no id.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the folder that holds the {what}")
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}; give 1 or more")
    if columns and any(columns.values()) and index is None:
        raise InputError("columns were named but there is no index; add --index CSV")
    if index is not None:
        return _from_index(folder, _locate_index(folder, index), columns or {}, limit)
    return _from_folder(folder, suffixes, what, limit)


def _from_folder(folder: Path, suffixes: frozenset[str], what: str, limit: int | None) -> Catalogue:
    found, others, closed, visited = [], 0, [], {folder.resolve()}
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [*folders]:
            here = Path(parent, name).resolve()
            if here in visited:  # a link to where the search has been, or is
                folders.remove(name)
            visited.add(here)
        for name in sorted(names):
            if Path(name).suffix.lower() in suffixes and not name.startswith("."):
                found.append(Path(parent, name))
            else:
                others += 1
    if not found and not closed:
        known = ", ".join(sorted(suffixes))
        raise InputError(f"{folder} holds no {what} ({known}); give a folder with some")
    stems = Counter(path.stem for path in found)
    items, set_aside = [], []
    for error in closed:
        inside = Path(error.filename).relative_to(folder).as_posix()
        set_aside.append(SetAside(inside, f"the folder cannot be read: {error.strerror}"))
    for path in _spread(found, limit):
        relative = path.relative_to(folder)
        if unreadable := _not_utf8(relative.as_posix()):
            set_aside.append(SetAside(unreadable, "the name is not UTF-8; rename it"))
            continue
        product_id = _id_of_file(relative.as_posix(), stems)
        category = composed(path.parent.name if path.parent != folder else folder.resolve().name)
        items.append(Item(_product(product_id, category), ((relative.as_posix(), str(path.resolve())),)))
    notes = [f"{others} other files in {folder} were left out"] if others else []
    if (folder / "index.csv").exists():
        notes.append(f"{folder} holds an index.csv; add --index index.csv to take ids, categories and titles from it")
    return Catalogue(_merge_products(items), 0, set_aside, notes)


def _from_index(folder: Path, index: Path, named: Mapping[str, str | None], limit: int | None) -> Catalogue:
    table = read_csv(index)
    columns = find_columns(index, list(table.columns), named, USUAL_COLUMNS, required=("path",))
    unique = table.drop_duplicates()
    if "price" in columns:
        prices = numbers(index, columns["price"], table[columns["price"]], first_row=1, minimum=0)
    stems = Counter(PurePosixPath(_relative(text)).stem for text in unique[columns["path"]].str.strip().unique())
    items, set_aside = [], []
    for position in _spread(list(unique.index), limit):
        row = unique.loc[position]
        value = {field: row[column].strip() or None for field, column in columns.items()}
        if not value["path"]:
            set_aside.append(SetAside(f"{index.name}, row {position + 1}", "the path is empty"))
            continue
        try:
            path = _locate(folder, index.parent, value["path"])
        except OSError as error:  # such as a name longer than any file's
            shown = value["path"][:SHOWN_OF_A_PATH]
            set_aside.append(SetAside(shown, f"cannot be read: {error.strerror} ({index.name}, row {position + 1})"))
            continue
        if path is None:
            set_aside.append(SetAside(value["path"], f"does not exist ({index.name}, row {position + 1})"))
            continue
        category = value.get("category") or (composed(path.parent.name) if "category" not in columns else None)
        tags = value.get("tags")
        product = _product(
            value.get("id") or _id_of_file(_relative(value["path"]), stems),
            category,
            title=value.get("title"),
            description=value.get("description"),
            price=float(prices[position]) if "price" in columns and prices[position] == prices[position] else None,
            creator=value.get("creator"),
            tags=[tag.strip() for tag in tags.replace("|", ",").split(",") if tag.strip()] if tags else None,
        )
        stated = tuple(field for field in value if field not in ("path", "id") and value[field])
        items.append(Item(product, ((value["path"], str(path)),), stated))
    if not items and not set_aside:
        raise InputError(f"{index} has no rows; it needs one for each file")
    return Catalogue(_merge_products(items), len(table) - len(unique), set_aside, [])


def _id_of_file(relative: str, stems: Mapping[str, int]) -> str:
    """The file's stem; where several files of the catalogue have it, with their folders: those are other products."""
    path = PurePosixPath(relative)
    return composed(path.stem if stems[path.stem] == 1 else path.with_suffix("").as_posix())


def composed(name: str) -> str:
    """A name as logs and people write it: Macs store ü as u and two dots (Unicode NFD)."""
    return unicodedata.normalize("NFC", name)


def _not_utf8(name: str) -> str | None:
    """The name with its unreadable bytes replaced, or None for a name that is text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode(errors="replace").decode()
    return None


def _merge_products(items: list[Item]) -> list[Item]:
    """One item a product: the first row's facts, every row's files."""
    merged: dict[str, Item] = {}
    for item in items:
        key = item.product["product_id"]
        known = merged.get(key)
        if known is not None:
            item = replace(known, files=tuple(dict.fromkeys((*known.files, *item.files))))
        merged[key] = item
    return list(merged.values())


def _product(product_id: str, category: str | None, *, title: str | None = None, **facts: Any) -> dict[str, Any]:
    name = PurePosixPath(product_id).name
    readable = name.replace("_", " ").replace("-", " ").strip()
    if title is None:
        # A name made by a machine tells a shopper nothing: say what kind of thing it is.
        machine_made = sum(c.isdigit() for c in name) > len(name) / 4
        title = f"{category or 'product'} {name[-6:]}" if machine_made else readable
    return {"product_id": product_id, "title": title, "category": category or "unknown", **facts}


def _spread(values: list[Any], limit: int | None) -> list[Any]:
    """Evenly spaced `limit` of the values: of a sorted catalogue some of every kind."""
    if limit is None or limit >= len(values):
        return values
    return [values[i * len(values) // limit] for i in range(limit)]


def _locate_index(folder: Path, index: Path) -> Path:
    for candidate in (index, folder / index):
        if candidate.is_file():
            return candidate
    raise InputError(f"the index {index} does not exist, neither here nor in {folder}")


def _relative(text: str) -> str:
    """A path of an index, below its folder and with forward slashes."""
    return text.lstrip("/\\").replace("\\", "/")


def _locate(folder: Path, index_folder: Path, text: str) -> Path | None:
    for form in dict.fromkeys((text, composed(text), unicodedata.normalize("NFD", text))):
        relative = _relative(form)
        for candidate in (folder / form, folder / relative, index_folder / relative):
            if candidate.is_file():
                return candidate.resolve()
    return None
