"""One trial: recommenders at one point of the space on a growing share of the viewers, a child run in MLflow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from ray import tune

from cluster.config import to_dict
from cluster.errors import InputError
from cluster.storage import Storage
from cluster.tracking import TrackedRun, code_version
from trainables.data.dataset import Dataset
from trainables.generator.restyle.presets import preset_codes
from trainables.recommender.evaluation import evaluate, training_boundary
from trainables.recommender.recommender import Recommender
from trainables.recommender.train import TrainingData, events_before, read_training_data, train
from trainables.runs.folder import RunFolder
from trainables.runs.sinks import StatsSink
from tuning.objective import OBJECTIVE, PARTS, RUNNING, STEP
from tuning.recommender.subject import STEPS
from tuning.space import apply
from tuning.task import TrialTask
from tuning.trial import begin, end, failing_for_good

RUNGS = (1, 2)
"""Steps at which a scheduler may stop a trial."""


def run_trial(point: Mapping[str, Any], task: TrialTask) -> None:
    """Tune's trainable: train and measure on a share of the viewers at every rung, then on all of them."""
    storage, name = Storage(task.settings.storage_root), tune.get_context().get_trial_name()
    dataset, folder = Dataset.open(storage, task.data_name), RunFolder(storage, name)
    if not begin(folder, task):
        return
    config = apply(task.base, point["settings"])
    data = read_training_data(dataset)
    data = replace(data, events=events_before(data.events, training_boundary(data.events)))
    boundary_ms = training_boundary(data.events)
    known = folder.noted()
    if not known:
        storage.write_json(folder.path("run.json"), {"kind": "recommender"})
    tracked = TrackedRun(
        task.settings,
        name,
        kind="recommender",
        parent_run_id=task.parent_run_id,
        run_id=known.get("run_id"),
        params=to_dict(config),
        lineage={"data_name": task.data_name, "code_version": code_version()},
    )
    with tracked as run, failing_for_good(folder):
        folder.note(run_id=run.run_id)
        sink = StatsSink(folder, 1)
        for step in (*(RUNGS if task.stops else ()), STEPS):
            part = _of_viewers(data, step / STEPS)
            model = train(config, part, preset_codes(), until_ms=boundary_ms)
            metrics = evaluate(Recommender(model), data, boundary_ms)
            if not metrics["holdout_viewers"]:
                raise InputError(
                    f"no viewer of dataset {task.data_name!r} took to anything new in the newest tenth before the one "
                    "that trainings are judged on; a sweep needs a longer log"
                )
            told = {RUNNING: 1 - metrics["ndcg_at_10"]}
            sink.log(step, told)
            run.log_metrics(metrics, step=step)
            if step < STEPS:
                tune.report({STEP: step, **told})
        sink.close()
        parts = told[RUNNING], 1 - metrics["coverage_at_10"]
        end(folder, {STEP: STEPS, **told, OBJECTIVE: told[RUNNING], **dict(zip(PARTS, parts, strict=True))})


def _of_viewers(data: TrainingData, share: float) -> TrainingData:
    """The events of about a share of the viewers, by a hash of their pseudonyms; a smaller share lies in a larger."""
    if share >= 1:
        return data
    viewers = data.events["viewer_id"].combine_chunks().dictionary_encode()
    taken = [
        int.from_bytes(hashlib.blake2b(viewer.encode(), digest_size=4).digest()) < share * 2**32
        for viewer in viewers.dictionary.to_pylist()
    ]
    return replace(data, events=data.events.filter(pa.array(np.asarray(taken)[viewers.indices.to_numpy()])))
