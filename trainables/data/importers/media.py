"""What photos and clips share: from a folder, with or without an index, to clips of products in a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cluster.storage import Storage
from trainables.data.dataset import Dataset, check_name
from trainables.data.importers.catalogue import Item, read_catalogue
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
    catalogue = read_catalogue(folder, suffixes, what=kind, index=index, columns=columns, limit=limit)
    dataset = Dataset.create(storage, name)
    report = ImportReport(str(folder), kind, set_aside=list(catalogue.set_aside), notes=list(catalogue.notes))
    report.duplicates = catalogue.duplicates
    with dataset.imported_into():
        if note := _left_as_they_were(dataset, catalogue.items):
            report.notes.insert(0, note)
        import_media(dataset, catalogue.items, converter, report, on_progress)
        kept = [{"source": str(folder), "item": item.path, "reason": item.reason} for item in report.set_aside]
        tried = {item.path for item in report.set_aside} | {name for item in catalogue.items for name, _ in item.files}
        keep_set_aside(dataset, pd.DataFrame(kept), tried={(str(folder), name) for name in tried})
        report.record(dataset)
    return report


def _left_as_they_were(dataset: Dataset, items: Sequence[Item]) -> str | None:
    """A note on products that are stored with other facts than the index states now: an import changes none."""
    stated = {item.product["product_id"]: item for item in items if item.stated}
    if not stated or not dataset.has("products"):
        return None
    columns = {column for item in stated.values() for column in item.stated}
    others: Counter[str] = Counter()
    for row in dataset.arrow("products", ["product_id", *sorted(columns)]).to_pylist():
        if item := stated.get(row["product_id"]):
            others.update(column for column in item.stated if not _equal(row[column], item.product[column]))
    if not others:
        return None
    what = ", ".join(f"{column} of {count:,}" for column, count in others.most_common())
    return f"known products stay as they came in; the index has another {what}: import it with another --as"


def _equal(stored: Any, stated: Any) -> bool:
    if isinstance(stated, float) and stored is not None:
        return bool(np.float32(stated) == np.float32(stored))
    return stored == stated
