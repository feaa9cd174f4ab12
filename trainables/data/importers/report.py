"""What an import did: rows added, already known, dropped as duplicates, set aside, each counted."""

from __future__ import annotations

import io
from collections.abc import Container
from dataclasses import dataclass, field

import pandas as pd

from trainables.data.dataset import Dataset

REASONS_KEPT = 50
SET_ASIDE_COLUMNS = [
    "source", "item", "reason", "viewer_id", "product_id", "event_type", "at", "watch_seconds", "duration_seconds",
    "position", "style", "event_id",
]  # fmt: skip


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
        dataset.record_import(
            {
                "source": self.source,
                "kind": self.kind,
                "added": self.added,
                "known": self.known,
                "duplicates": self.duplicates,
                "set_aside": self.set_aside_count,
                "reasons": [[item.path, item.reason, item.count] for item in self.set_aside[:REASONS_KEPT]],
                "notes": self.notes,
            }
        )


def keep_set_aside(
    dataset: Dataset,
    rows: pd.DataFrame,
    stored_events: Container[str] = frozenset(),
    tried: Container[tuple[str, str]] = frozenset(),
) -> None:
    """Add rows (any of `SET_ASIDE_COLUMNS`) to `set_aside.csv` beside the dataset, so that nothing is lost.

    Repeated rows are kept once. Earlier rows leave the file: of events that have been stored since (`stored_events`)
    and of files (source and item) that this import `tried` again.
    """
    path = dataset.folder("set_aside.csv")
    fresh = rows.reindex(columns=SET_ASIDE_COLUMNS).astype("string").fillna("")
    before = pd.DataFrame(columns=SET_ASIDE_COLUMNS, dtype="string")
    if dataset.storage.exists(path):
        before = pd.read_csv(io.BytesIO(dataset.storage.read_bytes(path)), dtype="string", keep_default_na=False)
    left = [place not in tried for place in zip(before["source"], before["item"], strict=True)]
    everything = pd.concat([before[left], fresh]).drop_duplicates(ignore_index=True)
    everything = everything[[not event or event not in stored_events for event in everything["event_id"]]]
    if len(everything) or len(before):
        dataset.storage.write_bytes(path, everything.to_csv(index=False).encode())
