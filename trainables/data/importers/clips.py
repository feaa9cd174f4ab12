"""Clips of a shop's products: each is trimmed, cropped, scaled and resampled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster.storage import Storage
from trainables.data.importers.catalogue import CLIP_SUFFIXES
from trainables.data.importers.media import OnProgress, import_folder
from trainables.data.importers.report import ImportReport
from trainables.data.pipeline import ClipConverter
from trainables.data.video import DecodeOptions


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
    """Every video below `folder` (or in the index CSV) becomes a clip of its product.

    `columns` maps path, id, category, title, description, price, creator, tags to the index's columns; without an index
    the category is the folder's name and the id the file's stem. `limit` takes so many files, evenly spread.
    Ray must be up. Raises InputError for a folder without videos or a bad index; a bad video is set aside.
    """
    return import_folder(
        storage,
        name,
        Path(folder),
        "clips",
        CLIP_SUFFIXES,
        ClipConverter(options or DecodeOptions()),
        index=index,
        columns=columns,
        limit=limit,
        on_progress=on_progress,
    )
