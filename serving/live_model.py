"""A recommender that keeps up with the shop while it serves: trends by the minute, the item-item matrix by the quarter.

What is counted are the dataset's log and the store's events from behind its end, so a restart loses nothing: the first
refresh counts them again. Time in which nobody did anything does not fade what was there before: a shop that opens its
doors months after its log was written starts from the log's last day, and so do the viewers of that log. A refresh
works on copies and swaps one reference at its end; requests never wait for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from serving.event_store import EventStore
from serving.repeated import Repeated
from trainables.data.dataset import Dataset
from trainables.recommender.feedback import DAY_MS
from trainables.recommender.history import HistoryEvent
from trainables.recommender.model import ItemModel
from trainables.recommender.recommender import Recommender
from trainables.recommender.train import TrainingData, end_of, read_training_data, rebuild, recount

_State = tuple[tuple[str, ...], int, int]


class LiveModel:
    """One model version whose statistics move with the events; its recipe (settings, weights) stays."""

    def __init__(self, model: ItemModel, dataset: Dataset, events: EventStore) -> None:
        self._dataset, self._events = dataset, events
        self._recounted: _State | None = None
        self._rebuilt: _State | None = None
        self._erasures = 0  # those the statistics know of; a model at rest may be older than any
        self._refreshes: Repeated | None = None
        self._pause: tuple[int, int | None] = (model.trained_until_ms, None)
        """End of the log, and the first event after it; None: there is none yet."""
        self.recommender = Recommender(model)
        """Answers for the newest statistics; take it once a request."""
        self.recommender.warm()

    def follow_trends(self) -> None:
        """Count popularity, trend and viewers anew where there are new events; the item-item matrix stays.

        Where a viewer was erased, everything is counted anew.
        """
        if (state := self.state()) in (self._recounted, self._rebuilt):
            return
        if state[-1] != self._erasures:
            self.rebuild()
            return
        everything = self.everything()
        if (end_ms := end_of(everything.events)) > self.recommender.model.trained_until_ms:
            self._swap(recount(self.recommender.model, everything.events, end_ms))
        self._recounted = state

    def rebuild(self) -> None:
        """Count everything anew where there are new events, products that joined the dataset included."""
        if (state := self.state()) == self._rebuilt:
            return
        everything = self.everything()
        end_ms = end_of(everything.events)
        if end_ms > self.recommender.model.trained_until_ms or state[-1] != self._erasures:
            self._swap(rebuild(self.recommender.model, everything, end_ms))
        self._rebuilt, self._erasures = state, state[-1]

    def start(self, trend_s: float, rebuild_s: float) -> None:
        """Refresh in the background, at once and then at these intervals (seconds)."""
        due = -math.inf

        def refresh() -> None:
            nonlocal due
            if (now := time.monotonic()) < due:
                self.follow_trends()
                return
            due = now + rebuild_s  # also where it fails: the next rounds follow the trends at least
            self.rebuild()

        self._refreshes = Repeated("live-model", refresh, trend_s)
        self._refreshes.start()

    def stop(self) -> None:
        """End the background refresh; returns when it has ended."""
        if self._refreshes is not None:
            self._refreshes.stop()

    def state(self) -> _State:
        """What there is to count, told without reading it."""
        files = tuple(self._dataset.files("events") + self._dataset.files("products"))
        return files, self._events.last_sequence(), self._events.erasures()

    def everything(self) -> TrainingData:
        """The dataset, with the events of the store behind those of its log."""
        logged = read_training_data(self._dataset)
        end_ms = end_of(logged.events)
        live = self._events.since(end_ms)
        opened_ms = int(pc.min(live["at"].cast(pa.int64())).as_py()) if live.num_rows else None
        self._pause = (end_ms, opened_ms)
        if opened_ms is not None:
            logged = replace(logged, events=_later(logged.events, _closed_ms(end_ms, opened_ms)))
        return replace(logged, events=pa.concat_tables([logged.events, live]))

    def without_pause(self, history: Sequence[HistoryEvent], now_ms: int) -> Sequence[HistoryEvent]:
        """A viewer's history on the clock of the statistics: what is of the log has faded no more than they have."""
        until_ms, opened_ms = self._pause
        closed_ms = _closed_ms(until_ms, now_ms if opened_ms is None else opened_ms)
        if not closed_ms:
            return history
        return [replace(each, at_ms=each.at_ms + closed_ms) if each.at_ms <= until_ms else each for each in history]

    def _swap(self, model: ItemModel) -> None:
        fresh = Recommender(model)
        fresh.warm()
        self.recommender = fresh


def _closed_ms(until_ms: int, opened_ms: int) -> int:
    """How long nobody did anything after a log, but for a day."""
    return max(0, opened_ms - until_ms - DAY_MS)


def _later(events: pa.Table, by_ms: int) -> pa.Table:
    place = events.schema.get_field_index("at")
    at = pc.add(events["at"].cast(pa.int64()), by_ms).cast(events.schema.field(place).type)
    return events.set_column(place, events.schema.field(place), at)
