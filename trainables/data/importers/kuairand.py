"""KuaiRand (Gao et al., CIKM 2022): a public short-video log of impressions with clicks, play times and likes.

Every distinct row of `log_*.csv` becomes an impression, and besides a click where `is_click`, a watch where
`play_time_ms > 0` and a like where `is_like`, all at `time_ms` and joined by one `request_id`. `long_view` is not
stored: it follows from watch time and length.

`user_history*.csv` holds, for each user, the order of what was watched before the log but no times. Its entries become
watches on the surface `history`, one minute apart and ending at the user's `last_time_ms`: their order is real, their
times are made up. What it lists as watched long counts as watched to the end; of the rest the watch time is unknown.

All columns of `video_features_basic*.csv` and `user_features*.csv` become attributes of products and viewers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from cluster.errors import InputError
from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from trainables.data import schemas
from trainables.data.dataset import Dataset, TableWriter, check_name
from trainables.data.importers.eventlog import keys_of, pseudonyms, store
from trainables.data.importers.events import LATEST
from trainables.data.importers.report import ImportReport, SetAside
from trainables.data.importers.tables import filled, numbers

ROWS_A_CHUNK = 500_000
MOST_MS = int(LATEST.timestamp() * 1000)
"""No time and no length is beyond it."""
HISTORY_STEP_MS = 60_000
LONG_VIEW_SECONDS = 18.0
REQUIRED = ("user_id", "video_id", "time_ms", "play_time_ms", "duration_ms", "is_click", "is_like")


def import_kuairand(
    storage: Storage,
    name: str,
    folder: Path,
    pseudonymiser: Pseudonymiser,
    *,
    history: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Import every `log_*.csv[.gz]` of `folder`, the videos as products, the users' features as viewers and, with
    `history`, earlier histories.

    Exact duplicate rows are dropped and counted, rows with a negative play time set aside and counted. `on_progress` is
    told the rows read so far.
    """
    check_name(name)
    folder = Path(folder)
    logs = _files(folder, "log_*")
    if not logs:
        raise InputError(f"{folder} holds no log_*.csv or log_*.csv.gz; give the folder with KuaiRand's data files")
    report = ImportReport(str(folder), "kuairand", added={"products": 0, "events": 0})
    videos, users = _videos(folder), _users(folder)
    for _ in _rows(logs, None):  # all of it is read once before anything is stored
        pass
    dataset = Dataset.create(storage, name)
    with dataset.imported_into():
        products = TableWriter(dataset, "products", str(folder))
        report.add("products", products.add(_products(videos)).new)
        if len(users):
            report.add("viewers", dataset.append("viewers", _viewers(users, pseudonymiser), str(folder)))
        writer = TableWriter(dataset, "events", str(folder))
        seen: set[str] = set()
        done = 0
        for rows in _rows(logs, pseudonymiser):
            # Only the pseudonym goes into keys: a hash over a short raw id could be guessed back.
            key = pd.Series(keys_of(*(rows[column] for column in rows.columns)), index=rows.index)
            repeated = key.duplicated() | key.isin(seen)
            report.duplicates += int(repeated.sum())
            seen.update(key)
            negative = ~repeated & (rows["play_time_ms"] < 0)
            if negative.any():
                what = f"negative play time (first: {rows.loc[negative, 'play_time_ms'].iloc[0]} ms)"
                report.set_aside.append(SetAside(str(folder), what, int(negative.sum())))
            rows, key = rows[~repeated & ~negative], key[~repeated & ~negative]
            done += len(repeated)
            unlisted = sorted(set(rows["video_id"]) - set(videos["video_id"]))
            if unlisted:
                videos = pd.concat([videos, pd.DataFrame({"video_id": unlisted})], ignore_index=True)
                report.add("products", products.add(_products(videos[videos["video_id"].isin(unlisted)])).new)
            for events in _events(rows, key):
                store(writer, events, report)
            if on_progress is not None:
                on_progress(done)
        for path in _files(folder, "user_history*") if history else []:
            events = _history(path, videos, pseudonymiser)
            store(writer, events, report)
            report.notes.append(f"{path.name}: {len(events)} earlier watches and likes, in order, at made-up times")
        report.record(dataset)
    return report


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted([*folder.glob(f"{pattern}.csv"), *folder.glob(f"{pattern}.csv.gz")])


def _read(path: Path, **options) -> pd.DataFrame | pd.io.parsers.TextFileReader:
    try:
        return pd.read_csv(path, **options)
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty") from error
    except (pd.errors.ParserError, UnicodeDecodeError, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {str(error).strip()}") from error


def _require(path: Path, present: list[str], columns: tuple[str, ...]) -> None:
    for column in columns:
        if column not in present:
            raise InputError(f"{path}: column {column!r} is missing; the file has: {', '.join(present)}")


def _rows(logs: list[Path], pseudonymiser: Pseudonymiser | None) -> Iterator[pd.DataFrame]:
    """Chunks of the logs, checked; ids as text and, with a pseudonymiser, the viewer replaced by the pseudonym."""
    for path in logs:
        _require(path, list(_read(path, nrows=0).columns), REQUIRED)
        first_row = 1
        for rows in _chunks(path):
            for column in REQUIRED[2:]:
                least = -MOST_MS if column == "play_time_ms" else 0
                rows[column] = _whole_numbers(path, column, rows[column], first_row, least)
            for column in ("user_id", "video_id"):
                rows[column] = filled(path, column, rows[column], first_row=first_row).astype("str")
            first_row += len(rows)
            if pseudonymiser is not None:
                rows["user_id"] = pseudonyms(rows["user_id"], pseudonymiser)
            yield rows


def _chunks(path: Path) -> Iterator[pd.DataFrame]:
    try:
        for rows in _read(path, chunksize=ROWS_A_CHUNK, dtype={"user_id": "str", "video_id": "str"}):
            if not isinstance(rows.index, pd.RangeIndex):  # pandas takes their first cells for labels, and shifts them
                raise InputError(f"{path}: rows have more cells than the header has columns; download it again")
            yield rows
    except (pd.errors.ParserError, UnicodeDecodeError, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {str(error).strip()}") from error


def _whole_numbers(path: Path, column: str, values: pd.Series, first_row: int, least: int) -> pd.Series:
    """int64 from `least` to `MOST_MS`."""
    if values.dtype.kind in "iu" and values.between(least, MOST_MS).all():
        return values
    filled(path, column, values, first_row=first_row)
    return numbers(path, column, values, first_row=first_row, minimum=least, maximum=MOST_MS).astype("int64")


def _videos(folder: Path) -> pd.DataFrame:
    """Columns video_id, and where known author_id, tag, seconds, attributes."""
    parts = []
    for path in _files(folder, "video_features_basic*"):
        table = _read(path, dtype="str", keep_default_na=False)
        _require(path, list(table.columns), ("video_id", "author_id", "tag"))
        part = table[["video_id", "author_id", "tag"]].copy()
        if "video_duration" in table:
            part["seconds"] = numbers(path, "video_duration", table["video_duration"], first_row=1) / 1000
        part["attributes"] = _attributes(table.drop(columns=["video_id", "author_id", "tag"]))
        parts.append(part)
    empty = pd.DataFrame({"video_id": [], "author_id": [], "tag": []}, dtype="str")
    empty["seconds"], empty["attributes"] = pd.Series(dtype=float), pd.Series(dtype=object)
    return pd.concat([empty, *parts], ignore_index=True).drop_duplicates("video_id", ignore_index=True)


def _users(folder: Path) -> pd.DataFrame:
    """Columns user_id, attributes."""
    parts = []
    for path in _files(folder, "user_features*"):
        table = _read(path, dtype="str", keep_default_na=False)
        _require(path, list(table.columns), ("user_id",))
        ids = filled(path, "user_id", table["user_id"], first_row=1)
        parts.append(pd.DataFrame({"user_id": ids, "attributes": _attributes(table.drop(columns="user_id"))}))
    empty = pd.DataFrame({"user_id": [], "attributes": []}, dtype="str")
    return pd.concat([empty, *parts], ignore_index=True).drop_duplicates("user_id", ignore_index=True)


def _attributes(table: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """Each row's filled cells by column name, columns in order."""
    columns = [table[name].tolist() for name in table.columns]
    return [
        [(name, value) for name, value in zip(table.columns, row, strict=True) if value]
        for row in zip(*columns, strict=True)
    ]


def _viewers(users: pd.DataFrame, pseudonymiser: Pseudonymiser) -> pa.Table:
    return pa.table(
        {
            "viewer_id": pa.array(pseudonyms(users["user_id"], pseudonymiser).tolist(), pa.string()),
            "attributes": pa.array(users["attributes"].tolist(), schemas.ATTRIBUTES),
        }
    )


def _products(videos: pd.DataFrame) -> pa.Table:
    """Rows of `products`; the category is the first tag."""
    numbers_of = [[tag for tag in str(text).split(",") if tag.strip().isdigit()] for text in videos["tag"].fillna("")]
    tags = [[f"tag-{int(number):02d}" for number in tag] for tag in numbers_of]
    authors = videos["author_id"].fillna("").astype(str)
    return pa.table(
        {
            "product_id": pa.array(videos["video_id"].astype(str).tolist(), pa.string()),
            "title": pa.array([f"video {video}" for video in videos["video_id"]], pa.string()),
            "category": pa.array([tag[0] if tag else "unknown" for tag in tags], pa.string()),
            "creator": pa.array([author or None for author in authors], pa.string()),
            "tags": pa.array([tag or None for tag in tags], schemas.PRODUCTS.field("tags").type),
            "attributes": pa.array(
                [known if isinstance(known, list) and known else None for known in videos["attributes"]],
                schemas.ATTRIBUTES,
            ),
        }
    )


def _events(rows: pd.DataFrame, key: pd.Series) -> Iterator[pd.DataFrame]:
    seconds = (rows["duration_ms"] / 1000).where(rows["duration_ms"] > 0)
    shared = pd.DataFrame(
        {
            "viewer_id": rows["user_id"],
            "product_id": rows["video_id"],
            "at_ms": rows["time_ms"],
            "duration_seconds": seconds,
            "request_id": key,
        }
    )
    if "is_rand" in rows:
        shared["is_random"] = rows["is_rand"] == 1
    if "tab" in rows:
        shared["surface"] = "tab-" + rows["tab"].astype(str)
    for event_type, happened in (
        ("impression", None),
        ("click", rows["is_click"] == 1),
        ("watch", rows["play_time_ms"] > 0),
        ("like", rows["is_like"] == 1),
    ):
        events = shared if happened is None else shared[happened]
        events = events.assign(event_type=event_type, event_id=events["request_id"] + f"-{event_type}")
        if event_type == "watch":
            events["watch_seconds"] = rows.loc[events.index, "play_time_ms"] / 1000
        yield events


def _history(path: Path, videos: pd.DataFrame, pseudonymiser: Pseudonymiser) -> pd.DataFrame:
    table = _read(path, dtype="str", keep_default_na=False)
    _require(path, list(table.columns), ("user_id", "last_time_ms", "watch_seq", "like_seq", "long_watch_seq"))
    last = numbers(path, "last_time_ms", filled(path, "last_time_ms", table["last_time_ms"], first_row=1), first_row=1)
    viewers = pseudonyms(table["user_id"], pseudonymiser)
    seconds = dict(zip(videos["video_id"], videos["seconds"], strict=True)) if "seconds" in videos else {}
    known = set(videos["video_id"])
    events: list[tuple] = []
    for viewer, end, watched, liked, long in zip(
        viewers, last.astype("int64"), table["watch_seq"], table["like_seq"], table["long_watch_seq"], strict=True
    ):
        likes = set(liked.split())
        for back, (video, whole) in enumerate(reversed(merge_histories(watched.split(), long.split()))):
            if video not in known:
                continue
            at, length = end - back * HISTORY_STEP_MS, seconds.get(video)
            length = length if length and length > 0 else None
            events.append((viewer, video, "watch", at, (length or LONG_VIEW_SECONDS) if whole else None, length, back))
            if video in likes:
                likes.discard(video)  # a like is one act, at the latest watch
                events.append((viewer, video, "like", at, None, length, back))
    frame = pd.DataFrame(events, columns=[
        "viewer_id", "product_id", "event_type", "at_ms", "watch_seconds", "duration_seconds", "back"
    ])  # fmt: skip
    frame["surface"] = "history"
    frame["event_id"] = keys_of(
        "history", frame["viewer_id"], frame["product_id"], frame["event_type"], frame["at_ms"], frame["back"]
    )
    # A completed watch of unknown length: what was watched is all of it.
    frame["duration_seconds"] = frame["duration_seconds"].fillna(frame["watch_seconds"])
    return frame.sort_values("at_ms", kind="stable", ignore_index=True)


def merge_histories(watched: list[str], long: list[str]) -> list[tuple[str, bool]]:
    """(video, watched long) oldest first, from the last watches and the last long watches.

    Both lists end now and are cut at the same length, so long watches may reach farther back: those come first.
    """
    flags = [False] * len(watched)
    left = len(long)
    for position in range(len(watched) - 1, -1, -1):
        if left and watched[position] == long[left - 1]:
            flags[position], left = True, left - 1
    return [(video, True) for video in long[:left]] + list(zip(watched, flags, strict=True))
