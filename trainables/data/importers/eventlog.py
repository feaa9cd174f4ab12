"""What all viewing logs share: event ids, pseudonyms, storing in order.

A frame of events has the columns of the `events` table, with `at_ms` (epoch milliseconds) in the place of `at`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa

from cluster.pseudonym import Pseudonymiser
from trainables.data import schemas
from trainables.data.dataset import TableWriter
from trainables.data.importers.report import ImportReport


def pseudonyms(raw_ids: pd.Series, pseudonymiser: Pseudonymiser) -> pd.Series:
    """Pseudonym of each raw viewer id; every distinct id is hashed once."""
    codes, distinct = pd.factorize(raw_ids.astype(str))
    hashed = np.array([pseudonymiser.of(str(raw)) for raw in distinct], dtype=object)
    return pd.Series(hashed[codes], index=raw_ids.index, dtype="str")


def keys_of(*columns: pd.Series | str) -> list[str]:
    """24 hexadecimal digits (96 bits) of SHA-256 over the columns, row by row.

    Give pseudonyms, never raw viewer ids: a key over few raw ids could be guessed back.
    """
    texts = [column if isinstance(column, str) else column.astype("string").fillna("").tolist() for column in columns]
    length = next(len(text) for text in texts if not isinstance(text, str))
    rows = zip(*([text] * length if isinstance(text, str) else text for text in texts), strict=True)
    return [hashlib.sha256("\x1f".join(row).encode()).hexdigest()[:24] for row in rows]


def store(writer: TableWriter, events: pd.DataFrame, report: ImportReport) -> None:
    """Append a frame of events and count what became of it."""
    if events.empty:
        return
    columns = {}
    for field in schemas.EVENTS:
        if field.name == "at":
            columns["at"] = pa.array(events["at_ms"].to_numpy(np.int64), pa.timestamp("ms", tz="UTC"))
        elif field.name in events:
            columns[field.name] = pa.Array.from_pandas(events[field.name], type=field.type)
    result = writer.add(pa.table(columns))
    report.add("events", result.new)
    report.known += result.known
    report.duplicates += result.duplicates
