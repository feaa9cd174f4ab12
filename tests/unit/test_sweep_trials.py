"""What a trial of a sweep that is taken up again finds of itself, without Ray."""

from __future__ import annotations

import math
import shutil
from contextlib import nullcontext
from dataclasses import replace
from unittest.mock import Mock

import pytest
from ray import tune

from cluster.config import to_dict
from cluster.errors import InputError, ShopreelError, StorageError
from cluster.mlflow_store import connect
from cluster.tracking import TrackedRun
from tests.generator_tiny import TINY
from trainables.runs.folder import RunFolder
from tuning import trial
from tuning.generator.trial import _handed_on, _reporting, adopt
from tuning.objective import OBJECTIVE, PARTS, RUNNING, STEP
from tuning.sweep import has_trials
from tuning.task import TrialTask

END = {STEP: 8, RUNNING: 0.5, OBJECTIVE: 0.9, PARTS[0]: 0.6, PARTS[1]: 0.3}


@pytest.fixture
def task(settings) -> TrialTask:
    return TrialTask(
        settings=settings, sweep_name="s", data_name="tiny", base=TINY, steps=8, stops=False, exploits=False,
        start=None, workers=1, parent_run_id="parent",
    )  # fmt: skip


@pytest.fixture
def folder(storage) -> RunFolder:
    """Of a trial that has begun."""
    folder = RunFolder(storage, "s-001")
    folder.describe("generator", to_dict(TINY), "tiny", "hash")
    folder.note(run_id="run")
    return folder


@pytest.fixture
def reported(monkeypatch) -> list[dict[str, float]]:
    """What the trial tells Tune; it need not wait for MLflow."""
    reports = []
    monkeypatch.setattr(trial, "_wait_for_tracking", lambda settings: None)
    monkeypatch.setattr(trial.tune, "report", reports.append)
    return reports


def test_a_trial_that_came_to_its_end_says_so_again_and_has_nothing_to_do(folder, task, reported):
    assert trial.begin(folder, task)
    trial.end(folder, END)
    assert not trial.begin(folder, task)
    assert reported == [END, END]


def test_a_trial_that_failed_for_a_reason_of_its_own_trains_no_second_time(folder, task, reported):
    """Tune starts every trial that failed again; one whose storage was away goes on."""
    for error, kept in ((StorageError("no answer"), False), (ShopreelError("loss is nan"), True)):
        with pytest.raises(type(error)), trial.failing_for_good(folder):
            raise error
        with pytest.raises(ShopreelError, match="loss is nan") if kept else nullcontext():
            assert trial.begin(folder, task)


def test_the_end_of_a_trial_of_a_population_is_not_kept_for_another_time(folder, task, reported):
    """Tune may remember it with the settings of before it went on from another trial."""
    trial.end(folder, END)
    assert trial.begin(folder, replace(task, exploits=True))
    assert reported == [END]


@pytest.mark.parametrize("measure", [math.nan, math.inf])
def test_a_trial_whose_measure_is_no_number_fails_and_is_never_the_best(folder, task, reported, measure):
    with pytest.raises(ShopreelError, match="trial 's-001' ended with part_1"):
        trial.end(folder, END | {PARTS[0]: measure})
    assert reported == []
    assert trial.begin(folder, task)


def test_a_trial_killed_before_it_noted_its_run_in_mlflow_finds_it(storage, task, settings):
    """It was killed right after it made the run: that one says neither what it is nor whose child. A run of another
    sweep that had the same name is not taken.
    """
    client, folder = connect(settings.tracking_uri), RunFolder(storage, "s-001")
    folder.describe("generator", to_dict(TINY), "tiny", "hash")
    with TrackedRun(settings, "s", kind="sweep", params={}, lineage={}) as parent:
        task = replace(task, parent_run_id=parent.run_id)
    experiment = client.get_run(parent.run_id).info.experiment_id
    client.create_run(experiment, start_time=1, run_name="s-001")
    assert trial.begin(folder, task)
    assert "run_id" not in storage.read_json(folder.path("run.json"))
    own = client.create_run(experiment, run_name="s-001").info.run_id
    assert trial.begin(folder, task)
    assert storage.read_json(folder.path("run.json"))["run_id"] == own


def test_a_trial_that_begins_while_mlflow_is_away_waits_for_it(folder, task, monkeypatch):
    answers = iter([StorageError("no answer"), StorageError("no answer"), None])
    slept = []

    def connecting(uri: str):
        if error := next(answers):
            raise error
        return Mock()

    monkeypatch.setattr(trial, "connect", connecting)
    monkeypatch.setattr(trial.time, "sleep", slept.append)
    assert trial.begin(folder, task)
    assert slept == [trial.PAUSE_S] * 2


def test_a_trial_takes_the_checkpoint_it_was_handed_and_not_one_that_lies_beside_it(storage, tmp_path, monkeypatch):
    """Tune writes into a folder again after a trial went on from another one; whoever goes on from that trial next
    finds two checkpoints there.
    """
    handed = tmp_path / "handed"

    def hand_on(said: dict[str, float], checkpoint: tune.Checkpoint) -> None:
        shutil.copytree(checkpoint.path, handed, dirs_exist_ok=True)

    monkeypatch.setattr(tune, "report", hand_on)
    monkeypatch.setattr(tune, "get_checkpoint", lambda: tune.Checkpoint(str(handed)))
    terms = {"loss/style": 1.0, "loss/edges": 1.0}
    for step in (8, 4):
        donor = RunFolder(storage, f"s-{step}")
        storage.write_bytes(donor.path(f"checkpoints/step-{step:08d}.ckpt"), bytes([step]))
        _reporting(replace(TINY, steps=16, checkpoint_every=4), donor)(step, terms)
    folder = RunFolder(storage, "s-001")
    with _handed_on() as file:
        adopt(folder, file, TINY)
    assert storage.list(folder.path("checkpoints")) == ["step-00000004.ckpt"]


SLOWER = replace(TINY, optimizer=replace(TINY.optimizer, learning_rate=TINY.optimizer.learning_rate / 2))


@pytest.mark.parametrize(("remembered", "left"), [(TINY, ["step.ckpt"]), (SLOWER, [])], ids=["same", "other"])
def test_a_trial_that_tune_remembers_from_before_it_went_on_from_another_begins_anew(storage, remembered, left):
    """The kill came between the first time it did so and Tune's next note of its own state: it has no checkpoint to
    hand on. A run of other settings would be refused, and the trial lost.
    """
    folder = RunFolder(storage, "s-001")
    folder.describe("generator", to_dict(TINY), "tiny", "hash")
    storage.write_bytes(folder.path("checkpoints/step.ckpt"), b"")
    with nullcontext() if remembered is TINY else pytest.raises(InputError, match="learning_rate"):
        folder.describe("generator", to_dict(remembered), "tiny", "hash")
    adopt(folder, None, remembered)
    folder.describe("generator", to_dict(remembered), "tiny", "hash")
    assert storage.list(folder.path("checkpoints")) == left


@pytest.mark.parametrize(
    ("states", "known"),
    [
        pytest.param({}, False, id="none"),
        pytest.param({"1": b'{"trial_data": []}'}, False, id="no trial yet"),
        pytest.param({"1": b'{"trial_data": [["{}", "{}"]]}'}, True, id="a trial"),
        pytest.param({"1": b'{"trial_data": [["{}", "{}"]]}', "2": b'{"trial_da'}, False, id="newest cut off"),
    ],
)
def test_a_state_that_tune_could_not_take_up_is_known(storage, states, known):
    storage.write_bytes("sweeps/s/tune/tuner.pkl", b"")
    for number, state in states.items():
        storage.write_bytes(f"sweeps/s/tune/experiment_state-{number}.json", state)
    assert has_trials(storage, "sweeps/s/tune") is known
