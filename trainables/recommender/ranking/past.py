"""What came of earlier impressions and watches: smoothed deviations from what surface and length let expect.

Dims: N impressions asked about, V the outcomes (click, long view, log watch time), E past impressions, W past watches.
"""

from __future__ import annotations

import numpy as np

from trainables.recommender.feedback import DAY_MS
from trainables.recommender.ranking.counters import AsOfCounter, DecayedCounter, joint_key
from trainables.recommender.ranking.facts import Facts
from trainables.recommender.ranking.log import Impressions, Log
from trainables.recommender.ranking.units import HOUR_MS, LENGTHS, length_bucket, log_gap

OUTCOMES = ("click", "long_view", "watch")
WATCH_CAP_SECONDS = 300.0
START = np.array([0.3, 0.2, 1.5])
"""What is expected before anything is known; worth five impressions."""
VIEWER_PRIOR = 5.0
PRODUCT_PRIOR = 20.0
LATEST = 3
TRENDS = ("viewer", "product")


class Past:
    """Statistics of a log, to be asked as of any moment."""

    def __init__(self, log: Log, facts: Facts, half_life_days: float) -> None:
        self._log, self._facts = log, facts
        shown, outcomes = log.impressions, log.outcomes
        watch = np.log1p(np.minimum(outcomes.watch_seconds_N, WATCH_CAP_SECONDS))
        values_EV = np.column_stack([outcomes.click_N, outcomes.long_view_N, watch])
        length = length_bucket(shown.seconds_N)
        self._by_surface = AsOfCounter(shown.surface_N, shown.at_ms_N, values_EV)
        self._by_length = AsOfCounter(joint_key(shown.surface_N, length), shown.at_ms_N, values_EV)
        self.surprise_EV = values_EV - self.expected(shown, shown.at_ms_N // DAY_MS * DAY_MS)
        """Outcome less what was expected at the start of its day."""
        keys = self._keys(shown)
        self._counters = {name: AsOfCounter(key, shown.at_ms_N, self.surprise_EV) for name, key in keys.items()}
        self._trends = {
            name: DecayedCounter(keys[name], shown.at_ms_N, self.surprise_EV, half_life_days * DAY_MS)
            for name in TRENDS
        }
        self._pairs = AsOfCounter(joint_key(shown.viewer_N, shown.product_N), shown.at_ms_N)
        self._viewers = AsOfCounter(shown.viewer_N, shown.at_ms_N)
        self._count_watches()

    def _count_watches(self) -> None:
        """Watches outside impressions count apart: whether they are long, less what their length lets expect."""
        watches = self._log.watches
        length = length_bucket(watches.seconds_W)
        seen = np.maximum(np.bincount(length, minlength=LENGTHS), 1)
        usual = np.bincount(length, watches.long_view_W, LENGTHS) / seen
        values_WV = np.column_stack([watches.long_view_W - usual[length], watches.like_W])
        as_rows = Impressions(
            watches.viewer_W, watches.product_W, np.zeros_like(watches.viewer_W), watches.at_ms_W, watches.seconds_W
        )
        keys = self._watch_keys(as_rows)
        self._watch_counters = {name: AsOfCounter(key, watches.at_ms_W, values_WV) for name, key in keys.items()}
        self._watched_pairs = AsOfCounter(
            joint_key(watches.viewer_W, watches.product_W), watches.at_ms_W, watches.long_view_W[:, None]
        )

    def expected(self, rows: Impressions, known_ms_N: np.ndarray) -> np.ndarray:
        """(N, V): mean outcome on this surface at this length so far, shrunk to the surface's, as of a moment."""
        surface = self._by_surface.before(rows.surface_N, known_ms_N)
        overall = (surface[:, 1:] + 5 * START) / (surface[:, :1] + 5)
        length = self._by_length.before(joint_key(rows.surface_N, length_bucket(rows.seconds_N)), known_ms_N)
        return (length[:, 1:] + 20 * overall) / (length[:, :1] + 20)

    def features(self, rows: Impressions, known_ms_N: np.ndarray) -> dict[str, np.ndarray]:
        """Columns, one value a row, from outcomes strictly before `known_ms_N`."""
        columns: dict[str, np.ndarray] = {}
        expected = self.expected(rows, known_ms_N)
        for place, outcome in enumerate(OUTCOMES):
            columns[f"expected:{outcome}"] = expected[:, place]
        keys = self._keys(rows)
        asked = [(name, self._counters[name], keys[name]) for name in keys]
        asked += [(f"{name}:trend", self._trends[name], keys[name]) for name in TRENDS]
        for name, counter, key in asked:
            sums = counter.before(key, known_ms_N)
            columns[f"{name}:n"] = sums[:, 0]
            for place, outcome in enumerate(OUTCOMES, start=1):
                columns[f"{name}:{outcome}"] = sums[:, place] / (sums[:, 0] + _prior(name))
        for name, key in self._watch_keys(rows).items():
            sums = self._watch_counters[name].before(key, known_ms_N)
            columns[f"watched:{name}:n"] = sums[:, 0]
            columns[f"watched:{name}:long_view"] = sums[:, 1] / (sums[:, 0] + _prior(name))
            if name in ("viewer", "product"):
                columns[f"watched:{name}:like"] = sums[:, 2] / (sums[:, 0] + _prior(name))
        return columns | self._same_product(rows, known_ms_N) | self._latest(rows, known_ms_N)

    def _keys(self, rows: Impressions) -> dict[str, np.ndarray]:
        hour = rows.at_ms_N // HOUR_MS % 24
        category = self._facts.category_n[rows.product_N]
        return {
            **self._viewer_keys(rows),
            "viewer_surface": joint_key(rows.viewer_N, rows.surface_N),
            "viewer_hour": joint_key(rows.viewer_N, hour // 4),
            **self._product_keys(rows),
            "product_surface": joint_key(rows.product_N, rows.surface_N),
            "category_surface": joint_key(category, rows.surface_N),
            "surface_hour": joint_key(rows.surface_N, hour),
        }

    def _watch_keys(self, rows: Impressions) -> dict[str, np.ndarray]:
        return {**self._viewer_keys(rows), **self._product_keys(rows)}

    def _viewer_keys(self, rows: Impressions) -> dict[str, np.ndarray]:
        viewer, product = rows.viewer_N, rows.product_N
        return {
            "viewer": viewer,
            "viewer_category": joint_key(viewer, self._facts.category_n[product]),
            "viewer_creator": joint_key(viewer, self._facts.creator_n[product]),
            "viewer_length": joint_key(viewer, length_bucket(rows.seconds_N) // 2),
            **{f"viewer_{name}": joint_key(viewer, kind_n[product]) for name, kind_n in self._facts.crossed.items()},
        }

    def _product_keys(self, rows: Impressions) -> dict[str, np.ndarray]:
        return {
            "product": rows.product_N,
            "creator": self._facts.creator_n[rows.product_N],
            "category": self._facts.category_n[rows.product_N],
        }

    def _same_product(self, rows: Impressions, known_ms_N: np.ndarray) -> dict[str, np.ndarray]:
        """What came of the same product when this viewer met it last."""
        key = joint_key(rows.viewer_N, rows.product_N)
        watched = self._watched_pairs.before(key, known_ms_N)
        last = self._pairs.latest(key, known_ms_N)
        columns = {"watched:same_product:n": watched[:, 0], "watched:same_product:long_view": watched[:, 1]}
        return columns | {f"same_product:{name}": values for name, values in self._of(last, rows).items()}

    def _latest(self, rows: Impressions, known_ms_N: np.ndarray) -> dict[str, np.ndarray]:
        """The viewer's latest known outcomes."""
        columns = {}
        for back in range(1, LATEST + 1):
            last = self._viewers.latest(rows.viewer_N, known_ms_N, back)
            columns |= {f"outcome_{back}:{name}": values for name, values in self._of(last, rows).items()}
        return columns

    def _of(self, last_N: np.ndarray, rows: Impressions) -> dict[str, np.ndarray]:
        if not len(self._log.impressions):
            return {name: np.full(len(rows), np.nan) for name in ("gap", *OUTCOMES)}
        there = last_N >= 0
        surprise = np.where(there[:, None], self.surprise_EV[last_N], np.nan)
        gap = log_gap(rows.at_ms_N, self._log.impressions.at_ms_N[last_N], there)
        return {"gap": gap, **{name: surprise[:, place] for place, name in enumerate(OUTCOMES)}}


def _prior(name: str) -> float:
    return VIEWER_PRIOR if name.startswith("viewer") else PRODUCT_PRIOR
