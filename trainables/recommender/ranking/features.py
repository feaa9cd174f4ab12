"""All that is known of an impression before it happens, as one table of numbers.

Outcomes come as of a moment `known_ms`, strictly before the impression; exposures (that something was shown, when and
where) as of the impression itself. Dims: N impressions, D features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from trainables.recommender.feedback import DAY_MS
from trainables.recommender.ranking.exposures import exposure_features
from trainables.recommender.ranking.facts import Facts
from trainables.recommender.ranking.latest import Latest, LatestEvents
from trainables.recommender.ranking.log import Impressions
from trainables.recommender.ranking.past import Past
from trainables.recommender.ranking.units import HOUR_MS, length_bucket


@dataclass(frozen=True)
class FeatureTable:
    """Named columns of equal length."""

    names: tuple[str, ...]
    values_ND: np.ndarray
    """float32; NaN where nothing is known."""


@dataclass(frozen=True)
class Asked:
    """Rows as trees and networks see them."""

    table: FeatureTable
    viewer_N: np.ndarray
    product_N: np.ndarray
    """Places among the ranker's products, −1 for one it does not know."""
    known_ms_N: np.ndarray
    events: LatestEvents
    place_n: np.ndarray
    """Of each code of a product, and of the unknown one at the end, the place among the ranker's products, or −1."""

    def __len__(self) -> int:
        return len(self.viewer_N)

    def take(self, chosen: np.ndarray) -> Asked:
        """Some of the rows, by index or mask."""
        table = FeatureTable(self.table.names, self.table.values_ND[chosen])
        return replace(
            self, table=table, viewer_N=self.viewer_N[chosen], product_N=self.product_N[chosen],
            known_ms_N=self.known_ms_N[chosen],
        )  # fmt: skip

    def latest(self) -> Latest:
        """The events before each row, their products as places among the ranker's."""
        found = self.events.before(self.viewer_N, self.known_ms_N)
        return replace(found, product_NL=self.place_n[found.product_NL])


def features(
    rows: Impressions, known_ms_N: np.ndarray, past: Past, facts: Facts, exposures: Impressions
) -> FeatureTable:
    """Features of `rows`; of `exposures` only those strictly before a row say anything about it."""
    length_N = length_bucket(rows.seconds_N)
    columns = {
        "surface": rows.surface_N,
        "log_seconds": np.log1p(rows.seconds_N),
        "length": length_N,
        "hour": rows.at_ms_N // HOUR_MS % 24,
        "weekday": rows.at_ms_N // DAY_MS % 7,
        "age_of_knowledge": np.log1p(np.clip((rows.at_ms_N - known_ms_N) / HOUR_MS, 0, 24 * 30)),
        **facts.features(rows),
        **past.features(rows, known_ms_N),
        **exposure_features(rows, exposures, facts),
    }
    values = np.empty((len(rows), len(columns)), np.float32)
    for place, column in enumerate(columns.values()):
        values[:, place] = column
    return FeatureTable(tuple(columns), values)


def known_until(at_ms_N: np.ndarray, moments_E: np.ndarray) -> np.ndarray:
    """At scoring: just after the log's newest event before the row; `moments_E` are its times, ascending.

    For a row before all of them it is the first one, before which nothing is known either.
    """
    if not len(moments_E):
        return np.zeros_like(at_ms_N)
    newest = np.searchsorted(moments_E, at_ms_N, side="left") - 1
    return np.where(newest >= 0, moments_E[newest] + 1, moments_E[0])


def lagged(at_ms_N: np.ndarray, longest_days: int, rng: np.random.Generator) -> np.ndarray:
    """At training: the start of the row's day, or of one of the days before, by chance."""
    return (at_ms_N // DAY_MS - rng.integers(0, longest_days + 1, len(at_ms_N))) * DAY_MS
