"""One trial: one Ray Train run, tracked as a child of the sweep, without a registered model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.integration.ray_train import TuneReportCallback

from cluster.settings import Settings
from trainables.generator.config import GeneratorTrainConfig
from trainables.generator.job import run_training
from tuning.objective import OBJECTIVE, RUNNING, STEP, objective, running
from tuning.space import apply


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What all trials of a sweep share; picklable."""

    settings: Settings
    sweep_name: str
    data_name: str
    base: GeneratorTrainConfig
    workers: int
    parent_run_id: str


def trial_name(sweep_name: str, number: int) -> str:
    """Name of a trial, of its Train run and of its run in MLflow."""
    return f"{sweep_name}-{number:03d}"


def run_trial(point: Mapping[str, Any], task: TrialTask) -> None:
    """Tune's trainable: train at one point of the space, then report the held-out objective."""
    config = apply(task.base, point["settings"])
    reports = ReportToTune()
    trained = run_training(
        task.settings,
        task.data_name,
        trial_name(task.sweep_name, point["number"]),
        config,
        workers=task.workers,
        use_ray=True,
        parent_run_id=task.parent_run_id,
        register=False,
        callbacks=[reports],
    )
    last = {STEP: config.steps, RUNNING: running([trained.metrics]), OBJECTIVE: objective(trained.metrics)}
    tune.report(last)


class ReportToTune(TuneReportCallback):
    """Hands Tune the running measure with every report of the Train run; lives in Train's controller."""

    def __init__(self) -> None:
        super().__init__()
        self._terms: list[dict[str, float]] = []

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        """The first worker speaks for all: the terms are means over workers."""
        self._terms.append(metrics[0])
        super().after_report(run_context, [{STEP: metrics[0][STEP], RUNNING: running(self._terms)}], checkpoint)
