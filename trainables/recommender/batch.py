"""Slates of many viewers at once, out of a dataset's log: the numbers are those the recommender serves one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.recommender.ease import fade
from trainables.recommender.feedback import Feedback, collect, far_future, rows_in
from trainables.recommender.model import ItemModel
from trainables.recommender.recommender import PastProducts, Recommender
from trainables.recommender.train import TrainingData, end_of, rebuild


def caught_up(model: ItemModel, data: TrainingData) -> ItemModel:
    """The model with the statistics of all events and the catalogue of the data; itself where it has both already."""
    end_ms = end_of(data.events)
    same_catalogue = model.product_ids == tuple(data.products["product_id"].to_pylist())
    if same_catalogue and end_ms <= model.trained_until_ms:
        return model
    return rebuild(model, data, max(end_ms, model.trained_until_ms))


@dataclass(frozen=True)
class Pasts:
    """Histories of many viewers, ready to be scored."""

    feedback: Feedback
    weight_N: np.ndarray
    """Faded until now."""
    met_viewer: np.ndarray
    met_row: np.ndarray
    """Pairs with an event of any kind, by row of `feedback.viewers`."""

    @cached_property
    def row_of(self) -> dict[str, int]:
        return {viewer: row for row, viewer in enumerate(self.feedback.viewers.tolist())}

    def of(self, viewer: str) -> PastProducts:
        """A viewer's history; `seen` is whatever they met, be it only shown. Empty for a viewer without events."""
        row = self.row_of.get(viewer, -1)
        part = slice(*np.searchsorted(self.feedback.viewer_N, (row, row + 1)))
        met = slice(*np.searchsorted(self.met_viewer, (row, row + 1)))
        known = self.weight_N[part] > 0
        return PastProducts(self.feedback.product_N[part][known], self.weight_N[part][known], self.met_row[met])


def pasts(model: ItemModel, events: pa.Table, viewers: Sequence[str], now_ms: int) -> Pasts:
    """Histories of viewers (pseudonyms), weighed as the model weighs them."""
    asked = pc.is_in(events["viewer_id"], value_set=pa.array(sorted(set(viewers)), pa.string()))
    own, far = events.filter(asked), far_future(events["at"].cast(pa.int64()).to_numpy())
    feedback = collect(own, model.product_ids, model.config.feedback, far[asked.to_numpy()])
    weight = feedback.weight_N * fade(feedback.at_ms_N, now_ms, model.config.history_half_life_days)
    return Pasts(feedback, weight, *_met(own, model.product_ids, feedback.viewers))


def slates(
    model: ItemModel,
    events: pa.Table,
    viewers: Sequence[str],
    k: int,
    now_ms: int,
    on_viewer: Callable[[int], None] = lambda done: None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slates of viewers (pseudonyms), best first: row of `viewers`, catalogue row and score of each place, (N,) each.

    Whatever a viewer met in `events`, be it only shown, is left out. A viewer without events gets what is popular.
    """
    recommender, past = Recommender(model), pasts(model, events, viewers, now_ms)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for place, viewer in enumerate(viewers):
        rows, scores = recommender.scored(past.of(viewer), k)
        found.append((np.full(len(rows), place), rows, scores))
        on_viewer(place + 1)
    empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    columns = zip(*found, strict=True) if found else ([part] for part in empty)
    return tuple(np.concatenate(column) for column in columns)


def dense_scorer(
    model: ItemModel, events: pa.Table, viewers: Sequence[str], now_ms: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Scores (a, n) float32 of all products for rows (a,) of `viewers`: what `slates` ranks by, nothing left out."""
    past = pasts(model, events, viewers, now_ms)

    def scores(rows: np.ndarray) -> np.ndarray:
        of = [past.of(viewers[row]) for row in rows.tolist()]
        return np.stack([model.scores(one.rows, one.weights) for one in of])

    return scores


def _met(events: pa.Table, product_ids: Sequence[str], viewers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Viewer and catalogue row of every pair with an event of any kind, sorted by viewer."""
    product = rows_in(events["product_id"], product_ids)
    viewer = rows_in(events["viewer_id"], viewers.tolist())
    keep = (product >= 0) & (viewer >= 0)
    pairs = np.unique(viewer[keep] * max(len(product_ids), 1) + product[keep])
    return pairs // max(len(product_ids), 1), pairs % max(len(product_ids), 1)
