"""Photos of a shop's products: each becomes a clip by a camera move."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster.storage import Storage
from trainables.data.camera import CameraOptions
from trainables.data.importers.catalogue import PHOTO_SUFFIXES
from trainables.data.importers.media import OnProgress, import_folder
from trainables.data.importers.report import ImportReport
from trainables.data.pipeline import PhotoConverter


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

    `columns` maps path, id, category, title, description, price, creator, tags to the index's columns; without an index
    the category is the folder's name and the id the file's stem. `limit` takes so many files, evenly spread.
    Ray must be up. Raises InputError for a folder without photos or a bad index; a bad photo is set aside.
    """
    return import_folder(
        storage,
        name,
        Path(folder),
        "photos",
        PHOTO_SUFFIXES,
        PhotoConverter(options or CameraOptions()),
        index=index,
        columns=columns,
        limit=limit,
        on_progress=on_progress,
    )
