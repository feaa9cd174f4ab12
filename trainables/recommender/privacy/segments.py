"""Numbers of segments of a log that may leave the shop: each shown number rests on at least k viewers, k ≥ 20.

A segment with fewer than k distinct viewers is left out. So is, where that is needed, the next smallest one, until at
least two are left out and they have together at least k distinct viewers: else whoever knows the number of the whole
log could subtract what is shown and read off the rest. A mean is left out where fewer than k viewers went into it. Left
out segments are not named either, since a rare value may itself be about one person. (Sweeney 2002, k-anonymity;
Cox 1980, complementary cell suppression.)

Dims: E events, S segments, P pairs of segment and viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import InputError, NotFoundError
from trainables.data.dataset import Dataset
from trainables.data.schemas import EVENT_TYPES
from trainables.recommender.feedback import CLICK, LIKE, MAX_WATCH_SECONDS, PURCHASE, WATCH, numbers, rows_in

LEAST_K = 20
UNKNOWN = "unknown"
TOTAL = "total"
ATTRIBUTE = "attribute:"
COUNTS = {"clicks": CLICK, "likes": LIKE, "purchases": PURCHASE}


@dataclass(frozen=True)
class SegmentTable:
    """What may be shown, and how much was left out."""

    table: pd.DataFrame
    """Columns segment, viewers, events, clicks, likes, purchases, mean_watch_seconds (NaN: left out); most viewers
    first. The last row, `total`, is about the shown segments alone."""
    shown: int
    """Segments in the table."""
    too_small: int
    """Segments left out for fewer than k viewers."""
    with_them: int
    """Segments left out so that those cannot be computed."""


def check_k(k: int) -> None:
    """Raises `InputError` below 20."""
    if k < LEAST_K:
        raise InputError(f"k is {k}; export segments only at k >= {LEAST_K}")


def segment_of_events(dataset: Dataset, by: str) -> tuple[pa.Table, pa.ChunkedArray]:
    """A dataset's events, and the segment (E,) of each; `unknown` where the dataset does not tell.

    `by` is `surface`, `category` (of the event's product) or `attribute:NAME` (of the viewer).
    Raises `InputError` for another `by`, `NotFoundError` where no viewer has the attribute.
    """
    columns = ["viewer_id", "product_id", "event_type", "watch_seconds", "surface"]
    if by == "surface":
        events = dataset.arrow("events", columns)
        segment_E = events["surface"]
    elif by == "category":
        events = dataset.arrow("events", columns)
        segment_E = pa.chunked_array([pa.nulls(events.num_rows, pa.string())])
        if dataset.has("products"):
            products = dataset.arrow("products", ["product_id", "category"])
            segment_E = _looked_up(events["product_id"], products["product_id"], products["category"])
    elif by.startswith(ATTRIBUTE) and len(by) > len(ATTRIBUTE):
        viewers = dataset.arrow("viewers")
        values = _attribute(viewers, by.removeprefix(ATTRIBUTE), dataset.name)
        events = dataset.arrow("events", columns)
        segment_E = _looked_up(events["viewer_id"], viewers["viewer_id"], values)
    else:
        raise InputError(f"--by is {by!r}; give surface, category or attribute:NAME")
    return events, pc.fill_null(segment_E, UNKNOWN)


def segment_table(events: pa.Table, segment_E: pa.ChunkedArray, k: int = LEAST_K) -> SegmentTable:
    """Viewers, events and watch time of each segment that may be shown. Raises `InputError` for k < 20.

    Watch times below 0 or above a day are clamped; those that are not known are in no mean.
    """
    check_k(k)
    segment, names = pd.factorize(segment_E.to_numpy(zero_copy_only=False), sort=True)
    viewer = pd.factorize(events["viewer_id"].to_numpy(zero_copy_only=False))[0]
    pair_segment, pair_viewer = _pairs(segment, viewer)
    shown = ~left_out(pair_segment, pair_viewer, len(names), k)
    viewers = np.bincount(pair_segment, minlength=len(names))

    kind = rows_in(events["event_type"], EVENT_TYPES)
    watch = np.clip(np.where(kind == WATCH, numbers(events["watch_seconds"]), np.nan), 0, MAX_WATCH_SECONDS)
    watched = ~np.isnan(watch)
    watchers = np.bincount(_pairs(segment[watched], viewer[watched])[0], minlength=len(names))
    found = pd.DataFrame({"segment": names.astype(str), "viewers": viewers, "events": _sums(segment, names)})
    for name, row in COUNTS.items():
        found[name] = _sums(segment[kind == row], names)
    times, seconds = _sums(segment[watched], names), np.bincount(segment[watched], watch[watched], len(names))
    meant = shown & (watchers >= k)
    found["mean_watch_seconds"] = np.divide(seconds, times, out=np.full(len(names), np.nan), where=meant)

    rows = found[shown].sort_values(["viewers", "segment"], ascending=[False, True])
    total = {"segment": TOTAL, **found.loc[shown, ["events", *COUNTS]].sum().to_dict()}
    total["viewers"] = len(np.unique(pair_viewer[shown[pair_segment]]))
    total["mean_watch_seconds"] = seconds[meant].sum() / times[meant].sum() if meant.any() else np.nan
    too_small = int((viewers < k).sum())
    table = pd.concat([rows, pd.DataFrame([total])[list(rows.columns)]], ignore_index=True) if len(rows) else rows
    return SegmentTable(table, len(rows), too_small, int((~shown).sum()) - too_small)


def left_out(segment_P: np.ndarray, viewer_P: np.ndarray, segments: int, k: int) -> np.ndarray:
    """Which segments (S,) may not be shown; the pairs are distinct."""
    viewers = np.bincount(segment_P, minlength=segments)
    out = viewers < k
    for segment in np.argsort(viewers, kind="stable")[int(out.sum()) :].tolist():
        together = len(np.unique(viewer_P[out[segment_P]]))
        if not out.any() or together >= k:  # one segment alone has fewer than k
            break
        out[segment] = True
    return out


def _pairs(segment_E: np.ndarray, viewer_E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each pair of segment and viewer once."""
    width = int(viewer_E.max(initial=0)) + 1
    pairs = np.unique(segment_E.astype(np.int64) * width + viewer_E)
    return pairs // width, pairs % width


def _sums(segment_E: np.ndarray, names: np.ndarray) -> np.ndarray:
    return np.bincount(segment_E, minlength=len(names))


def _looked_up(keys: pa.ChunkedArray, known: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The value beside each key; null where the key is not known."""
    return values.take(pc.index_in(keys, value_set=known.combine_chunks()))


def _attribute(viewers: pa.Table, name: str, dataset: str) -> pa.ChunkedArray:
    """One attribute of every viewer; null where a viewer does not have it."""
    values = pc.map_lookup(viewers["attributes"], pa.scalar(name, pa.string()), "first")
    if values.null_count == len(values):
        keys = {key for chunk in viewers["attributes"].chunks for key in pc.unique(chunk.keys).to_pylist()}
        known = ", ".join(sorted(keys)) or "none"
        raise NotFoundError(f"no viewer of dataset {dataset!r} has the attribute {name!r} (there are: {known})")
    return values
