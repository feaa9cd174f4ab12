"""Creators and live hosts of a shop, ranked for viewers by the recipe of its product recommender.

Nothing is counted before somebody asks for hosts: a shop that never does pays nothing. From then on the creators'
statistics follow the log and the events as often as the products' are rebuilt.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cluster.errors import InputError, NotFoundError
from serving.contracts import NotCountedError
from serving.live_model import LiveModel
from serving.repeated import Repeated
from trainables.recommender.entities import creators, history_of_creators, live_slate, of_creators
from trainables.recommender.history import HistoryEvent
from trainables.recommender.recommender import Recommendation, Recommender
from trainables.recommender.train import end_of, rebuild

NO_CREATORS = "no product of this shop says who made it; import the catalogue with a column creator"


@dataclass(frozen=True)
class _Counted:
    recommender: Recommender
    creator_of: Mapping[str, str]


class LiveHosts:
    """Answers for the newest statistics; safe to share between threads."""

    def __init__(self, live: LiveModel, refresh_s: float) -> None:
        self._live, self._refresh_s = live, refresh_s
        self._counted: _Counted | None = None
        """None before the first count, and in a shop that does not say who made its products."""
        self._of: object = None
        self._starting = threading.Lock()
        self._counting: Repeated | None = None
        self._known = threading.Event()

    @property
    def known(self) -> bool:
        """Whether the first count is done."""
        return self._known.is_set()

    def begin(self, patience_s: float) -> None:
        """Begin to count where nobody asked before; returns when the first count is done, or patience at its end."""
        with self._starting:
            if self._counting is None:
                self._counting = Repeated("live-hosts", self.count, self._refresh_s)
                self._counting.start()
        self._known.wait(patience_s)

    def stop(self) -> None:
        """End the counting; returns when it has ended."""
        with self._starting:
            if self._counting is not None:
                self._counting.stop()

    def slate(
        self, history: Sequence[HistoryEvent], k: int, now_ms: int, live: Collection[str] | None
    ) -> list[Recommendation]:
        """The k best hosts among the `live` ones (None: all), with exact reasons.

        NotCountedError where the first count is still under way, NotFoundError where no product has a creator.
        """
        if not self.known:
            raise NotCountedError("hosts are being counted for the first time; ask again")
        if (counted := self._counted) is None:
            raise NotFoundError(NO_CREATORS)
        shown = counted.recommender.products if live is None else live
        return live_slate(counted.recommender, history_of_creators(history, counted.creator_of), k, now_ms, shown)

    def count(self) -> None:
        """Count anew where there are new events or products."""
        if (state := self._live.state()) == self._of:
            return
        data = self._live.everything()
        try:
            told = of_creators(data)
        except InputError:
            self._counted = None
        else:
            model = rebuild(self._live.recommender.model, told, end_of(told.events))
            self._counted = _Counted(Recommender(model), creators(data.products))
        self._of = state
        self._known.set()
