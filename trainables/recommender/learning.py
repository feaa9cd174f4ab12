"""Settings found out from the log itself: how it is trained, and how its parts are added up.

The newest tenth of the training events plays the future. On what its viewers took to there, settings are tried one
after another, and a change is kept where NDCG@20 rises by more than one standard error of the paired difference over
viewers: a log too small to tell keeps what it was given.

1. the worth of a mere impression and λ, on a matrix of the products with the most viewers (`learn.matrix_products`);
2. trend, half-life of the history and weight of popularity, on the whole matrix;
3. whether content is aligned to the matrix, and λ of that, on known products taken as new.

Nothing after `until_ms` is looked at, so what lies behind it stays fit to judge the result.

Dims: V viewers, P a part of them, n products, m products in the item-item matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy import sparse

from cluster.errors import InputError
from trainables.metrics import batched
from trainables.recommender import ease
from trainables.recommender.cold.alignment import L2_GRID, gains_as_new
from trainables.recommender.evaluation import RELEVANT_FEEDBACK, training_boundary
from trainables.recommender.feedback import Feedback, FeedbackConfig, collect
from trainables.recommender.popularity import popularity, trend
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import (
    GramSum,
    Progress,
    TrainingData,
    events_before,
    features_of,
    item_item_of,
    matrix_rows,
    sum_here,
)

PLACES = 20
IMPRESSIONS = (0.0, 0.3, 0.6)
L2_FACTORS = (0.25, 1.0, 4.0)
TRENDS = tuple((days, strength) for days in (1.0, 3.0) for strength in (0.0, 0.35, 0.7, 1.0))
HISTORY_DAYS = (5.0, 10.0, 25.0, 100.0)
POPULARITY_WEIGHTS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2)
STEPS = len(IMPRESSIONS) + 4
VIEWERS_AT_ONCE = 128
"""Viewers scored at a time, each over the whole catalogue: this bounds the memory."""


@dataclass(frozen=True)
class Slice:
    """Viewers to choose on, and what they took to next."""

    events: pa.Table
    """Events before `boundary_ms`."""
    boundary_ms: int
    viewers_V: np.ndarray
    """str, sorted."""
    relevant_Vn: sparse.csr_array
    met_Vn: sparse.csr_array

    def parts(self) -> Iterator[slice]:
        """The viewers, `VIEWERS_AT_ONCE` at a time."""
        for first in range(0, len(self.viewers_V), VIEWERS_AT_ONCE):
            yield slice(first, min(first + VIEWERS_AT_ONCE, len(self.viewers_V)))

    def hits(self, part: slice, scores_Pn: np.ndarray) -> np.ndarray:
        """True (P, places) where the slates of a part of the viewers hold what they took to next."""
        slate_Pk = batched.top_k(batched.masked(scores_Pn, self.met_Vn[part]), PLACES)
        return batched.hits(slate_Pk, self.relevant_Vn[part])

    def gain(self, hits: Sequence[np.ndarray]) -> np.ndarray:
        """NDCG@20 of each viewer, float64 (V,), from the hits of all parts."""
        return batched.ndcg(np.concatenate(hits), np.diff(self.relevant_Vn.indptr))


def learn(
    config: RecommenderTrainConfig,
    data: TrainingData,
    *,
    until_ms: int,
    gram_sum: GramSum = sum_here,
    on_progress: Progress = lambda stage, done, total: None,
) -> RecommenderTrainConfig:
    """The settings with what the events before `until_ms` teach; the same ones where they teach nothing."""
    if not config.learn.enabled:
        return config
    chosen_on = newest_slice(config, data, until_ms)
    if chosen_on is None:
        return config
    product_ids = data.products["product_id"].to_pylist()
    done = iter(range(1, STEPS + 1))

    def step() -> None:
        on_progress("choosing settings", next(done), STEPS)

    config = _matrix_settings(config, chosen_on, product_ids, step)
    liked = _liked(chosen_on.events, product_ids, config)
    rows, matrix_mm = item_item_of(liked, np.bincount(liked.product_N, minlength=len(product_ids)), config, gram_sum)
    config = _blend_settings(config, chosen_on, liked, rows, matrix_mm, step)
    config = _alignment_settings(config, features_of(data, config), liked, rows, matrix_mm)
    step()
    return config


def newest_slice(config: RecommenderTrainConfig, data: TrainingData, until_ms: int) -> Slice | None:
    """The newest tenth of the events before `until_ms`; None where too few viewers took to anything new in it."""
    events = events_before(data.events, until_ms)
    try:
        boundary_ms = training_boundary(events)
    except InputError:  # a log of one moment has no order in time to learn from
        return None
    at_ms = events["at"].cast(pa.int64()).to_numpy()
    early, late = (events.filter(pa.array(side)) for side in (at_ms < boundary_ms, at_ms >= boundary_ms))
    product_ids = data.products["product_id"].to_pylist()
    met, after = (collect(part, product_ids, FeedbackConfig()) for part in (early, late))
    after = after.where(after.weight_N >= RELEVANT_FEEDBACK)
    viewers = np.intersect1d(met.viewers, after.viewers[np.unique(after.viewer_N)])
    shape = (len(viewers), len(product_ids))
    met_Vn, relevant_Vn = (_marks(feedback, viewers, shape) for feedback in (met, after))
    relevant_Vn = sparse.csr_array(relevant_Vn - relevant_Vn.multiply(met_Vn))
    relevant_Vn.eliminate_zeros()
    asked = np.flatnonzero(np.diff(relevant_Vn.indptr))
    if len(asked) < config.learn.least_viewers:
        return None
    asked = asked[np.linspace(0, len(asked) - 1, min(len(asked), config.learn.most_viewers)).astype(int)]
    return Slice(early, boundary_ms, viewers[asked], relevant_Vn[asked], met_Vn[asked])


def _marks(feedback: Feedback, viewers: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    return _pairs(feedback, viewers, shape, np.ones(len(feedback.viewer_N), np.float32))


def _pairs(feedback: Feedback, viewers: np.ndarray, shape: tuple[int, int], value_N: np.ndarray) -> sparse.csr_array:
    """Values of the pairs of some viewers, (V, n) CSR float32."""
    at = np.searchsorted(viewers, feedback.viewers).clip(max=len(viewers) - 1)
    row = np.where(viewers[at] == feedback.viewers, at, -1)[feedback.viewer_N] if len(viewers) else feedback.viewer_N
    keep = row >= 0 if len(viewers) else np.zeros(len(row), bool)
    entries = (value_N[keep].astype(np.float32), (row[keep], feedback.product_N[keep]))
    return sparse.csr_array(entries, shape=shape)


def history(feedback: Feedback, viewers: np.ndarray, products: int, now_ms: int, half_life_days: float):
    """Faded feedback of some viewers, (V, n) CSR float32: the w of the score."""
    weight = feedback.weight_N * ease.fade(feedback.at_ms_N, now_ms, half_life_days)
    return _pairs(feedback, viewers, (len(viewers), products), weight)


def clearly_better(candidate_V: np.ndarray, incumbent_V: np.ndarray) -> bool:
    """True where the mean rises by more than one standard error of the paired difference."""
    difference = candidate_V - incumbent_V
    return float(difference.mean()) > float(difference.std()) / np.sqrt(max(len(difference), 1))


def _best(config: RecommenderTrainConfig, tried: Iterable[tuple[RecommenderTrainConfig, np.ndarray]]):
    """The setting with the highest mean gain, where it is clearly better than the given one; its gains beside it."""
    tried = list(tried)
    given = next(gain for setting, gain in tried if setting == config)
    best, gain = max(tried, key=lambda pair: pair[1].mean())
    return (best, gain) if clearly_better(gain, given) else (config, given)


def _matrix_settings(
    config: RecommenderTrainConfig, chosen_on: Slice, product_ids: list[str], step: Callable[[], None]
) -> RecommenderTrainConfig:
    n = len(product_ids)

    def tried() -> Iterable[tuple[RecommenderTrainConfig, np.ndarray]]:
        for impression in dict.fromkeys((config.feedback.impression, *IMPRESSIONS)):
            setting = replace(config, feedback=replace(config.feedback, impression=impression))
            liked = _liked(chosen_on.events, product_ids, setting)
            viewers_n = np.bincount(liked.product_N, minlength=n)
            rows = matrix_rows(viewers_n, min(config.learn.matrix_products, config.ease.max_products))
            gram = sum_here(liked, rows, config.ease, lambda stage, done, total: None)
            days = config.history_half_life_days
            past_Vm = history(liked, chosen_on.viewers_V, n, chosen_on.boundary_ms, days)[:, rows]
            for factor in L2_FACTORS:
                l2 = config.ease.l2 * factor
                matrix_mm, hits = ease.solve(gram.copy(), l2), []
                for part in chosen_on.parts():
                    scores_Pn = np.full((part.stop - part.start, n), -np.inf, np.float32)
                    scores_Pn[:, rows] = past_Vm[part] @ matrix_mm
                    hits.append(chosen_on.hits(part, scores_Pn))
                yield replace(setting, ease=replace(config.ease, l2=l2)), chosen_on.gain(hits)
            step()

    return _best(config, tried())[0]


def _blend_settings(
    config: RecommenderTrainConfig,
    chosen_on: Slice,
    liked: Feedback,
    rows: np.ndarray,
    matrix_mm: np.ndarray | sparse.csr_array,
    step: Callable[[], None],
) -> RecommenderTrainConfig:
    n, now_ms = chosen_on.relevant_Vn.shape[1], chosen_on.boundary_ms

    def past(days: float) -> sparse.csr_array:
        return history(liked, chosen_on.viewers_V, n, now_ms, days)[:, rows]

    def personal(past_Pm: sparse.csr_array) -> np.ndarray:
        found = past_Pm @ matrix_mm
        return found.toarray() if sparse.issparse(found) else found

    def shared(setting: RecommenderTrainConfig) -> tuple[np.ndarray, np.ndarray]:
        """What everybody's score of a product holds (n,), and what a personal one is multiplied by (m,)."""
        shown = setting.feedback.impression
        prior_n = setting.popularity_weight * popularity(liked, n, now_ms, setting.popularity, shown)
        return prior_n, trend(liked, n, now_ms, setting.popularity, shown)[rows]

    def choose(settings: Iterable[RecommenderTrainConfig]) -> RecommenderTrainConfig:
        tried = (config, *(setting for setting in settings if setting != config))
        pasts = {days: past(days) for days in {setting.history_half_life_days for setting in tried}}
        shares = [shared(setting) for setting in tried]
        hits: list[list[np.ndarray]] = [[] for _ in tried]
        for part in chosen_on.parts():
            personal_Pm = {days: personal(past_Vm[part]) for days, past_Vm in pasts.items()}
            for found, setting, (prior_n, trend_m) in zip(hits, tried, shares, strict=True):
                scores_Pn = np.tile(prior_n, (part.stop - part.start, 1))
                scores_Pn[:, rows] += personal_Pm[setting.history_half_life_days] * trend_m
                found.append(chosen_on.hits(part, scores_Pn))
        step()
        return _best(config, zip(tried, map(chosen_on.gain, hits), strict=True))[0]

    config = choose(
        replace(config, popularity=replace(config.popularity, trend_half_life_days=days, trend_strength=strength))
        for days, strength in TRENDS
    )
    config = choose(replace(config, history_half_life_days=days) for days in HISTORY_DAYS)
    return choose(replace(config, popularity_weight=weight) for weight in POPULARITY_WEIGHTS)


def _alignment_settings(
    config: RecommenderTrainConfig,
    features_nD: np.ndarray,
    liked: Feedback,
    rows: np.ndarray,
    matrix_mm: np.ndarray | sparse.csr_array,
) -> RecommenderTrainConfig:
    surely = liked.where(liked.weight_N >= RELEVANT_FEEDBACK)
    shape = (len(liked.viewers), len(features_nD))
    liked_Vn = sparse.csr_array((np.ones(len(surely.viewer_N)), (surely.viewer_N, surely.product_N)), shape=shape)
    settings = [replace(config.alignment, enabled=False)]
    settings += [replace(config.alignment, enabled=True, l2=l2) for l2 in L2_GRID]
    likeness, *aligned = gains_as_new(features_nD, matrix_mm, rows, liked_Vn, settings)
    best = int(np.argmax([gain.mean() for gain in aligned])) if len(likeness) else 0
    if not len(likeness) or not clearly_better(aligned[best], likeness):
        return replace(config, alignment=settings[0])
    return replace(config, alignment=settings[1 + best])


def _liked(events: pa.Table, product_ids: list[str], config: RecommenderTrainConfig) -> Feedback:
    feedback = collect(events, product_ids, config.feedback)
    return feedback.where(feedback.weight_N > 0)
