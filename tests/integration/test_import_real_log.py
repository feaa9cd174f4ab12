"""The real viewing log, counted against an independent reading of the same files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.kuairand import import_kuairand

PSEUDONYMS = Pseudonymiser(bytes(32))


def test_the_real_log(storage: Storage, shared_data: Path) -> None:
    folder = shared_data / "kuairand"
    report = import_kuairand(storage, "log", folder, PSEUDONYMS, history=False)
    rows = pd.concat(pd.read_csv(path) for path in sorted(folder.glob("log_*.csv.gz")))
    distinct = rows.drop_duplicates()
    assert report.duplicates == len(rows) - len(distinct) > 0
    types = Dataset.open(storage, "log").arrow("events", ["event_type"])["event_type"].value_counts().to_pylist()
    counts = {entry["values"]: entry["counts"] for entry in types}
    assert counts == {
        "impression": len(distinct),
        "click": int(distinct["is_click"].sum()),
        "watch": int((distinct["play_time_ms"] > 0).sum()),
        "like": int(distinct["is_like"].sum()),
    }
