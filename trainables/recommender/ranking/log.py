"""The log as the ranker reads it: impressions with what came of them, and watches that no impression is known of.

Dims: N impressions, W other watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from trainables.recommender.feedback import LONG_VIEW_SECONDS

NEARLY_ALL = 0.97
"""Share of a short product's length that counts as all of it: clocks of players and files differ a little."""
LONGEST_WATCH_SECONDS = 6 * 3600.0
JOIN_WITHIN = pd.Timedelta(hours=6)
OUTCOMES = ("click", "watch", "like", "purchase")


@dataclass(frozen=True)
class Impressions:
    """What was shown to whom: all that may be known before the outcome. Any order."""

    viewer_N: np.ndarray
    """Codes of viewers, −1 … ; valid beside the other table read with the same `Codes` only."""
    product_N: np.ndarray
    surface_N: np.ndarray
    """Index into the ranker's surfaces; `len(surfaces)` for any other."""
    at_ms_N: np.ndarray
    seconds_N: np.ndarray
    """Length of what was shown, 0 where unknown."""

    def __len__(self) -> int:
        return len(self.viewer_N)

    def take(self, rows: np.ndarray) -> Impressions:
        """Some of the rows, by index or mask."""
        return Impressions(
            self.viewer_N[rows], self.product_N[rows], self.surface_N[rows], self.at_ms_N[rows], self.seconds_N[rows]
        )


@dataclass(frozen=True)
class Outcomes:
    """What came of each impression."""

    click_N: np.ndarray
    long_view_N: np.ndarray
    purchase_N: np.ndarray
    watch_seconds_N: np.ndarray

    def take(self, rows: np.ndarray) -> Outcomes:
        """Some of the rows, by index or mask."""
        return Outcomes(self.click_N[rows], self.long_view_N[rows], self.purchase_N[rows], self.watch_seconds_N[rows])


@dataclass(frozen=True)
class Watches:
    """Watches without an impression, such as an imported history."""

    viewer_W: np.ndarray
    product_W: np.ndarray
    at_ms_W: np.ndarray
    seconds_W: np.ndarray
    long_view_W: np.ndarray
    like_W: np.ndarray


@dataclass(frozen=True)
class Log:
    """Past events, coded."""

    impressions: Impressions
    outcomes: Outcomes
    watches: Watches
    lengths_n: np.ndarray
    """Usual length of each product, seconds, and of the unknown one at the end; 0 where nothing tells."""
    counts: dict[str, int]
    """What was found and what was left out."""


@dataclass(frozen=True)
class Codes:
    """Whole numbers for ids: catalogue order for products, any order for viewers; unknown ids get −1."""

    viewers: pa.Array
    products: pa.Array
    surfaces: tuple[str, ...]

    def viewer(self, ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """Codes of viewers' pseudonyms."""
        return _index(ids, self.viewers, -1)

    def product(self, ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """Codes of product ids."""
        return _index(ids, self.products, -1)

    def surface(self, names: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """Codes of surfaces; one beyond the last for any that training hardly saw."""
        return _index(names, pa.array(self.surfaces, pa.string()), len(self.surfaces))


def is_long_view(watch_seconds: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Watched (nearly) to the end, or for 18 s of something longer; never so where the length is unknown."""
    return (seconds > 0) & (watch_seconds >= np.minimum(seconds * NEARLY_ALL, LONG_VIEW_SECONDS))


def filled_lengths(seconds_N: np.ndarray, product_N: np.ndarray, lengths_n: np.ndarray) -> np.ndarray:
    """The lengths, where one is unknown (0) the product's usual one, see `Log.lengths_n`."""
    return np.where(seconds_N > 0, seconds_N, lengths_n[product_N])


def common_surfaces(events: pa.Table, least: int, most: int = 24) -> tuple[str, ...]:
    """Surfaces with at least so many impressions, the busiest first."""
    shown = events.filter(pc.equal(events["event_type"], "impression"))["surface"].drop_null()
    counts = [(-item["counts"].as_py(), item["values"].as_py()) for item in pc.value_counts(shown)]
    return tuple(name for count, name in sorted(counts)[:most] if -count >= least)


def read_log(events: pa.Table, codes: Codes) -> Log:
    """Join outcomes to impressions (same request, viewer and product, within six hours); duplicates are dropped.

    Negative, missing or absurd watch times are counted and bounded, never an error. An impression of unknown length is
    as long as its product usually is.
    """
    table = pd.DataFrame(
        {
            "viewer": codes.viewer(events["viewer_id"]),
            "product": codes.product(events["product_id"]),
            "type": events["event_type"].to_pandas(),
            "at_ms": events["at"].cast(pa.int64()).to_numpy(),
            "watch": events["watch_seconds"].to_numpy().astype(float),
            "seconds": events["duration_seconds"].to_numpy().astype(float),
            "surface": codes.surface(events["surface"]),
            "request": _codes(events["request_id"]),
        }
    )
    counts = {"unknown_products": int((table["product"] < 0).sum())}
    table = table[table["product"] >= 0].sort_values("at_ms", kind="stable")
    odd = (table["watch"] < 0) | (table["watch"] > LONGEST_WATCH_SECONDS) | np.isinf(table["watch"])
    counts["watch_times_bounded"] = int(odd.sum())
    table["watch"] = table["watch"].clip(0, LONGEST_WATCH_SECONDS)
    shown = table[table["type"] == "impression"]
    twice = shown.duplicated(["viewer", "product", "at_ms"])
    counts["duplicates"] = int(twice.sum())
    shown = shown[~twice].reset_index(drop=True)
    shown["row"] = np.arange(len(shown))
    joined = _join(table[table["type"] != "impression"], shown)
    outcome = {name: np.zeros(len(shown)) for name in OUTCOMES}
    for name in OUTCOMES:
        part = joined[(joined["type"] == name) & joined["row"].notna()]
        value = part["watch"].fillna(0.0) if name == "watch" else pd.Series(1.0, part.index)
        np.maximum.at(outcome[name], part["row"].astype(int).to_numpy(), value.to_numpy())
    counts["impressions"] = len(shown)
    watches = joined["row"].isna()
    lengths_n = _usual_lengths((shown, joined[~watches]), len(codes.products))
    seconds = shown["seconds"].fillna(0.0).clip(lower=0.0).to_numpy()
    seconds = filled_lengths(seconds, shown["product"].to_numpy(), lengths_n)
    impressions = Impressions(
        shown["viewer"].to_numpy(), shown["product"].to_numpy(), shown["surface"].to_numpy(),
        shown["at_ms"].to_numpy(), seconds,
    )  # fmt: skip
    watch = outcome["watch"]
    outcomes = Outcomes(outcome["click"], is_long_view(watch, seconds) * 1.0, outcome["purchase"], watch)
    return Log(impressions, outcomes, _watches(joined[watches]), lengths_n, counts)


def _usual_lengths(parts: Sequence[pd.DataFrame], products: int) -> np.ndarray:
    """(products + 1,): median of the lengths that impressions and what came of them tell.

    Watches without an impression are not asked: where a history knows no length, its importer takes a guess.
    """
    told = pd.concat([part.loc[part["seconds"] > 0, ["product", "seconds"]] for part in parts])
    median = told.groupby("product")["seconds"].median()
    lengths_n = np.zeros(products + 1)
    lengths_n[median.index.to_numpy()] = median.to_numpy()
    return lengths_n


def _join(others: pd.DataFrame, shown: pd.DataFrame) -> pd.DataFrame:
    keys = ["request", "viewer", "product"]
    right = shown[["at_ms", *keys, "row"]].copy()
    left = others.copy()
    for side in (left, right):
        side["at"] = pd.to_datetime(side["at_ms"], unit="ms")
    return pd.merge_asof(left, right.drop(columns="at_ms"), on="at", by=keys, tolerance=JOIN_WITHIN)


def _watches(others: pd.DataFrame) -> Watches:
    """One row a watch; a like of the same viewer, product and moment belongs to it."""
    watched = others[others["type"] == "watch"].copy()
    liked = others[others["type"] == "like"][["viewer", "product", "at_ms"]].drop_duplicates()
    liked["like"] = 1.0
    watched = watched.merge(liked, on=["viewer", "product", "at_ms"], how="left")
    seconds, watch = watched["seconds"].fillna(0.0).to_numpy(), watched["watch"].fillna(0.0).to_numpy()
    return Watches(
        watched["viewer"].to_numpy(), watched["product"].to_numpy(), watched["at_ms"].to_numpy(), seconds,
        is_long_view(watch, seconds) * 1.0, watched["like"].fillna(0.0).to_numpy(),
    )  # fmt: skip


def viewer_codes(*columns: Sequence[str] | pa.ChunkedArray) -> pa.Array:
    """Distinct ids of several columns."""
    return pc.unique(pa.chunked_array([part for column in columns for part in _chunks(column)], pa.string()))


def _chunks(column: Sequence[str] | pa.ChunkedArray) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [pa.array(column, pa.string())]


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """A code per distinct text; −1 for null."""
    return pd.factorize(column.to_pandas())[0]


def _index(ids: pa.Array | pa.ChunkedArray, known: pa.Array, unknown: int) -> np.ndarray:
    found = pc.index_in(ids, value_set=known)
    return pc.fill_null(found, unknown).to_numpy(zero_copy_only=False).astype(np.int64)
