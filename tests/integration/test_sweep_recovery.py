"""Sweeps that are killed and taken up again, and trials that go on from one another's weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from mlflow import MlflowClient

from tests.generator_tiny import TINY
from tests.tiny_shop import make_tiny_shop
from tests.waiting import wait_for
from trainables.generator.optimizer import set_rate
from trainables.runs.folder import RunFolder
from tuning.config import SweepConfig
from tuning.generator.subject import SUBJECT, space
from tuning.journal import Journal
from tuning.sweep import resume_sweep, run_sweep

pytestmark = pytest.mark.faults

DRIVER = """
import sys
from cluster.settings import Settings
from tests.integration.test_sweep_recovery import BASE, SUBJECT, SWEEP
from tuning.sweep import run_sweep
run_sweep(Settings.load(), SUBJECT, "tiny", SWEEP, BASE)
"""
BASE = replace(TINY, batch_size=2)
SWEEP = SweepConfig(name="s", trials=3, steps=28, concurrency=1, scheduler="none", space=space(batch_size=(2,)))


def scheduled(peak: float, step: int, steps: int) -> float:
    """Learning rate of the update that makes `step` steps done."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    set_rate(optimizer, BASE.optimizer, peak, (step - 1) / steps)
    return optimizer.param_groups[0]["lr"]


def test_a_sweep_whose_driver_is_killed_is_taken_up_again(settings, storage, ray_local):
    """`kill -9` of the driver in the middle of the second trial: no trial is lost, none is run twice, none gets a
    second run in MLflow, and the one that was under way goes on from its newest checkpoint.
    """
    make_tiny_shop(storage, viewers=0)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER], env=environment)
    journal, second = Journal(settings.storage_root, "s"), RunFolder(storage, "s-001")
    wait_for(
        lambda: storage.list(second.path("checkpoints")) and len(second.stats()) > SWEEP.rung,
        "the second trial is beyond its first checkpoint",
        process=driver, seconds=240,
    )  # fmt: skip
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    first = RunFolder(storage, "s-000").stats()
    assert [point.get("state") for point in journal.points().values()] == ["finished", None]

    result = resume_sweep(settings, "s")

    assert [(trial.name, trial.status) for trial in result.trials] == [(f"s-00{n}", "finished") for n in range(3)]
    assert [point["state"] for point in journal.points().values()] == ["finished"] * 3
    assert RunFolder(storage, "s-000").stats() == first
    (worker,) = storage.read_json(second.path("workers.json"))
    assert SWEEP.rung <= worker["resumed_from"] < SWEEP.steps
    assert [line["step"] for line in second.stats()] == list(range(1, SWEEP.steps + 1))
    client = MlflowClient(settings.tracking_uri)
    parent = client.get_run(result.parent_run_id)
    runs = client.search_runs([parent.info.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["s", "s-000", "s-001", "s-002"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {artifact.path for artifact in client.list_artifacts(result.parent_run_id, "sweep")} == {
        "sweep/best.yaml", "sweep/report.html",
    }  # fmt: skip


def test_a_trial_whose_process_is_killed_goes_on_from_its_newest_checkpoint(settings, storage, ray_local):
    """The sweep goes on, and the trial with it, in the run that it has in MLflow."""
    make_tiny_shop(storage, viewers=0)
    folder = RunFolder(storage, "k-000")

    def kill() -> None:
        wait_for(
            lambda: storage.list(folder.path("checkpoints")) and len(folder.stats()) > SWEEP.rung,
            "the trial is beyond its first checkpoint",
            seconds=120,
        )
        os.kill(storage.read_json(folder.path("workers.json"))[0]["pid"], signal.SIGKILL)

    with ThreadPoolExecutor() as beside:
        killed = beside.submit(kill)
        result = run_sweep(settings, SUBJECT, "tiny", replace(SWEEP, name="k", trials=1), BASE)
        killed.result()

    assert [trial.status for trial in result.trials] == ["finished"]
    (worker,) = storage.read_json(folder.path("workers.json"))
    assert worker["resumed_from"] >= SWEEP.rung
    client = MlflowClient(settings.tracking_uri)
    runs = client.search_runs([client.get_run(result.parent_run_id).info.experiment_id])
    assert sorted((run.info.run_name, run.info.status) for run in runs) == [("k", "FINISHED"), ("k-000", "FINISHED")]


def test_a_trial_that_falls_behind_goes_on_from_a_better_one_with_another_rate(settings, storage, ray_local):
    """Population based training: weights are handed on by checkpoint, and the mutated learning rate is what is trained
    with from there on, whatever the optimiser's state remembers. All trials are there at once, though one runs at a
    time; one that has come to its end is done.
    """
    make_tiny_shop(storage, viewers=0)
    sweep = replace(
        SWEEP, name="p", trials=4, concurrency=1, steps=16, scheduler="pbt", search="random",
        space=space(batch_size=(2,), learning_rate=(1e-5, 1e-2)),
    )  # fmt: skip
    result = run_sweep(settings, SUBJECT, "tiny", sweep, BASE)

    suggested = Journal(settings.storage_root, "p").points()
    rate = "optimizer.learning_rate"
    changed = [
        (number, trial) for number, trial in enumerate(result.trials)
        if trial.settings[rate] != pytest.approx(suggested[number]["settings"][rate])
    ]  # fmt: skip
    assert changed
    for _, trial in changed:
        folder = RunFolder(storage, trial.name)
        (worker,) = storage.read_json(folder.path("workers.json"))
        assert worker["resumed_from"] >= sweep.rung
        after = [line for line in folder.stats() if line["step"] > worker["resumed_from"]]
        assert after
        for line in after:
            expected = scheduled(trial.settings[rate], line["step"], sweep.steps)
            assert line["learning_rate"] == pytest.approx(expected, rel=1e-4)
    assert all(trial.status == "finished" for trial in result.trials)
    for trial in result.trials:
        said = storage.read_bytes(f"sweeps/p/tune/{trial.name}/result.json").decode().splitlines()
        assert [line["step"] for line in map(json.loads, said) if "objective" in line] == [sweep.steps]
