"""Sweeps of the recommender: what training chooses for itself from a few values, searched wide and together.

Trials are judged on the newest tenth of the events that a training may see, which lies before the tenth that the
training itself is judged on; so the figure of a model trained with the best settings stays honest. The first trial is
what training would have chosen by itself. A trial trains on a quarter, half and all of the viewers, one step each
(1, 2, 4 of 4), so that a scheduler can stop it after the cheap ones.

* Running and held-out measure: 1 − NDCG@10 on products that viewers took to and had not met.
* Parts: that, and the share of the catalogue that no slate shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.errors import InputError
from trainables.recommender.settings import RecommenderTrainConfig
from tuning.config import SweepConfig
from tuning.objective import RUNNING
from tuning.space import Axis
from tuning.subject import Subject

if TYPE_CHECKING:
    from trainables.data.dataset import Dataset

STEPS = 4
"""Quarters of the viewers."""


class RecommenderSubject(Subject):
    """Item-item models with their popularity, trend and content."""

    name = "recommender"
    trial_module = "tuning.recommender.trial"
    config_class = RecommenderTrainConfig
    space = (
        Axis(name="ease.l2", label="λ", low=10.0, high=3000.0),
        Axis(name="ease.half_life_days", label="days", low=5.0, high=180.0),
        Axis(name="feedback.impression", label="seen", low=0.0, high=0.8, log=False),
        Axis(name="history_half_life_days", label="past", low=2.0, high=180.0),
        Axis(name="popularity.trend_strength", label="trend", low=0.0, high=1.2, log=False),
        Axis(name="popularity_weight", label="pop", low=0.0, high=0.25, log=False),
    )
    parts = ("lost NDCG@10", "products never shown")
    shade = "popularity_weight"
    measure = "1 − NDCG@10"

    def check(self, config: SweepConfig) -> None:
        if config.scheduler == "pbt":
            raise InputError(
                "a recommender is solved at once, so no trial can go on from another; choose --scheduler asha, median "
                "or none"
            )
        if config.workers_per_trial != 1:
            raise InputError("a trial of the recommender runs in one process; leave --workers-per-trial out")
        if config.steps != STEPS:
            raise InputError(f"a recommender's trial has {STEPS} steps, quarters of the viewers, not {config.steps}")

    def prepared(self, base: RecommenderTrainConfig, config: SweepConfig, dataset: Dataset) -> RecommenderTrainConfig:
        """What training would choose by itself: the first trial, and what no axis varies in the others.

        Trials train no ranker; its settings stay as they are for the training with the best settings.
        """
        from trainables.recommender.evaluation import training_boundary
        from trainables.recommender.learning import learn
        from trainables.recommender.train import read_training_data

        data = read_training_data(dataset)
        learned = learn(base, data, until_ms=training_boundary(data.events))
        return replace(learned, learn=replace(learned.learn, enabled=False))

    def resources(self, workers: int, gpus: float) -> dict[str, float]:
        return {"CPU": 1}

    def running(self, lines: Sequence[Mapping[str, float]]) -> float:
        return lines[-1][RUNNING]


SUBJECT = RecommenderSubject()
