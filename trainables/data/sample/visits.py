"""Play the choice model through four weeks of visits and write down what a shop would log.

Visits come in the order of time, so that popularity is what earlier viewers clicked. Exposure does not know the tastes,
except that viewers themselves open the page of the kind they have in mind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data.sample.catalogue import LOOKS
from trainables.data.sample.viewers import ChoiceConfig, Shelf, Viewers, draw_viewers, logistic, shelve, utility

DAYS = 28
END = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
"""The log ends before this moment: its last day is 31 October 2026."""
START = END - dt.timedelta(days=DAYS)
HALF_LIFE = 4.0
"""Days after which a click counts half towards popularity."""

SCHEMA = pa.schema([
    ("event_id", pa.string()),
    ("viewer_id", pa.string()),
    ("product_id", pa.string()),
    ("event_type", pa.string()),
    ("at", pa.timestamp("ms", tz="UTC")),
    ("watch_seconds", pa.float32()),
    ("duration_seconds", pa.float32()),
    ("position", pa.int32()),
    ("style", pa.string()),
    ("request_id", pa.string()),
    ("is_random", pa.bool_()),
    ("surface", pa.string()),
])  # fmt: skip
"""Columns of the log; a part of `trainables.data.schemas.EVENTS`, in its order."""

# One event before ids are given: second, request, viewer, item, type, watched, slot, look, random slot, browsing.
Event = tuple[float, int, int, int, str, float | None, int, int, bool, bool]


def _plan(config: ChoiceConfig, rng: np.random.Generator) -> list[tuple[float, int, int]]:
    """All visits as (day, viewer, slates), in the order of time. People visit in the evening more than at night."""
    hours = 0.15 + np.exp(-(((np.arange(24) - 20) / 3.0) ** 2)) + 0.5 * np.exp(-(((np.arange(24) - 12) / 2.5) ** 2))
    clock = np.cumsum(hours / hours.sum())
    visits = []
    for viewer in range(config.viewers):
        left = 1 + rng.poisson(config.slates - 1)
        while left > 0:
            slates = min(left, 1 + int(rng.random() < 0.4))
            hour = min(int(np.searchsorted(clock, rng.random())), 23) + rng.uniform(0, 0.9)
            visits.append((int(rng.integers(DAYS)) + hour / 24, viewer, slates))
            left -= slates
    return sorted(visits)


class _Shop:
    """What the shop knows and shows: popularity of late, and the slates made from it."""

    def __init__(self, config: ChoiceConfig, shelf: Shelf, rng: np.random.Generator) -> None:
        self.config, self.shelf, self.rng = config, shelf, rng
        self.clicks, self.as_of = np.ones(len(shelf.ids)), 0.0

    def slate(self, day: float, kind: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Products of a slate and whether each slot was filled at random; `kind` restricts it to one kind's page."""
        self.clicks = 1 + (self.clicks - 1) * 0.5 ** ((day - self.as_of) / HALF_LIFE)
        self.as_of = day
        open_to = np.ones(len(self.clicks), bool) if kind is None else self.shelf.kind == kind
        slots = min(self.config.slots, int(open_to.sum()))
        # Gumbel's trick: adding Gumbel noise to log weights and sorting draws without replacement by weight.
        gumbel = -np.log(-np.log(self.rng.random(len(self.clicks))))
        ranked = np.argsort(np.where(open_to, -(np.log(self.clicks) + gumbel), np.inf))
        slate, rest = ranked[:slots].copy(), ranked[slots : open_to.sum()]
        at_random = self.rng.random(slots) < self.config.random_share
        at_random &= np.cumsum(at_random) <= len(rest)
        slate[at_random] = self.rng.permutation(rest)[: at_random.sum()]
        return slate, at_random

    def clicked(self, item: int) -> None:
        self.clicks[item] += 1


def _respond(
    config: ChoiceConfig, shelf: Shelf, viewers: Viewers, rng: np.random.Generator,
    viewer: int, day: float, intent: int, items: np.ndarray, looks: np.ndarray,
) -> list[tuple[int, str, float, float | None]]:  # fmt: skip
    """What the viewer does with a slate: (slot, event type, seconds later, seconds watched)."""
    u = utility(config, shelf, viewers, viewer, day, intent, items, looks)
    shown = config.shown_weight * viewers.look_VL[viewer, looks]
    seen = rng.random(len(items)) < config.examination ** np.arange(len(items))
    clicks = seen & (rng.random(len(items)) < logistic(config.click_bias + u))
    x = config.watch_bias + config.watch_shown * viewers.look_VL[viewer, looks] + config.watch_utility * (u - shown)
    x = np.minimum(x + rng.normal(0, config.watch_noise, len(items)), np.log(config.max_loops))
    watched = np.round(shelf.duration[items] * np.exp(x), 1)
    likes = rng.random(len(items)) < logistic(config.like_bias + config.like_utility * u + config.like_watch * x)
    thrift = viewers.thrift_V[viewer] * shelf.dearness[items]
    buys = rng.random(len(items)) < logistic(config.buy_bias + config.buy_utility * u - thrift)
    done: list[tuple[int, str, float, float | None]] = []
    clock = 2.0
    for slot in np.flatnonzero(clicks):
        clock += float(rng.integers(1, 5))
        done.append((int(slot), "click", clock, None))
        clock += float(np.ceil(watched[slot]))
        done.append((int(slot), "watch", clock, float(watched[slot])))
        if likes[slot]:
            done.append((int(slot), "like", clock + 1, None))
        if buys[slot]:
            done.append((int(slot), "purchase", clock + 40, None))
    return done


def _intent(
    config: ChoiceConfig, tastes_K: np.ndarray, before: tuple[float, int] | None, day: float, rng: np.random.Generator
) -> int:
    if before is not None and rng.random() < config.intent_kept * 0.5 ** ((day - before[0]) / 3):
        return before[1]
    wanted = np.cumsum(tastes_K**2)
    return min(int(np.searchsorted(wanted, rng.random() * wanted[-1])), len(tastes_K) - 1)


def simulate(products: Sequence[Mapping[str, str]], config: ChoiceConfig) -> pa.Table:
    """The viewing log of the given catalogue rows as a table of SCHEMA, in the order of time."""
    rng = np.random.default_rng(config.seed)
    shelf = shelve(products, rng)
    viewers = draw_viewers(config, shelf.kinds, rng)
    shop = _Shop(config, shelf, rng)
    events: list[Event] = []
    request = 0
    last: dict[int, tuple[float, int]] = {}
    for day, viewer, slates in _plan(config, rng):
        intent = _intent(config, viewers.kinds_at(viewer, day), last.get(viewer), day, rng)
        last[viewer] = (day, intent)
        second = round(day * 86_400)
        for _ in range(slates):
            request += 1
            browsing = bool(rng.random() < config.browse_share)
            items, at_random = shop.slate(day, intent if browsing else None)
            own = rng.random(len(items)) < config.own_look_share
            looks = np.where(own, shelf.look[items], rng.integers(len(LOOKS), size=len(items)))
            done = _respond(config, shelf, viewers, rng, viewer, day, intent, items, looks)
            done = [(slot, "impression", 0.0, None) for slot in range(len(items))] + done
            for slot, kind, later, watched in done:
                item = int(items[slot])
                if kind == "click":
                    shop.clicked(item)
                events.append((
                    second + later, request, viewer, item, kind, watched, slot, int(looks[slot]), bool(at_random[slot]),
                    browsing,
                ))  # fmt: skip
            second = int(max(second + later for _, _, later, _ in done)) + int(rng.integers(5, 30))
    return _table(sorted(events, key=lambda event: event[:2]), shelf)


def _table(events: list[Event], shelf: Shelf) -> pa.Table:
    start = int(START.timestamp())
    ends = int(END.timestamp()) - 1
    columns = {
        "event_id": [f"e{n:06d}" for n in range(1, len(events) + 1)],
        "viewer_id": [f"viewer-{event[2] + 1:04d}" for event in events],
        "product_id": [shelf.ids[event[3]] for event in events],
        "event_type": [event[4] for event in events],
        "at": [min(start + int(event[0]), ends) * 1000 for event in events],
        "watch_seconds": [event[5] for event in events],
        "duration_seconds": [shelf.duration[event[3]] if event[4] == "watch" else None for event in events],
        "position": [event[6] for event in events],
        "style": [LOOKS[event[7]] for event in events],
        "request_id": [f"r{event[1]:05d}" for event in events],
        "is_random": [event[8] for event in events],
        "surface": ["category" if event[9] else "feed" for event in events],
    }
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in SCHEMA})


def write_log(log: pa.Table, path: Path) -> None:
    """Write the log as one compact Parquet file."""
    packed = {"event_id": "DELTA_BYTE_ARRAY", "at": "DELTA_BINARY_PACKED"}
    plain = [name for name in log.column_names if name not in packed]
    pq.write_table(
        log, path, compression="zstd", compression_level=19, use_dictionary=plain, column_encoding=packed, version="2.6"
    )
