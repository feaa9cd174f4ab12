"""A viewing log of the shop's own: CSV, gzipped CSV or Parquet, one event a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.errors import InputError
from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data.dataset import Dataset, TableWriter
from trainables.data.importers.catalogue import composed
from trainables.data.importers.eventlog import keys_of, pseudonyms, store
from trainables.data.importers.report import ImportReport, SetAside, keep_set_aside
from trainables.data.importers.tables import aligned, bad_cell, filled, find_columns, not_utf8, numbers
from trainables.data.schemas import EVENT_TYPES

ROWS_A_CHUNK = 250_000
EARLIEST, LATEST = pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
"""What lies before the one, or not before the other, is no time of a viewing log: an empty or a broken clock."""
DAY = r"(?:19|20|21)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
"""A date without dashes. As an epoch it would lie in August or September 1970."""
YEAR = r"(?:19|20|21)\d\d(?:\.0*)?"
"""As an epoch it would lie in the first hour of 1970."""
LEAST_EPOCH = 1e8
"""A number below it, as seconds before March 1973, is no epoch where other values of the column are dates."""
MOST_SECONDS, MOST_POSITION = float(np.finfo(np.float32).max), int(np.iinfo(np.int32).max)
"""What the columns of the `events` table hold."""

UNKNOWN_TYPE, UNKNOWN_PRODUCT = "unknown event type", "unknown product"
FIXES = {
    UNKNOWN_TYPE: "; say what it is with --map-type",
    UNKNOWN_PRODUCT: "; import its photo or clip, then this log again",
}
"""What brings rows in that were set aside."""

USUAL_COLUMNS: dict[str, Sequence[str]] = {
    "viewer": ("viewer_id", "viewer", "user_id", "user", "visitor_id", "visitorid", "customer_id", "userid"),
    "product": ("product_id", "product", "item_id", "item", "itemid", "sku", "video_id", "asin"),
    "type": ("event_type", "type", "event", "action", "behavior", "behaviour"),
    "time": ("at", "time", "timestamp", "ts", "time_ms", "datetime", "event_time", "created_at", "date"),
    "watch": ("watch_seconds", "play_seconds", "watch_time", "watched_seconds", "dwell_seconds"),
    "duration": ("duration_seconds", "duration", "video_duration"),
    "position": ("position", "slot", "rank"),
    "style": ("style", "look"),
    "request": ("request_id", "impression_id", "slate_id"),
    "surface": ("surface", "placement", "page", "tab"),
    "id": ("event_id",),
}
USUAL_TYPES = {
    "view": "impression", "exposure": "impression", "show": "impression", "shown": "impression", "play": "watch",
    "favorite": "like", "favourite": "like", "buy": "purchase", "order": "purchase", "transaction": "purchase",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EventColumns:
    """How a foreign log is read."""

    named: Mapping[str, str | None] = field(default_factory=dict)
    """Field (viewer, product, type, time, watch, …) → column; what is not named is found by usual names."""

    types: Mapping[str, str] = field(default_factory=dict)
    """The log's event type → one of impression, click, watch, like, purchase; usual synonyms are known."""

    default_type: str | None = None
    """Event type of a log without a type column; without it a log with watch seconds holds watches."""

    time_unit: Literal["auto", "iso", "s", "ms", "us", "ns"] = "auto"
    """iso: ISO 8601, also without dashes, UTC where no zone is given or `UTC` follows; else epoch. auto tells them
    apart, epochs by their size; a year alone is neither to it, and a bare number no date."""

    def __post_init__(self) -> None:
        for name in [*self.types.values(), *([self.default_type] if self.default_type else [])]:
            if name not in EVENT_TYPES:
                raise InputError(f"{name!r} is no event type; choose one of {', '.join(EVENT_TYPES)}")
        if self.time_unit not in ("auto", "iso", "s", "ms", "us", "ns"):
            raise InputError(f"time_unit is {self.time_unit!r}; choose auto, iso, s, ms, us or ns")


def import_events(
    storage: Storage,
    name: str,
    file: Path,
    columns: EventColumns | None,
    pseudonymiser: Pseudonymiser,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Append the log's events to an existing dataset; viewer ids are replaced by pseudonyms before anything is kept.

    Events of unknown products or type and those with a negative watch time are set aside (`set_aside.csv` beside the
    dataset). The file is read through once before anything is stored: a missing column or a wrong value raises
    InputError with file, column and first bad row, and leaves the dataset as it was. `on_progress` is told the rows
    stored so far.
    """
    file = Path(file)
    dataset = Dataset.open(storage, name)
    products = dataset.keys("products")
    if not products:
        raise InputError(f"dataset {name!r} has no products; import its photos or clips first, then {file.name}")
    reader = _LogReader(file, columns or EventColumns(), pseudonymiser)
    rows = sum(len(events) for events in reader.chunks())
    if rows == 0:
        raise InputError(f"{file} holds no events; it needs a header line and rows")
    report = ImportReport(str(file), "events", added={"events": 0})
    stored_as = {composed(product): product for product in products}
    with dataset.imported_into():
        writer = TableWriter(dataset, "events", str(file))
        kept, done = [], 0
        for events in reader.chunks():
            unknown_type = ~events["event_type"].isin(EVENT_TYPES)
            unknown = ~events["product_id"].isin(products)
            events.loc[unknown, "product_id"] = [
                stored_as.get(composed(product), product) for product in events.loc[unknown, "product_id"]
            ]
            unknown_product = ~events["product_id"].isin(products) & ~unknown_type
            negative = pd.Series(False, index=events.index)
            if "watch_seconds" in events:
                negative = (events["watch_seconds"] < 0) & ~unknown_type & ~unknown_product
            for mask, column, what in (
                (unknown_type, "event_type", UNKNOWN_TYPE),
                (unknown_product, "product_id", UNKNOWN_PRODUCT),
                (negative, "watch_seconds", "negative watch time"),
            ):
                if mask.any():
                    kept.append(_rows_aside(events[mask], file, what))
                    report.set_aside.append(_group_aside(events[mask], file, column, what))
            store(writer, events[~unknown_type & ~unknown_product & ~negative], report)
            done += len(events)
            if on_progress is not None:
                on_progress(done)
        keep_set_aside(dataset, pd.concat(kept) if kept else pd.DataFrame(), writer)
        report.record(dataset)
    return report


def _rows_aside(events: pd.DataFrame, file: Path, what: str) -> pd.DataFrame:
    at = pd.to_datetime(events["at_ms"], unit="ms", utc=True).dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return events.assign(source=str(file), item="row " + events["row"].astype(str), reason=what, at=at)


def _group_aside(events: pd.DataFrame, file: Path, column: str, what: str) -> SetAside:
    first = events.iloc[0]
    reason = f"{what} (first: {str(first[column])!r}{FIXES.get(what, '')})"
    return SetAside(f"{file.name}, from row {first['row']}", reason, len(events))


class _LogReader:
    """Reads the file in chunks, as often as asked."""

    def __init__(self, file: Path, columns: EventColumns, pseudonymiser: Pseudonymiser) -> None:
        self._file, self._options, self._pseudonymiser = file, columns, pseudonymiser
        self._time_unit = columns.time_unit
        self._columns: dict[str, str] = {}

    def chunks(self) -> Iterator[pd.DataFrame]:
        """Frames of events with their `row` in the file."""
        first_row = 1
        for raw in self._raw_chunks():
            if not self._columns:
                self._columns = self._find_columns(list(raw.columns))
            if len(raw):
                yield self._parse(raw, first_row)
            first_row += len(raw)

    def _raw_chunks(self) -> Iterator[pd.DataFrame]:
        suffixes = "".join(self._file.suffixes).lower()
        try:
            if suffixes.endswith((".parquet", ".pq")):
                with pq.ParquetFile(self._file) as source:
                    names = source.schema_arrow.names
                    if twice := next((name for name in names if names.count(name) > 1), None):
                        raise InputError(f"{self._file}: column {twice!r} is there twice; rename or drop one")
                    for batch in source.iter_batches(ROWS_A_CHUNK):
                        # Whole numbers beside empty cells would become floats: request 7 would be 7.0 in some batches.
                        yield batch.to_pandas(integer_object_nulls=True)
            elif suffixes.endswith((".csv", ".csv.gz")):
                first_row = 1
                for chunk in pd.read_csv(
                    self._file,
                    dtype=str,
                    keep_default_na=False,
                    encoding="utf-8-sig",
                    skipinitialspace=True,
                    chunksize=ROWS_A_CHUNK,
                ):
                    yield aligned(self._file, chunk, first_row=first_row)
                    first_row += len(chunk)
            else:
                raise InputError(f"{self._file} is neither .csv, .csv.gz nor .parquet")
        except FileNotFoundError as error:
            raise InputError(f"{self._file} does not exist") from error
        except pd.errors.EmptyDataError as error:
            raise InputError(f"{self._file} is empty; it needs a header line and rows") from error
        except UnicodeDecodeError as error:
            raise not_utf8(self._file, error) from error
        except (pd.errors.ParserError, pa.ArrowInvalid, OSError, EOFError) as error:
            raise InputError(f"{self._file} cannot be read: {str(error).strip()}") from error

    def _find_columns(self, present: list[str]) -> dict[str, str]:
        found = find_columns(
            self._file, present, self._options.named, USUAL_COLUMNS, required=("viewer", "product", "time")
        )
        if "type" not in found and self._options.default_type is None and "watch" not in found:
            raise InputError(
                f"{self._file}: no column for type; name it with --type-column, or say what all rows are with "
                f"--default-type (the file has: {', '.join(map(str, present))})"
            )
        return found

    def _parse(self, raw: pd.DataFrame, first_row: int) -> pd.DataFrame:
        def text(name: str) -> pd.Series:
            return filled(self._file, self._columns[name], raw[self._columns[name]], first_row=first_row)

        def number(name: str, minimum: float | None, maximum: float) -> pd.Series:
            column = self._columns[name]
            return numbers(self._file, column, raw[column], first_row=first_row, minimum=minimum, maximum=maximum)

        if "type" in self._columns:
            synonyms = USUAL_TYPES | {name.lower(): target for name, target in self._options.types.items()}
            types = text("type").str.lower().replace(synonyms)
        else:
            types = pd.Series(self._options.default_type or "watch", index=raw.index)
        events = pd.DataFrame(
            {
                "row": range(first_row, first_row + len(raw)),
                "viewer_id": pseudonyms(text("viewer"), self._pseudonymiser),
                "product_id": text("product"),
                "event_type": types,
                "at_ms": self._times(raw[self._columns["time"]], first_row),
            }
        )
        if "watch" in self._columns:
            events["watch_seconds"] = number("watch", None, MOST_SECONDS)
        if "duration" in self._columns:
            # 0 is how many logs write "unknown".
            events["duration_seconds"] = number("duration", 0, MOST_SECONDS).replace(0, float("nan"))
        if "position" in self._columns:
            events["position"] = number("position", 0, MOST_POSITION).round().astype("Int32")
        for name, target in (("style", "style"), ("request", "request_id"), ("surface", "surface")):
            if name in self._columns:
                events[target] = raw[self._columns[name]].astype("string").str.strip().replace("", pd.NA)
        telling = [raw[self._columns[name]] for name in ("id", "watch", "request") if name in self._columns]
        events["event_id"] = keys_of(
            events["viewer_id"], events["product_id"], events["event_type"], events["at_ms"], *telling
        )
        return events

    def _times(self, values: pd.Series, first_row: int) -> pd.Series:
        """Epoch milliseconds, int64."""
        column = self._columns["time"]
        if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
            stamps = pd.to_datetime(values, utc=True)
        else:
            text = filled(self._file, column, values, first_row=first_row)
            if self._time_unit == "auto":
                self._time_unit = time_unit_of(text)
            if self._time_unit == "iso":
                in_zone = text.str.replace(r"\s*(?:UTC|GMT)$", "Z", regex=True)
                stamps = pd.to_datetime(in_zone, utc=True, format="ISO8601", errors="coerce")
                if self._options.time_unit == "auto":
                    stamps = stamps.mask(pd.to_numeric(text, errors="coerce").notna() & ~text.str.fullmatch(DAY))
            else:
                number = numbers(self._file, column, text, first_row=first_row, minimum=0)
                milliseconds = number * {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}[self._time_unit]
                possible = milliseconds < LATEST.timestamp() * 1e3
                stamps = pd.to_datetime(milliseconds.where(possible), unit="ms", utc=True)
        bad = stamps.isna() | (stamps < EARLIEST) | (stamps >= LATEST)
        if bad.any():
            what = f"a time ({self._time_unit}; see --time-unit)"
            if self._time_unit == "iso":
                what = "an ISO 8601 time" + (" (see --time-unit)" if self._options.time_unit == "auto" else "")
            wanted = f"{what} from {EARLIEST.year} on and before {LATEST.year}"
            raise bad_cell(self._file, column, values, bad, first_row, wanted)
        return stamps.dt.tz_localize(None).astype("datetime64[ms]").astype("int64")


def time_unit_of(text: pd.Series) -> str:
    """iso unless most values are numbers that may be epochs: no days (20240501), no years, and beside dates none too
    small; then s, ms, us or ns by the size of the middle one.
    """
    number = pd.to_numeric(text, errors="coerce")
    epoch = number.notna() & ~text.str.fullmatch(f"{DAY}|{YEAR}")
    if text.str.match(r"\d{4}-\d").any():
        epoch &= number >= LEAST_EPOCH
    if epoch.mean() < 0.5:
        return "iso"
    middle = float(number[epoch].median())
    return "s" if middle < 1e11 else "ms" if middle < 1e14 else "us" if middle < 1e17 else "ns"
