"""A trained ranker, and what it says of impressions.

Dims: N impressions, D features, S surfaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.recommender.ranking.calibration import Calibration
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.facts import FactEncoders, Facts
from trainables.recommender.ranking.features import Asked, features, known_until
from trainables.recommender.ranking.latest import LatestEvents
from trainables.recommender.ranking.log import Codes, Impressions, filled_lengths, read_log, viewer_codes
from trainables.recommender.ranking.network import Network
from trainables.recommender.ranking.past import Past
from trainables.recommender.train import TrainingData

CHANCES = ("click", "long_view")
TARGETS = (*CHANCES, "watch", "rank")
"""`watch` learns the median of log(1 + seconds), `rank` the mean rank of the watch time among all."""
ANSWERS = 3
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Shown:
    """Impressions to be scored, in the order of the answer; five columns of equal length."""

    viewer_ids: pa.Array
    """Pseudonyms; unknown ones are fine."""
    product_ids: pa.Array
    """Unknown ones are fine."""
    at_ms: np.ndarray
    surfaces: pa.Array
    """Names as in the events' column `surface`."""
    seconds: np.ndarray
    """Length of what is shown; 0 where unknown, then the product's usual length in the log is taken."""


@dataclass(frozen=True)
class Scores:
    """One value a row."""

    click_N: np.ndarray
    """Calibrated chance, 0…1."""
    long_view_N: np.ndarray
    watch_seconds_N: np.ndarray
    """Conditional median, seconds ≥ 0: as many watch longer as shorter."""


@dataclass(frozen=True)
class Ranker:
    """Trees, networks, the weights they are blended with and the calibration of the blend."""

    config: RankerConfig
    surfaces: tuple[str, ...]
    encoders: FactEncoders
    feature_names: tuple[str, ...]
    trees: dict[str, lightgbm.Booster]
    network: Network | None
    network_share: dict[str, float]
    """Target → weight of the network beside the trees, 0…1."""
    intercepts: dict[str, np.ndarray]
    """Click and long view → what is left of each of `product_ids` after trees and network, a logit, shrunk."""
    product_ids: tuple[str, ...]
    rank_map: RankMap
    calibrations: dict[str, Calibration]
    trained_until_ms: int
    counts: dict[str, int]
    metrics: dict[str, float]
    """On the newest training impressions, by models that had not seen them."""

    def score(self, past: TrainingData, rows: Shown, on_rows: Callable[[int], None] = lambda done: None) -> Scores:
        """Outcomes count from the events strictly before a row's time, exposures also from earlier rows of `rows`."""
        known, facts, log_past, exposures = open_log(past, rows, self.surfaces, self.encoders, self.config)
        place_n = self.places(pa.array(past.products["product_id"]))
        found = [np.empty(len(known.rows)) for _ in range(ANSWERS)]
        for start in range(0, len(known.rows), ROWS_AT_ONCE):
            part = np.arange(start, min(start + ROWS_AT_ONCE, len(known.rows)))
            chunk = known.rows.take(part)
            known_ms = known_until(chunk.at_ms_N, known.moments_E)
            table = features(chunk, known_ms, log_past, facts, exposures)
            asked = Asked(table, chunk.viewer_N, place_n[chunk.product_N], known_ms, known.events, place_n)
            for column, values in zip(found, self._said(asked, chunk.surface_N), strict=True):
                column[part] = values
            on_rows(int(part[-1]) + 1)
        return Scores(*found)

    def places(self, product_ids: pa.Array) -> np.ndarray:
        """Of each product of a catalogue, and of the unknown one at the end, the place in `product_ids`; −1: none."""
        found = pc.index_in(product_ids, value_set=pa.array(self.product_ids, pa.string()))
        return np.append(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), -1)

    def _said(self, asked: Asked, surface_N: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chance of a click, of a long view, and watch seconds."""
        raw = blend(raw_scores(self.trees, self.network, asked), self.network_share)
        chances = []
        for name in CHANCES:
            intercept_N = np.append(self.intercepts[name], 0.0)[asked.product_N]
            chances.append(self.calibrations[name](raw[name] + intercept_N, surface_N))
        return chances[0], chances[1], self.rank_map.watch_seconds(raw["watch"], raw["rank"])


@dataclass(frozen=True)
class RankMap:
    """Brings the rank's score onto the scale of the median, quantile by quantile, and takes their weighted mean.

    The median alone is the best single guess, but the mean rank orders better; their mean in log(1 + seconds) keeps
    both. Dims: K knots.
    """

    from_K: np.ndarray
    to_K: np.ndarray
    share: float
    """Weight of the rank, 0…1."""

    @classmethod
    def fit(cls, median_N: np.ndarray, rank_N: np.ndarray, share: float) -> RankMap:
        """Quantiles of both on the same rows."""
        at = np.linspace(0, 1, 201)
        return cls(np.quantile(rank_N, at), np.quantile(median_N, at), share)

    def watch_seconds(self, median_N: np.ndarray, rank_N: np.ndarray) -> np.ndarray:
        """Seconds ≥ 0 from log(1 + seconds) and the rank's score."""
        by_rank = np.interp(rank_N, self.from_K, self.to_K)
        return np.maximum(np.expm1(median_N + self.share * (by_rank - median_N)), 0.0)


@dataclass(frozen=True)
class Known:
    """Rows to be scored, coded beside the log."""

    rows: Impressions
    moments_E: np.ndarray
    """Times of the log's impressions and watches, ascending."""
    events: LatestEvents


def open_log(
    data: TrainingData, rows: Shown, surfaces: tuple[str, ...], encoders: FactEncoders, config: RankerConfig
) -> tuple[Known, Facts, Past, Impressions]:
    """The rows coded, the facts, the past of the log, and all exposures: the log's and the rows', each once."""
    codes = Codes(
        viewer_codes(data.events["viewer_id"], rows.viewer_ids), pa.array(data.products["product_id"]), surfaces
    )
    facts = encoders.facts(data, codes)
    log = read_log(data.events, codes)
    product_N, seconds_N = codes.product(rows.product_ids), np.nan_to_num(rows.seconds.astype(float))
    coded = Impressions(
        codes.viewer(rows.viewer_ids), product_N, codes.surface(rows.surfaces),
        rows.at_ms.astype(np.int64), filled_lengths(seconds_N, product_N, log.lengths_n),
    )  # fmt: skip
    moments_E = np.sort(np.concatenate([log.impressions.at_ms_N, log.watches.at_ms_W]))
    known = Known(coded, moments_E, LatestEvents(log))
    return known, facts, Past(log, facts, config.half_life_days), _once(log.impressions, coded)


def _once(*parts: Impressions) -> Impressions:
    """All of them; the same viewer, product and moment counts once."""
    viewer, product, surface, at_ms, seconds = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("viewer_N", "product_N", "surface_N", "at_ms_N", "seconds_N")
    )
    order = np.lexsort((product, viewer, at_ms))
    new = np.ones(len(order), bool)
    new[1:] = np.any([np.diff(values[order]) != 0 for values in (at_ms, viewer, product)], axis=0)
    kept = np.sort(order[new])
    return Impressions(viewer[kept], product[kept], surface[kept], at_ms[kept], seconds[kept])


def raw_scores(
    trees: dict[str, lightgbm.Booster], network: Network | None, asked: Asked
) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Target → what the trees and what the networks say: logits, log(1 + seconds) and rank."""
    by_network = network.predict(asked) if network is not None else {}
    values_ND = asked.table.values_ND
    return {name: (trees[name].predict(values_ND, raw_score=True), by_network.get(name)) for name in trees}


def blend(
    raw: dict[str, tuple[np.ndarray, np.ndarray | None]], network_share: dict[str, float]
) -> dict[str, np.ndarray]:
    """Weighted mean per target; the trees alone where there is no network."""
    return {
        name: by_trees if by_network is None else by_trees + network_share[name] * (by_network - by_trees)
        for name, (by_trees, by_network) in raw.items()
    }
