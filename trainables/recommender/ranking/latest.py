"""The latest events of a viewer as they were known at a moment: which product, how it went, how long ago.

Dims: N rows asked about, L latest events, the newest first, E events of the log.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.recommender.ranking.counters import AsOfCounter
from trainables.recommender.ranking.log import Log
from trainables.recommender.ranking.units import HOUR_MS

LATEST = 50
NOTHING, WATCHED, WATCHED_LONG, SHOWN = range(4)
KINDS = SHOWN + 4
"""Nothing; a watch without an impression, short or long; an impression (+ 1 if clicked, + 2 if viewed long)."""


@dataclass(frozen=True)
class Latest:
    """What came before each row; places without an event are at the end, of kind 0."""

    product_NL: np.ndarray
    """Codes of products, −1 where there is none."""
    kind_NL: np.ndarray
    age_NL: np.ndarray
    """log(1 + hours) from the event to the moment, 0 where there is none."""


class LatestEvents:
    """Impressions and watches of a log by viewer, to be asked as of any moment."""

    def __init__(self, log: Log) -> None:
        shown, watches = log.impressions, log.watches
        self._at_ms_E = np.concatenate([watches.at_ms_W, shown.at_ms_N]).astype(np.int64)
        self._product_E = np.concatenate([watches.product_W, shown.product_N]).astype(np.int64)
        of_watch = np.where(watches.long_view_W > 0, WATCHED_LONG, WATCHED)
        of_shown = SHOWN + (log.outcomes.click_N > 0) + 2 * (log.outcomes.long_view_N > 0)
        self._kind_E = np.concatenate([of_watch, of_shown]).astype(np.int64)
        self._by_viewer = AsOfCounter(np.concatenate([watches.viewer_W, shown.viewer_N]), self._at_ms_E)

    def before(self, viewer_N: np.ndarray, known_ms_N: np.ndarray) -> Latest:
        """The events of each row's viewer strictly before its moment."""
        first_N, end_N = self._by_viewer.span_before(viewer_N, known_ms_N)
        place_NL = end_N[:, None] - 1 - np.arange(LATEST)
        there_NL = place_NL >= first_N[:, None]
        if not there_NL.any():
            return Latest(np.full(there_NL.shape, -1), np.zeros(there_NL.shape, np.int64), np.zeros(there_NL.shape))
        event_NL = self._by_viewer.order[np.maximum(place_NL, 0)]
        hours_NL = np.maximum(known_ms_N[:, None] - self._at_ms_E[event_NL], 0) / HOUR_MS
        return Latest(
            np.where(there_NL, self._product_E[event_NL], -1),
            np.where(there_NL, self._kind_E[event_NL], NOTHING),
            np.where(there_NL, np.log1p(hours_NL), 0.0),
        )
