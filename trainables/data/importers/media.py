"""Photos and clips of a shop's own products."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from cluster.errors import InputError
from cluster.storage import Storage
from trainables.data.camera import CameraOptions
from trainables.data.dataset import Dataset, check_name
from trainables.data.importers.catalogue import CLIP_SUFFIXES, PHOTO_SUFFIXES, read_catalogue
from trainables.data.importers.report import ImportReport, keep_set_aside
from trainables.data.pipeline import ClipConverter, Converter, PhotoConverter, Progress, import_media
from trainables.data.video import DecodeOptions

OnProgress = Callable[[Progress], None]


def import_photos(
    storage: Storage,
    name: str,
    folder: Path,
    *,
    index: Path | None = None,
    columns: Mapping[str, str | None] | None = None,
    limit: int | None = None,
    options: CameraOptions | None = None,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Every photo below `folder` (or in the index CSV) becomes a clip of its product by a camera move.

    `columns` maps path, id, category, title, description, price, creator, tags to the index's columns.
    Raises InputError for a folder without photos or a bad index; a bad photo is set aside.
    """
    converter = PhotoConverter(options or CameraOptions())
    return _import(storage, name, Path(folder), "photos", PHOTO_SUFFIXES, converter, index, columns, limit, on_progress)


def import_clips(
    storage: Storage,
    name: str,
    folder: Path,
    *,
    index: Path | None = None,
    columns: Mapping[str, str | None] | None = None,
    limit: int | None = None,
    options: DecodeOptions | None = None,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Every video below `folder` (or in the index CSV) becomes a clip of its product; see `import_photos`."""
    converter = ClipConverter(options or DecodeOptions())
    return _import(storage, name, Path(folder), "clips", CLIP_SUFFIXES, converter, index, columns, limit, on_progress)


def _import(
    storage: Storage,
    name: str,
    folder: Path,
    kind: str,
    suffixes: frozenset[str],
    converter: Converter,
    index: Path | None,
    columns: Mapping[str, str | None] | None,
    limit: int | None,
    on_progress: OnProgress | None,
) -> ImportReport:
    check_name(name)
    if columns and any(columns.values()) and index is None:
        raise InputError("columns were named but there is no index; add --index CSV")
    catalogue = read_catalogue(folder, suffixes, what=kind, index=index, columns=columns, limit=limit)
    dataset = Dataset.create(storage, name)
    report = ImportReport(str(folder), kind, set_aside=list(catalogue.set_aside), notes=list(catalogue.notes))
    report.duplicates = catalogue.duplicates
    import_media(dataset, catalogue.items, converter, report, on_progress)
    kept = [{"source": str(folder), "item": item.path, "reason": item.reason} for item in report.set_aside]
    keep_set_aside(dataset, pd.DataFrame(kept))
    report.record(dataset)
    return report
