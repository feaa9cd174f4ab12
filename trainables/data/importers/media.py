"""What photos and clips share: from a folder, with or without an index, to clips of products in a dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from cluster.errors import InputError
from cluster.storage import Storage
from trainables.data.dataset import Dataset, check_name
from trainables.data.importers.catalogue import read_catalogue
from trainables.data.importers.report import ImportReport, keep_set_aside
from trainables.data.pipeline import Converter, Progress, import_media

OnProgress = Callable[[Progress], None]


def import_folder(
    storage: Storage,
    name: str,
    folder: Path,
    kind: str,
    suffixes: frozenset[str],
    converter: Converter,
    *,
    index: Path | None,
    columns: Mapping[str, str | None] | None,
    limit: int | None,
    on_progress: OnProgress | None,
) -> ImportReport:
    """Import every file with one of `suffixes` below `folder`, or those of the index; needs Ray to be up."""
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
