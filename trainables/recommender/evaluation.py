"""How good a recommender is on what viewers did next.

The split is by time alone: the newest `HOLDOUT_SHARE` of a dataset's events is held out, and `training_boundary` is
the moment it begins. A model is a recipe (settings, weights of its parts) and statistics (item-item matrix, popularity,
trend). What is *learned*, the recipe, comes from before the boundary alone. The statistics are counted twice: up to the
boundary, to be judged on what came next, and then, by the same recipe, from all events, for what ships; so a served
model knows the newest days, and the figure beside it is that of its recipe. The gate does the same with any bundle: it
counts the statistics of both anew up to the boundary of its dataset and compares recipe with recipe on the same slice.
A recipe that was learned on a part of the slice (a log that shrank, or another one) is refused instead of being
flattered; a twentieth of the slice is let pass, because erasing a viewer moves its beginning a little.

Known viewers with something relevant in the held-out slice are asked: relevant are products they watched to the end,
liked or bought there and had not met before. All products are ranked, those met before left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.errors import InputError
from trainables.data.dataset import Dataset
from trainables.gate import Criterion, NotJudgedError
from trainables.metrics import ranking
from trainables.recommender.bundle import load_model
from trainables.recommender.feedback import FeedbackConfig, collect
from trainables.recommender.history import HistoryEvent, histories
from trainables.recommender.model import ItemModel
from trainables.recommender.recommender import PastProducts, Recommender
from trainables.recommender.train import TrainingData, read_training_data, rebuild

HOLDOUT_SHARE = 0.1
LEARNED_SHARE = 0.05
"""Of the held-out events, at most, that a recipe may have been learned on."""
K = 10
RELEVANT_FEEDBACK = 0.8
"""In default feedback weights: a watch to 80 %, a like, a purchase."""
MOST_VIEWERS = 5_000
"""Evaluated viewers; of more, evenly spaced ones."""

GATE = (
    Criterion(metric="ndcg_at_10", higher_is_better=True, tolerance=0.02),
    Criterion(metric="recall_at_10", higher_is_better=True, tolerance=0.05),
    Criterion(metric="coverage_at_10", higher_is_better=True, tolerance=0.3),
)


def training_boundary(events: pa.Table) -> int:
    """Milliseconds since 1970 at which the held-out slice begins: `HOLDOUT_SHARE` of the events lie at or after it."""
    at_ms = np.sort(events["at"].cast(pa.int64()).to_numpy())
    boundary = int(at_ms[int(len(at_ms) * (1 - HOLDOUT_SHARE))]) if len(at_ms) else 0
    if len(at_ms) == 0 or at_ms[0] == boundary:
        raise InputError("the log's events have (nearly) all the same time, so none can be held out; check column 'at'")
    return boundary


@dataclass(frozen=True)
class Case:
    """One viewer of the held-out slice."""

    history: list[HistoryEvent]
    """What they did before the slice."""
    relevant: frozenset[str]
    """Products they took to in the slice and had not met before. One that a model does not know stays here: a miss."""


def held_out_cases(data: TrainingData, boundary_ms: int) -> list[Case]:
    """Viewers with a history and something relevant, by pseudonym; the same for every model that is asked."""
    at_ms = data.events["at"].cast(pa.int64()).to_numpy()
    product_ids = data.products["product_id"].to_pylist()
    early, late = (data.events.filter(pa.array(side)) for side in (at_ms < boundary_ms, at_ms >= boundary_ms))
    met, after = (collect(events, product_ids, FeedbackConfig()) for events in (early, late))
    met_by: dict[str, set[int]] = {}
    for viewer, product in zip(met.viewers[met.viewer_N], met.product_N, strict=True):
        met_by.setdefault(str(viewer), set()).add(int(product))
    relevant: dict[str, set[str]] = {}
    liked = after.weight_N >= RELEVANT_FEEDBACK
    for viewer, product in zip(after.viewers[after.viewer_N[liked]], after.product_N[liked], strict=True):
        if int(product) not in met_by.get(str(viewer), {int(product)}):
            relevant.setdefault(str(viewer), set()).add(product_ids[product])
    viewers = sorted(relevant)
    if len(viewers) > MOST_VIEWERS:
        viewers = [viewers[i] for i in np.linspace(0, len(viewers) - 1, MOST_VIEWERS).astype(int)]
    past = histories(early, viewers)
    return [Case(past[viewer], frozenset(relevant[viewer])) for viewer in viewers]


def evaluate(recommender: Recommender, data: TrainingData, boundary_ms: int) -> dict[str, float]:
    """Ranking measures at 10 on what happened from `boundary_ms` on, beside those of popularity on the same viewers.

    `ndcg_at_10`, `recall_at_10`, `hit_rate_at_10`, `mrr_at_10` are means over `holdout_viewers`, `coverage_at_10` is a
    share of the catalogue, `novelty_at_10` is in bits; the same with the prefix `popularity_` for popularity. Without a
    viewer to ask only `holdout_viewers` = 0 is there.
    """
    cases = held_out_cases(data, boundary_ms)
    row_of = recommender.model.row_of
    slates, popular, wanted = [], [], []
    for case in cases:
        past = recommender.fold(case.history, boundary_ms)
        slates.append(_ids(recommender, past))
        popular.append(_ids(recommender, replace(past, rows=past.rows[:0], weights=past.weights[:0])))
        wanted.append(case.relevant)
    measures = {"holdout_viewers": float(len(slates))}
    if not slates:
        return measures
    viewers_of = {product_id: int(recommender.model.viewers_n[row]) for product_id, row in row_of.items()}
    viewers = max(1, recommender.model.counts["viewers"])
    for prefix, lists in (("", slates), ("popularity_", popular)):
        for name, measure in (
            ("ndcg", ranking.ndcg),
            ("recall", ranking.recall),
            ("hit_rate", ranking.hit_rate),
            ("mrr", ranking.reciprocal_rank),
        ):
            values = [measure(slate, relevant, K) for slate, relevant in zip(lists, wanted, strict=True)]
            measures[f"{prefix}{name}_at_{K}"] = float(np.mean(values))
        measures[f"{prefix}coverage_at_{K}"] = ranking.coverage(lists, data.products.num_rows, K)
        bits = [ranking.novelty(slate, viewers_of, viewers, K) for slate in lists]
        measures[f"{prefix}novelty_at_{K}"] = float(np.mean(bits))
    return measures


def evaluate_bundle(folder: Path, dataset: Dataset) -> dict[str, float]:
    """Measures of a bundle's recipe on the dataset's held-out slice, see `evaluate_recipe`."""
    try:
        return evaluate_recipe(load_model(folder), read_training_data(dataset))
    except InputError as error:
        raise type(error)(f"{folder} on dataset {dataset.name!r}: {error}") from error


def evaluate_recipe(model: ItemModel, data: TrainingData) -> dict[str, float]:
    """Measures of a model whose statistics are counted anew up to the boundary, on what came after it.

    NotJudgedError where the recipe was learned on a part of what is held out.
    """
    boundary_ms = training_boundary(data.events)
    if _share_before(model.learned_until_ms, boundary_ms, data.events) > LEARNED_SHARE:
        raise NotJudgedError(
            f"its settings were learned on events that the dataset holds out (up to {model.learned_until_ms} ms, the "
            f"slice begins at {boundary_ms} ms); its figure would not be honest: train it again on this dataset"
        )
    at_boundary = model if model.trained_until_ms == boundary_ms else rebuild(model, data, boundary_ms)
    return evaluate(Recommender(at_boundary), data, boundary_ms)


def _share_before(at_ms: int, boundary_ms: int, events: pa.Table) -> float:
    """Share of the events from the boundary on that lie before a moment."""
    held_out = events["at"].cast(pa.int64()).to_numpy()
    held_out = held_out[held_out >= boundary_ms]
    return float((held_out < at_ms).mean())


def _ids(recommender: Recommender, past: PastProducts) -> list[str]:
    return [recommender.products[row] for row in recommender.rank(past, K)]
