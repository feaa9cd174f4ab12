"""One trial: one Ray Train run, tracked as a child of the sweep, without a registered model."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ray import tune
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from cluster.config import to_dict
from cluster.storage import Storage
from trainables.generator.job import run_training
from trainables.generator.ray_train import report_interval
from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.runs.folder import RunFolder
from tuning.generator.subject import measures, running
from tuning.objective import RUNNING, STEP
from tuning.space import apply
from tuning.task import TrialTask
from tuning.trial import begin, end, failing_for_good

FILE = "file"
"""What the metadata of a checkpoint in Tune's hands call its file."""


def run_trial(point: Mapping[str, Any], task: TrialTask) -> None:
    """Tune's trainable: train at one point of the space, then report the held-out objective.

    With one worker the Train run is in local mode: no controller and no worker are started for it, and Tune goes on to
    the next trial in the same process, so start-up is paid once.
    """
    # A trial that is stopped early ends its run in MLflow before its process takes the next one.
    os.environ["TUNE_FUNCTION_THREAD_TIMEOUT_S"] = "20"
    config = apply(task.base, point["settings"])
    # Not by number: a trial that goes on from another one is given that one's settings, number and all.
    name = tune.get_context().get_trial_name()
    folder = RunFolder(Storage(task.settings.storage_root), name)
    if not begin(folder, task):
        return
    if task.exploits:
        with _handed_on() as file:
            adopt(folder, file, config)
    train = partial(
        run_training,
        task.settings,
        task.data_name,
        name,
        config,
        workers=task.workers,
        parent_run_id=task.parent_run_id,
        register=False,
        start=task.start,
    )
    with failing_for_good(folder):
        if task.workers == 1:
            reporting = _reporting(config, folder if task.exploits else None)
            said = {"on_checkpoint": reporting} if task.exploits else {"on_step": reporting}
            local = partial(train, use_ray=False, **said)
            trained = TorchTrainer(local, scaling_config=ScalingConfig(num_workers=0)).fit().return_value
        else:
            trained = train(use_ray=True, callbacks=[ReportToTune()])
        end(folder, {STEP: config.steps, RUNNING: running([trained.metrics]), **measures(trained.metrics)})


@contextmanager
def _handed_on() -> Iterator[Path | None]:
    """The checkpoint that Tune hands this trial. Others lie beside it where the trial went on from another one before:
    Tune then counts its checkpoints from there, and writes into folders that it has filled already.
    """
    handed = tune.get_checkpoint()
    if handed is None:
        yield None
        return
    with handed.as_directory() as folder:
        yield Path(folder) / handed.get_metadata()[FILE]


def adopt(folder: RunFolder, taken: Path | None, config: RestyleTrainConfig) -> None:
    """Make a trial's run go on from a checkpoint that Tune hands it, with these settings.

    Without one it goes on from its own, unless those are of other settings: after a kill Tune may remember a trial as
    it was before it first went on from another. Then it begins anew.

    The learning rate is set anew at every step, so what the checkpoint's optimiser remembers of it does not matter.
    """
    settings = json.loads(json.dumps(to_dict(config)))
    begun = folder.noted()
    if taken is None and (not begun or begun["settings"] == settings):
        return
    folder.storage.delete(folder.path("checkpoints"))
    folder.storage.delete(folder.path("checkpoints.json"))
    if taken is not None:
        folder.storage.write_bytes(folder.path(f"checkpoints/{taken.name}"), taken.read_bytes())
    if begun:
        folder.note(settings=settings)


def _reporting(config: RestyleTrainConfig, exploited: RunFolder | None) -> Callable[[int, Mapping[str, float]], None]:
    """An `on_step` that hands Tune the running measure as often as a Train run with workers does.

    Of a run that others may go on from, an `on_checkpoint`: the newest checkpoint goes with the measure.
    """
    reported: list[Mapping[str, float]] = []
    every = config.checkpoint_every if exploited else report_interval(config.steps)

    def on_step(step: int, terms: Mapping[str, float]) -> None:
        if step % every or step >= config.steps:
            return
        reported.append(terms)
        said = {STEP: step, RUNNING: running(reported)}
        if exploited is None:
            tune.report(said)
            return
        with tempfile.TemporaryDirectory() as scratch:
            newest = exploited.checkpoints.names()[-1]
            data = exploited.storage.read_bytes(exploited.path(f"checkpoints/{newest}"))
            (Path(scratch) / newest).write_bytes(data)
            handed = tune.Checkpoint.from_directory(scratch)
            handed.set_metadata({FILE: newest})
            tune.report(said, checkpoint=handed)

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
