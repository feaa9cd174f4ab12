"""Training of the ranker: the newest impressions tell rounds, blend and calibration; then all are learned from.

Dims: N impressions, n products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import lightgbm
import numpy as np
import pyarrow as pa

from cluster.errors import InputError
from trainables.metrics import impressions as measures
from trainables.recommender.ranking.boosting import fit_trees, rounds_of
from trainables.recommender.ranking.calibration import Calibration, sigmoid
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.facts import FactEncoders
from trainables.recommender.ranking.features import Asked, features, lagged
from trainables.recommender.ranking.latest import LatestEvents
from trainables.recommender.ranking.log import Codes, Impressions, Outcomes, common_surfaces, read_log, viewer_codes
from trainables.recommender.ranking.network import Network, fit_network
from trainables.recommender.ranking.past import Past
from trainables.recommender.ranking.ranker import CHANCES, TARGETS, Ranker, RankMap, blend, raw_scores
from trainables.recommender.ranking.vectors import product_vectors
from trainables.recommender.train import TrainingData, events_before

Progress = Callable[[str, int, int], None]
OBJECTIVES = {"click": "binary", "long_view": "binary", "watch": "l1", "rank": "l2"}
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
SHRINKAGES = (10.0, 20.0, 40.0, 80.0, np.inf)
"""Impressions' worth of variance of a product's intercept; ∞ is none."""
LEAST_OF_A_SURFACE = 100


class TooFewImpressionsError(InputError):
    """The log does not carry a ranker."""


def train_ranker(
    config: RankerConfig,
    data: TrainingData,
    *,
    until_ms: int,
    on_progress: Progress = lambda stage, done, total: None,
) -> Ranker:
    """Learn from the impressions before `until_ms`; later events are not looked at.

    Raises TooFewImpressionsError where fewer than `config.least_impressions` are there, all ended alike or nearly all
    have one time.
    """
    data = replace(data, events=events_before(data.events, until_ms))
    surfaces = common_surfaces(data.events, LEAST_OF_A_SURFACE)
    product_ids = pa.array(data.products["product_id"])
    codes = Codes(viewer_codes(data.events["viewer_id"]), product_ids, surfaces)
    log = read_log(data.events, codes)
    chosen = _newest(log.impressions.at_ms_N, config.most_impressions)
    rows, outcomes = log.impressions.take(chosen), log.outcomes.take(chosen)
    _check(rows, outcomes, config)
    early = _early(rows, config)
    newest = ~early
    encoders = FactEncoders.learn(data)
    facts = encoders.facts(data, codes)
    stages = 2 + 2 * (len(TARGETS) + (config.networks * config.network_epochs if config.network else 0))
    done = iter(range(1, stages + 1))

    def step(*_: object) -> None:
        on_progress("ranker", next(done), stages)

    on_progress("ranker", 0, stages)
    known_ms = lagged(rows.at_ms_N, config.longest_lag_days, np.random.default_rng(config.seed))
    table = features(rows, known_ms, Past(log, facts, config.half_life_days), facts, log.impressions)
    place_n = np.append(np.arange(len(product_ids)), -1)
    asked = Asked(table, rows.viewer_N, rows.product_N, known_ms, LatestEvents(log), place_n)
    vectors = product_vectors(log, int(rows.at_ms_N.min()), len(product_ids)) if config.network else None
    step()
    targets = _targets(outcomes)
    trees, network = _fit(asked, targets, early, len(surfaces), vectors, config, None, step, watch=newest)
    raw = raw_scores(trees, network, asked.take(newest))
    share = _shares(raw, targets, newest)
    raw_early = blend(raw_scores(trees, network, asked.take(early)), share)
    raw_newest = blend(raw, share)
    shrinkage, calibrations = {}, {}
    for name in CHANCES:
        happened = targets[name]
        best = (np.inf, np.inf)
        for much in SHRINKAGES:
            intercept_n = _intercepts(raw_early[name], happened[early], rows.product_N[early], len(product_ids), much)
            chance = sigmoid(raw_newest[name] + intercept_n[rows.product_N[newest]])
            best = min(best, (measures.log_loss(happened[newest], chance), much))
        shrinkage[name] = best[1]
        intercept_n = _intercepts(raw_early[name], happened[early], rows.product_N[early], len(product_ids), best[1])
        raw_newest[name] = raw_newest[name] + intercept_n[rows.product_N[newest]]
        calibrations[name] = Calibration.fit(
            raw_newest[name], rows.surface_N[newest], happened[newest], len(surfaces) + 1
        )
    rank_map = RankMap.fit(raw_newest["watch"], raw_newest["rank"], config.rank_share)
    metrics = _measured(raw_newest, rank_map, calibrations, rows.take(newest), outcomes.take(newest))
    rounds = {name: rounds_of(trees[name]) for name in TARGETS}
    step()
    everything = np.ones(len(rows), bool)
    trees, network = _fit(asked, targets, everything, len(surfaces), vectors, config, rounds, step)
    raw_all = blend(raw_scores(trees, network, asked), share)
    intercepts, final = {}, {}
    for name in CHANCES:
        intercepts[name] = _intercepts(raw_all[name], targets[name], rows.product_N, len(product_ids), shrinkage[name])
        # How far to trust a logit shows only on rows that were not learned from. The level is taken from the model
        # that has learned from the newest rows as well: one that has not lags behind it.
        final[name] = Calibration.fit(
            (raw_all[name] + intercepts[name][rows.product_N])[newest], rows.surface_N[newest],
            targets[name][newest], len(surfaces) + 1, calibrations[name].slope,
        )  # fmt: skip
    return Ranker(
        config=config,
        surfaces=surfaces,
        encoders=encoders,
        feature_names=table.names,
        trees=trees,
        network=network,
        network_share=share,
        intercepts=intercepts,
        product_ids=tuple(product_ids.to_pylist()),
        rank_map=RankMap.fit(raw_all["watch"], raw_all["rank"], config.rank_share),
        calibrations=final,
        trained_until_ms=until_ms,
        counts={**log.counts, "learned_from": len(rows)},
        metrics=metrics,
    )


def _newest(at_ms_N: np.ndarray, most: int) -> np.ndarray:
    """Indices of the newest impressions, in time order."""
    return np.argsort(at_ms_N, kind="stable")[-most:]


def _check(rows: Impressions, outcomes: Outcomes, config: RankerConfig) -> None:
    if len(rows) < config.least_impressions:
        raise TooFewImpressionsError(
            f"the log has {len(rows):,} impressions, a ranker needs {config.least_impressions:,}; "
            "log what is shown as events of type impression, or lower ranker.least_impressions"
        )
    joined = "check that clicks and watches carry their impression's request_id"
    for name, happened, check in (
        ("click", outcomes.click_N, joined),
        ("long view", outcomes.long_view_N, f"{joined}, and impressions or watches duration_seconds"),
    ):
        if happened.min() == happened.max():
            which = "all" if happened.max() else "none"
            raise TooFewImpressionsError(
                f"of {len(rows):,} impressions {which} led to a {name}; a ranker needs both; {check}"
            )


def _early(rows: Impressions, config: RankerConfig) -> np.ndarray:
    """True (N,) for all but the newest impressions, those that rounds, blend and calibration are chosen on."""
    early = rows.at_ms_N < np.quantile(rows.at_ms_N, 1 - config.validation_share)
    if not early.any():
        oldest = (rows.at_ms_N == rows.at_ms_N[0]).mean()
        raise TooFewImpressionsError(
            f"{oldest:.0%} of {len(rows):,} impressions have the same, oldest time, so none come before the newest "
            f"{config.validation_share:.0%}; log finer times in column 'at'"
        )
    return early


def _targets(outcomes: Outcomes) -> dict[str, np.ndarray]:
    watch = outcomes.watch_seconds_N
    values, place, count = np.unique(watch, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - count / 2
    return {
        "click": outcomes.click_N,
        "long_view": outcomes.long_view_N,
        "watch": np.log1p(watch),
        "rank": (middle / len(watch))[place],
        "purchase": outcomes.purchase_N,
    }


def _fit(
    asked: Asked,
    targets: dict[str, np.ndarray],
    chosen: np.ndarray,
    surfaces: int,
    vectors_nV: np.ndarray | None,
    config: RankerConfig,
    rounds: dict[str, int] | None,
    step: Callable[..., None],
    watch: np.ndarray | None = None,
) -> tuple[dict[str, lightgbm.Booster], Network | None]:
    part = asked.take(chosen)
    newest = None if watch is None else asked.take(watch).table
    trees = {}
    for name in TARGETS:
        target_N = targets[name][chosen]
        held_out = None if newest is None else (newest, targets[name][watch])
        most = rounds[name] if rounds else config.most_rounds
        trees[name] = fit_trees(OBJECTIVES[name], part.table, target_N, config, rounds=most, watch=held_out)
        step()
    if not config.network:
        return trees, None
    names = part.table.names
    places = (names.index("surface"), names.index("length"))
    wanted = {name: targets[name][chosen] for name in TARGETS}
    if targets["purchase"].any():
        wanted["purchase"] = targets["purchase"][chosen]
    return trees, fit_network(part, wanted, places, surfaces + 1, vectors_nV, config, step)


def _shares(
    raw: dict[str, tuple[np.ndarray, np.ndarray | None]], targets: dict[str, np.ndarray], newest: np.ndarray
) -> dict[str, float]:
    """Weight of the networks per target with the least loss on the newest rows."""
    shares = {}
    for name, (_, by_network) in raw.items():
        losses = []
        for share in SHARES if by_network is not None else (0.0,):
            said = blend({name: raw[name]}, {name: share})[name]
            if name in CHANCES:
                losses.append((measures.log_loss(targets[name][newest], sigmoid(said)), share))
            elif name == "rank":
                losses.append((float(np.square(said - targets[name][newest]).mean()), share))
            else:
                losses.append((float(np.abs(np.expm1(said) - np.expm1(targets[name][newest])).mean()), share))
        shares[name] = min(losses)[1]
    return shares


def _intercepts(
    raw_N: np.ndarray, happened_N: np.ndarray, product_N: np.ndarray, products: int, shrinkage: float
) -> np.ndarray:
    """(n,): one Newton step of a ridge logistic regression on product ids, from what is already said."""
    chance = sigmoid(raw_N)
    surprise = np.bincount(product_N, happened_N - chance, products)
    return surprise / (np.bincount(product_N, chance * (1 - chance), products) + shrinkage)


def _measured(
    raw: dict[str, np.ndarray],
    rank_map: RankMap,
    calibrations: dict[str, Calibration],
    rows: Impressions,
    outcomes: Outcomes,
) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, happened in (("click", outcomes.click_N), ("long_view", outcomes.long_view_N)):
        chance = calibrations[name](raw[name], rows.surface_N)
        found[f"{name}_auc"] = measures.auc(happened, chance)
        found[f"{name}_gauc"] = measures.gauc(rows.viewer_N, happened, chance)
        found[f"{name}_log_loss"] = measures.log_loss(happened, chance)
    seconds = rank_map.watch_seconds(raw["watch"], raw["rank"])
    found["watch_mae"] = measures.mean_absolute_error(outcomes.watch_seconds_N, seconds)
    found["watch_xauc"] = measures.xauc(outcomes.watch_seconds_N, seconds)
    return {name: value for name, value in found.items() if np.isfinite(value)}
