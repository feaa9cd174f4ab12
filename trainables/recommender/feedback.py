"""Events → implicit feedback: how strongly each viewer took to each product, and when.

One event is worth: a purchase more than a like, more than a watch to the end, more than a click; an impression nothing,
or, where what is shown is chosen with the viewer in mind, `impression`: then even what was skipped tells who they are.
A watch counts by the share watched, where `full_watch_seconds` of a long video are as good as its end. Of all that a
viewer did with one product the strongest event counts, so that looping or clicking ten times is no vote of ten.

Dims: E events, N pairs of viewer and product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.data.schemas import EVENT_TYPES

IMPRESSION, CLICK, WATCH, LIKE, PURCHASE = range(len(EVENT_TYPES))
MAX_WATCH_SECONDS = 24 * 3600
DAY_MS = 86_400_000
LONG_VIEW_SECONDS = 18.0
"""Watching this long of anything longer is a long view."""


@dataclass(frozen=True, kw_only=True)
class FeedbackConfig:
    """What an event is worth."""

    purchase: float = 2.0
    """Weight, ≥ 0."""
    like: float = 1.5
    """Weight, ≥ 0."""
    watch: float = 1.0
    """Weight of a watch to the end, ≥ 0; a shorter one counts by its share."""
    click: float = 0.5
    """Weight, ≥ 0; also of a watch whose time is not known."""
    impression: float = 0.0
    """Least weight of whatever the viewer was shown, skipped or not, 0 ≤ w < 1; 0: what was skipped says nothing."""
    full_watch_seconds: float = 20.0
    """Seconds, > 0: watching this long counts as watching to the end, however long the video is."""
    max_products: int = 1000
    """Products a viewer, newest first, ≥ 1: a robot with a million events is worth no more than a keen shopper."""

    def __post_init__(self) -> None:
        for name in ("purchase", "like", "watch", "click"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"feedback.{name} is {getattr(self, name)}; set a weight of 0 or more")
        if not 0 <= self.impression < 1:
            raise ValueError(f"feedback.impression is {self.impression}; set 0 (off) or more, below 1")
        if not self.full_watch_seconds > 0:
            raise ValueError(f"feedback.full_watch_seconds is {self.full_watch_seconds}; set seconds above 0, e.g. 20")
        if self.max_products < 1:
            raise ValueError(f"feedback.max_products is {self.max_products}; set 1 or more, e.g. 1000")


@dataclass(frozen=True)
class Feedback:
    """Pairs of viewer and product, sorted by viewer, then time, then product. Weight 0: seen, but not taken to."""

    viewers: np.ndarray
    """(V,) str, sorted."""
    viewer_N: np.ndarray
    """int64, row of `viewers`."""
    product_N: np.ndarray
    """int64, row of the catalogue."""
    at_ms_N: np.ndarray
    """int64, time of the pair's last event."""
    weight_N: np.ndarray
    """float64, ≥ 0."""
    counts: dict[str, int] = field(default_factory=dict)
    """Events read, and what was dropped, clamped or capped, by reason."""

    def where(self, keep: np.ndarray) -> Feedback:
        """Some of the pairs; viewers keep their rows."""
        return Feedback(
            self.viewers,
            self.viewer_N[keep],
            self.product_N[keep],
            self.at_ms_N[keep],
            self.weight_N[keep],
            self.counts,
        )


def watched_share(
    watch_E: np.ndarray, duration_E: np.ndarray, full_watch_seconds: float
) -> tuple[np.ndarray, int, int]:
    """Share watched, 0…1 (NaN where the time is not known), and how many times and durations were mended.

    Negative, infinite and day-long times are clamped; a duration that is not above 0 counts as unknown, and then
    `full_watch_seconds` is what there was to watch.
    """
    known = ~np.isnan(watch_E)
    bad_watch = known & ~((watch_E >= 0) & (watch_E <= MAX_WATCH_SECONDS))
    bad_duration = ~np.isnan(duration_E) & ~((duration_E > 0) & np.isfinite(duration_E))
    length = np.where(np.isnan(duration_E) | bad_duration, full_watch_seconds, duration_E)
    share = np.clip(watch_E, 0, MAX_WATCH_SECONDS) / np.minimum(length, full_watch_seconds)
    return np.minimum(share, 1.0), int(bad_watch.sum()), int(bad_duration.sum())


def event_weights(type_E: np.ndarray, share_E: np.ndarray, config: FeedbackConfig) -> np.ndarray:
    """Weight of each event, float64 (E,); `type_E` are rows of EVENT_TYPES, `share_E` comes from `watched_share`."""
    worth = np.zeros(len(EVENT_TYPES))
    worth[[CLICK, WATCH, LIKE, PURCHASE]] = config.click, config.watch, config.like, config.purchase
    weight = worth[type_E]
    watched = config.watch * share_E
    weight = np.where(type_E == WATCH, np.where(np.isnan(share_E), config.click, watched), weight)
    return np.where(type_E >= IMPRESSION, np.maximum(weight, config.impression), 0.0)


def collect(
    events: pa.Table, product_ids: Sequence[str], config: FeedbackConfig, far_E: np.ndarray | None = None
) -> Feedback:
    """Feedback of an `events` table. Events of unknown products or types are dropped and counted, never an error.

    `far_E` marks events of a wrong clock, which are dropped as well: in a part of a log they are told by the whole log,
    see `far_future`; None: these events are the whole. The result depends on the events alone, not on their order.
    """
    type_E = rows_in(events["event_type"], EVENT_TYPES)
    product_E = rows_in(events["product_id"], product_ids)
    at_ms_E = events["at"].cast(pa.int64()).to_numpy()
    watch_E, duration_E = (numbers(events[name]) for name in ("watch_seconds", "duration_seconds"))
    watch_E = np.where(type_E == WATCH, watch_E, np.nan)
    duration_E = np.where(type_E == WATCH, duration_E, np.nan)
    share_E, bad_watch, bad_duration = watched_share(watch_E, duration_E, config.full_watch_seconds)
    weight_E = event_weights(type_E, share_E, config)

    far = far_future(at_ms_E) if far_E is None else far_E
    keep = (type_E > (IMPRESSION if config.impression == 0 else -1)) & (product_E >= 0) & ~far
    viewers, viewer_E = _viewer_rows(events["viewer_id"])
    viewer_N, product_N, at_ms_N, weight_N = strongest(viewer_E[keep], product_E[keep], at_ms_E[keep], weight_E[keep])
    newest = _newest(viewer_N, at_ms_N, config.max_products)
    counts = {
        "events": len(type_E),
        "impressions": int((type_E == IMPRESSION).sum()),
        "unknown_event_type": int((type_E < 0).sum()),
        "unknown_product": int((product_E < 0).sum()),
        "bad_watch_time": bad_watch,
        "bad_duration": bad_duration,
        "far_future": int(far.sum()),
        "over_cap": int((~newest).sum()),
        "viewers": len(viewers),
        "pairs": int(newest.sum()),
    }
    return Feedback(viewers, viewer_N, product_N, at_ms_N, weight_N, counts).where(newest)


def rows_in(column: pa.ChunkedArray, names: Sequence[str]) -> np.ndarray:
    """Row of each value in `names`, −1 where it is not there."""
    rows = pc.index_in(column, value_set=pa.array(list(names), pa.string()))
    return pc.fill_null(rows, -1).to_numpy().astype(np.int64)


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()


def _viewer_rows(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    encoded = pc.dictionary_encode(column).combine_chunks()
    names = np.asarray(encoded.dictionary.to_pylist(), dtype=np.str_)
    order = np.argsort(names)
    row_of = np.empty(len(names), np.int64)
    row_of[order] = np.arange(len(names))
    return names[order], row_of[encoded.indices.to_numpy()]


def far_future(at_ms_E: np.ndarray) -> np.ndarray:
    """Events more than a year later than 99.9 % of the log: a wrong clock, which would make all the rest look stale."""
    if len(at_ms_E) == 0:
        return np.zeros(0, bool)
    usual = np.quantile(at_ms_E, 0.999, method="lower")
    return at_ms_E > usual + 365 * DAY_MS


def strongest(
    viewer_E: np.ndarray, product_E: np.ndarray, at_ms_E: np.ndarray, weight_E: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One row a pair: the largest weight and the last time; sorted by viewer, time, product."""
    if len(viewer_E) == 0:
        return viewer_E, product_E, at_ms_E, weight_E
    order = np.lexsort((product_E, viewer_E))
    viewer, product = viewer_E[order], product_E[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(viewer) != 0) | (np.diff(product) != 0)])
    at_ms, weight = np.maximum.reduceat(at_ms_E[order], starts), np.maximum.reduceat(weight_E[order], starts)
    viewer, product = viewer[starts], product[starts]
    order = np.lexsort((product, at_ms, viewer))
    return viewer[order], product[order], at_ms[order], weight[order]


def _newest(viewer_N: np.ndarray, at_ms_N: np.ndarray, most: int) -> np.ndarray:
    """True for the last `most` rows of each viewer; rows are sorted by viewer and time."""
    ends = np.searchsorted(viewer_N, viewer_N, side="right")
    return ends - np.arange(len(viewer_N)) <= most
