"""A ranker as a bundle takes it along, or the reason why a log carries none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trainables.recommender.ranking.bundle_parts import to_tensors
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.train import TooFewImpressionsError, train_ranker
from trainables.recommender.train import Progress, TrainingData, end_of

RANKER_NOTE = (
    "learned from all impressions; metrics with the prefix ranker_ are of one that was kept from the newest of them"
)


class Shipped(NamedTuple):
    """A ranker of impressions as a bundle keeps it, or why there is none."""

    parts: dict[str, np.ndarray] | None
    metrics: dict[str, float]
    note: str


def ranker_parts(
    config: RankerConfig, data: TrainingData, on_progress: Progress = lambda stage, done, total: None
) -> Shipped:
    """Learn a ranker from all impressions of the data; its metrics are of one that was kept from the newest."""
    if not config.enabled:
        return Shipped(None, {}, "no ranker of impressions: ranker.enabled is false")
    try:
        ranker = train_ranker(config, data, until_ms=end_of(data.events), on_progress=on_progress)
    except TooFewImpressionsError as error:
        return Shipped(None, {}, f"no ranker of impressions: {error}")
    return Shipped(to_tensors(ranker), ranker.metrics, RANKER_NOTE)
