"""Slates of many viewers at once, out of a dataset's log: the numbers are those the recommender serves one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.recommender.ease import fade
from trainables.recommender.feedback import collect, rows_in
from trainables.recommender.model import ItemModel
from trainables.recommender.recommender import PastProducts, Recommender
from trainables.recommender.train import TrainingData, end_of, rebuild


def caught_up(model: ItemModel, data: TrainingData) -> ItemModel:
    """The model with the statistics of all events of the data; itself where the data has no newer ones."""
    end_ms = end_of(data.events)
    return rebuild(model, data, end_ms) if end_ms > model.trained_until_ms else model


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
    recommender = Recommender(model)
    own = events.filter(pc.is_in(events["viewer_id"], value_set=pa.array(sorted(set(viewers)), pa.string())))
    feedback = collect(own, model.product_ids, model.config.feedback)
    weight = feedback.weight_N * fade(feedback.at_ms_N, now_ms, model.config.history_half_life_days)
    met_viewer, met_row = _met(own, model.product_ids, feedback.viewers)
    row_of = {viewer: row for row, viewer in enumerate(feedback.viewers.tolist())}
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for place, viewer in enumerate(viewers):
        row = row_of.get(viewer, -1)
        part = slice(*np.searchsorted(feedback.viewer_N, (row, row + 1)))
        known = weight[part] > 0
        met = met_row[slice(*np.searchsorted(met_viewer, (row, row + 1)))]
        past = PastProducts(feedback.product_N[part][known], weight[part][known], met)
        rows, scores = recommender.scored(past, k)
        found.append((np.full(len(rows), place), rows, scores))
        on_viewer(place + 1)
    empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    columns = zip(*found, strict=True) if found else ([part] for part in empty)
    return tuple(np.concatenate(column) for column in columns)


def _met(events: pa.Table, product_ids: Sequence[str], viewers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Viewer and catalogue row of every pair with an event of any kind, sorted by viewer."""
    product = rows_in(events["product_id"], product_ids)
    viewer = rows_in(events["viewer_id"], viewers.tolist())
    keep = (product >= 0) & (viewer >= 0)
    pairs = np.unique(viewer[keep] * max(len(product_ids), 1) + product[keep])
    return pairs // max(len(product_ids), 1), pairs % max(len(product_ids), 1)
