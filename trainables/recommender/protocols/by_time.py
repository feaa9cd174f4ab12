"""Slates by time on a dataset: what viewers watch long in the last days, after training on all that came before.

Asked are viewers with a long view of a product they had not met before, be it only shown. All products are ranked,
those met before left out. A watch is long to the end of the video, or to 18 s of a longer one (KuaiRand's rule).
Baselines learn from long views, the earlier histories included; their settings are chosen on the days before, as many
as are tested. The recommender learns its settings and statistics from what lies before the boundary alone.

Dims: V viewers, a asked viewers, n products.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import sparse

from cluster.errors import InputError
from trainables.data.schemas import EVENT_TYPES
from trainables.recommender import ease
from trainables.recommender.batch import dense_scorer
from trainables.recommender.feedback import (
    DAY_MS,
    LIKE,
    LONG_VIEW_SECONDS,
    PURCHASE,
    WATCH,
    numbers,
    rows_in,
    watched_share,
)
from trainables.recommender.learning import learn
from trainables.recommender.model import ItemModel
from trainables.recommender.protocols.baselines import (
    Fit,
    Method,
    Scorer,
    ease_r,
    from_history,
    gram,
    implicit_als,
    item_knn,
    popularity,
    standardised,
)
from trainables.recommender.protocols.log import Log
from trainables.recommender.protocols.measure import measure, ndcg_of
from trainables.recommender.protocols.result import Result, Row, summarise
from trainables.recommender.protocols.splits import Question
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, end_of, events_before, rebuild, train

K = 20
OURS = "shopreel"
VALIDATION_VIEWERS = 1500


@dataclass(frozen=True)
class TimeQuestion:
    """A question by time, and all that was met before it."""

    question: Question
    met_Vn: sparse.csr_array
    boundary_ms: int


def run_by_time(
    data: TrainingData,
    preset_codes,
    config: RecommenderTrainConfig,
    *,
    days: float = 3.0,
    model: ItemModel | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Result:
    """All methods on the last `days` of a dataset. `model`: its recipe is judged instead of one learned here."""
    viewers = np.unique(data.events["viewer_id"].to_numpy(zero_copy_only=False).astype(str))
    end_ms = end_of(data.events)
    test = _question(data, viewers, end_ms - int(days * DAY_MS), end_ms)
    if len(test.question.asked) == 0:
        raise InputError(f"nobody watched anything new for long in the last {days:g} days; there is nobody to ask")
    chosen_on = _question(data, viewers, end_ms - int(2 * days * DAY_MS), test.boundary_ms, VALIDATION_VIEWERS)
    if not (len(chosen_on.question.fit.viewer_N) and len(chosen_on.question.asked)):
        raise InputError(
            f"settings are chosen on the {days:g} days before the last {days:g}, from what lies before both, and the "
            "log does not have so many; test fewer of them (--days), or import a longer log"
        )
    rows = []
    for method in slate_baselines():
        on_step(method.name)
        started = time.perf_counter()
        setting = _best_setting(method, chosen_on)
        scorer = method.settings[setting](test.question.fit)
        rows.append(_row(method.name, setting, scorer, test, started))
        del scorer  # a dense matrix each
    on_step(OURS)
    started = time.perf_counter()
    recipe = _recipe(data, preset_codes, config, model, test.boundary_ms)
    early = events_before(data.events, test.boundary_ms)
    scorer = dense_scorer(recipe, early, viewers.tolist(), test.boundary_ms)
    rows.append(_row(OURS, _described(recipe.config), scorer, test, started))
    counted = f"{len(viewers):,} viewers, {early.num_rows:,} events before, {data.products.num_rows:,} products"
    return summarise(rows, protocol="kuairand", k=K, ours=OURS, notes=(counted,))


def _recipe(data, preset_codes, config, model: ItemModel | None, boundary_ms: int) -> ItemModel:
    if model is None:
        return train(learn(config, data, until_ms=boundary_ms), data, preset_codes, until_ms=boundary_ms)
    if model.learned_until_ms > boundary_ms:
        raise InputError(
            f"the model's settings were learned on events up to {model.learned_until_ms} ms, the test begins at "
            f"{boundary_ms} ms; leave --model out to learn them on what lies before"
        )
    return rebuild(model, data, boundary_ms)


def _question(
    data: TrainingData, viewers: np.ndarray, boundary_ms: int, until_ms: int, most: int | None = None
) -> TimeQuestion:
    at_ms = data.events["at"].cast(pa.int64()).to_numpy()
    events = data.events.filter(pa.array(at_ms < until_ms))
    at_ms = at_ms[at_ms < until_ms]
    ids = data.products["product_id"].to_pylist()
    product, viewer = rows_in(events["product_id"], ids), rows_in(events["viewer_id"], viewers.tolist())
    known, early, long = product >= 0, at_ms < boundary_ms, _long(events)
    shape = (len(viewers), len(ids))
    met_Vn = _marks(viewer[known & early], product[known & early], shape)
    relevant_Vn = _marks(viewer[known & ~early & long], product[known & ~early & long], shape)
    relevant_Vn = sparse.csr_array(relevant_Vn - relevant_Vn.multiply(met_Vn))
    relevant_Vn.eliminate_zeros()
    asked = np.flatnonzero(np.diff(relevant_Vn.indptr))
    if most is not None and len(asked) > most:
        kept = np.zeros(shape[0], np.float32)
        kept[asked[np.linspace(0, len(asked) - 1, most).astype(int)]] = 1
        relevant_Vn = sparse.csr_array(sparse.diags_array(kept) @ relevant_Vn)
        relevant_Vn.eliminate_zeros()
    liked = known & early & long
    log = _log(viewer[liked], product[liked], at_ms[liked], shape)
    return TimeQuestion(Question(log, relevant_Vn), met_Vn, boundary_ms)


def _long(events: pa.Table) -> np.ndarray:
    """True for watches to the end or to 18 s, likes and purchases."""
    type_E = rows_in(events["event_type"], EVENT_TYPES)
    share_E, _, _ = watched_share(
        numbers(events["watch_seconds"]), numbers(events["duration_seconds"]), LONG_VIEW_SECONDS
    )
    with np.errstate(invalid="ignore"):
        return ((type_E == WATCH) & (share_E >= 1)) | (type_E == LIKE) | (type_E == PURCHASE)


def _marks(viewer_E: np.ndarray, product_E: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    pairs = np.unique(viewer_E * shape[1] + product_E)
    ones = np.ones(len(pairs), np.float32)
    return sparse.csr_array((ones, (pairs // shape[1], pairs % shape[1])), shape=shape)


def _log(viewer_E: np.ndarray, product_E: np.ndarray, at_E: np.ndarray, shape: tuple[int, int]) -> Log:
    """Each pair once, at its last time."""
    order = np.lexsort((-at_E, product_E, viewer_E))
    first = np.unique(viewer_E[order] * shape[1] + product_E[order], return_index=True)[1]
    kept = order[first]
    kept = kept[np.lexsort((product_E[kept], at_E[kept], viewer_E[kept]))]
    return Log(*shape, viewer_E[kept], product_E[kept], np.ones(len(kept), np.float32), at_E[kept])


def late_popularity(half_life_days: float) -> Fit:
    """Long views faded by age."""

    def fit(log: Log) -> Scorer:
        faded = ease.fade(log.at_N, int(log.at_N.max(initial=0)), half_life_days)
        total_n = np.bincount(log.product_N, faded, log.products).astype(np.float32)
        return lambda rows: np.tile(total_n, (len(rows), 1))

    return fit


def recent_knn(shrink: float, half_life_days: float, popular: float, popular_days: float) -> Fit:
    """ItemKNN by cosine on a history faded by age, plus popularity of late, each brought to spread 1 a viewer."""

    def fit(log: Log) -> Scorer:
        g = gram(log.matrix())
        length_n = np.sqrt(np.maximum(np.diag(g), 1e-9))
        similar_nn = (g / (np.outer(length_n, length_n) + shrink)).astype(np.float32)
        np.fill_diagonal(similar_nn, 0)
        faded = ease.fade(log.at_N, int(log.at_N.max(initial=0)), half_life_days)
        near, liked = from_history(log.matrix(faded), similar_nn), late_popularity(popular_days)(log)
        return lambda rows: standardised(near(rows)) + popular * standardised(liked(rows))

    return fit


def slate_baselines() -> list[Method]:
    """The methods with the settings that are tried on the days before."""
    return [
        Method("popularity", {"": popularity}),
        Method("popularity of late", {f"half-life {days:g} d": late_popularity(days) for days in (0.5, 1, 2)}),
        Method("ItemKNN cosine", {"k=200, shrink 10": item_knn("cosine", 200, 10)}),
        Method("ItemKNN Pearson", {"k=200": item_knn("pearson", 200)}),
        Method(
            "ItemKNN, recency + popularity",
            {
                f"half-life {days:g} d + {weight:g} popularity": recent_knn(10, days, weight, 1)
                for days, weight in ((10, 0.3), (10, 1.0), (30, 0.3), (30, 1.0))
            },
        ),
        Method("iALS", {"f=64, reg=30": implicit_als(64, 30, 4)}),
        Method("EASE", {f"λ={l2:g}": ease_r(l2) for l2 in (200, 500)}),
    ]


def _best_setting(method: Method, chosen_on: TimeQuestion) -> str:
    if len(method.settings) == 1:
        return next(iter(method.settings))
    question = chosen_on.question
    gains = {
        name: ndcg_of(fit(question.fit)(question.asked), question, K, chosen_on.met_Vn)
        for name, fit in method.settings.items()
    }
    return max(gains, key=lambda name: gains[name])


def _row(name: str, setting: str, scorer: Scorer, test: TimeQuestion, started: float) -> Row:
    measured = measure(scorer, test.question, K, test.met_Vn)
    return Row(name, 0, setting, test.question.asked, measured, time.perf_counter() - started)


def _described(config: RecommenderTrainConfig) -> str:
    return (
        f"λ={config.ease.l2:g}, impression {config.feedback.impression:g}, "
        f"history {config.history_half_life_days:g} d, "
        f"trend {config.popularity.trend_strength:g} of {config.popularity.trend_half_life_days:g} d, "
        f"popularity {config.popularity_weight:g}"
    )
