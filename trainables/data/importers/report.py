"""What an import did: rows added, already known, dropped as duplicates, set aside, each counted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.data.dataset import Dataset

REASONS_KEPT = 50
SET_ASIDE_COLUMNS = (
    "source", "item", "reason", "viewer_id", "product_id", "event_type", "at", "watch_seconds", "duration_seconds",
    "position", "style", "event_id",
)  # fmt: skip


@dataclass(frozen=True)
class SetAside:
    """A file or a group of rows that was not imported."""

    path: str
    reason: str
    count: int = 1


@dataclass
class ImportReport:
    """Counts of one import."""

    source: str
    kind: str
    added: dict[str, int] = field(default_factory=dict)
    """New rows by table."""
    known: int = 0
    """Clips or events that were in the dataset already."""
    duplicates: int = 0
    """Rows or files that came more than once in this import."""
    set_aside: list[SetAside] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def set_aside_count(self) -> int:
        return sum(item.count for item in self.set_aside)

    @property
    def usable(self) -> bool:
        """True where something was added or known already."""
        return self.known > 0 or any(self.added.values())

    def add(self, table: str, count: int) -> None:
        self.added[table] = self.added.get(table, 0) + count

    def record(self, dataset: Dataset) -> None:
        """Write the counts and the first reasons to the dataset's manifest."""
        dataset.record_import({
            "source": self.source,
            "kind": self.kind,
            "added": self.added,
            "known": self.known,
            "duplicates": self.duplicates,
            "set_aside": self.set_aside_count,
            "reasons": [[item.path, item.reason, item.count] for item in self.set_aside[:REASONS_KEPT]],
            "notes": self.notes,
        })


def keep_set_aside(dataset: Dataset, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows (any of `SET_ASIDE_COLUMNS`) to `set_aside.csv` beside the dataset; repeated rows are kept once."""
    path = dataset.folder("set_aside.csv")
    lines: dict[tuple[str, ...], None] = {}
    if dataset.storage.exists(path):
        reader = csv.reader(io.StringIO(dataset.storage.read_bytes(path).decode()))
        lines = dict.fromkeys(tuple(line) for line in list(reader)[1:])
    before = len(lines)
    for row in rows:
        lines[tuple("" if row.get(name) is None else str(row[name]) for name in SET_ASIDE_COLUMNS)] = None
    if len(lines) == before:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SET_ASIDE_COLUMNS)
    writer.writerows(lines)
    dataset.storage.write_bytes(path, text.getvalue().encode())
