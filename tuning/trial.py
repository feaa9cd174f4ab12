"""One trial: one Ray Train run, tracked as a child of the sweep, without a registered model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from cluster.settings import Settings
from trainables.generator.job import run_training
from trainables.generator.ray_train import REPORTS
from trainables.generator.restyle.config import RestyleTrainConfig
from tuning.objective import OBJECTIVE, RUNNING, STEP, objective, running
from tuning.space import apply


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """What all trials of a sweep share; picklable."""

    settings: Settings
    sweep_name: str
    data_name: str
    base: RestyleTrainConfig
    start: Path | None
    """Bundle whose weights every trial begins with."""
    workers: int
    parent_run_id: str


def trial_name(sweep_name: str, number: int) -> str:
    """Name of a trial, of its Train run and of its run in MLflow."""
    return f"{sweep_name}-{number:03d}"


def resources(workers: int, gpus: float) -> dict[str, float]:
    """What Tune sets aside for a trial's own process.

    With one worker the training runs in that process. With more it only waits for its Train run, which asks for what
    its workers need; Tune takes no empty request, so it asks for a little memory.
    """
    if workers == 1:
        return {"CPU": 1, "GPU": 1} if gpus >= 1 else {"CPU": 1}
    return {"CPU": 0, "memory": 1024**2}


def run_trial(point: Mapping[str, Any], task: TrialTask) -> None:
    """Tune's trainable: train at one point of the space, then report the held-out objective.

    With one worker the Train run is in local mode: no controller and no worker are started for it, and Tune goes on to
    the next trial in the same process, so start-up is paid once.
    """
    # A trial that is stopped early ends its run in MLflow before its process takes the next one.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "20"
    config = apply(task.base, point["settings"])
    train = partial(
        run_training,
        task.settings,
        task.data_name,
        trial_name(task.sweep_name, point["number"]),
        config,
        workers=task.workers,
        parent_run_id=task.parent_run_id,
        register=False,
        start=task.start,
    )
    if task.workers == 1:
        local = partial(train, use_ray=False, on_step=_reporting(config.steps))
        trained = TorchTrainer(local, scaling_config=ScalingConfig(num_workers=0)).fit().return_value
    else:
        trained = train(use_ray=True, callbacks=[ReportToTune()])
    last = {STEP: config.steps, RUNNING: running([trained.metrics]), OBJECTIVE: objective(trained.metrics)}
    tune.report(last)


def _reporting(steps: int) -> Callable[[int, Mapping[str, float]], None]:
    """An `on_step` that hands Tune the running measure as often as a Train run with workers does."""
    reported: list[Mapping[str, float]] = []
    every = max(1, steps // REPORTS)

    def on_step(step: int, terms: Mapping[str, float]) -> None:
        if step % every == 0 and step < steps:
            reported.append(terms)
            tune.report({STEP: step, RUNNING: running(reported)})

    return on_step


class ReportToTune(TuneReportCallback):
    """Hands Tune the running measure with every report of a Train run with workers; lives in Train's controller."""

    def __init__(self) -> None:
        super().__init__()
        self._terms: list[dict[str, float]] = []

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        """The first worker speaks for all: the terms are means over workers."""
        self._terms.append(metrics[0])
        super().after_report(run_context, [{STEP: metrics[0][STEP], RUNNING: running(self._terms)}], checkpoint)
