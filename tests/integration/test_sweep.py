"""Sweeps over real Ray Train runs on a dataset of a dozen tiny clips."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from unittest.mock import Mock

import pytest
from mlflow import MlflowClient

from cluster import config
from cluster.errors import InputError, ShopreelError, StorageError
from cluster.registry import Registry
from tests.generator_tiny import TINY
from tests.tiny_shop import make_tiny_shop
from tests.unit.test_tuning import outcomes
from trainables.data.dataset import Dataset
from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.runs.folder import RunFolder
from tuning import sweep
from tuning.config import SweepConfig
from tuning.generator.subject import SUBJECT, space
from tuning.recommender.subject import SUBJECT as RECOMMENDER
from tuning.space import apply, settings_of
from tuning.sweep import begun, resume_sweep, run_sweep

SWEEP = SweepConfig(name="s", trials=4, steps=8, concurrency=2, space=space(batch_size=(2, 4)))


def test_a_sweep_of_four_trials_one_of_which_diverges(settings, storage, ray_local):
    """One parent and four child runs; the trial whose losses are not finite fails alone; the best of the others wins.

    The first trial takes the base config's own settings, whose learning rate is absurd here: the second step is NaN.
    """
    make_tiny_shop(storage, viewers=0)
    diverging = replace(TINY, optimizer=replace(TINY.optimizer, learning_rate=1e38, warm_up=0.0))

    result = run_sweep(settings, SUBJECT, "tiny", SWEEP, diverging)

    client = MlflowClient(settings.tracking_uri)
    parent = client.get_run(result.parent_run_id)
    assert (parent.info.status, parent.data.tags["kind"], parent.info.run_name) == ("FINISHED", "sweep", "s")
    query = f"tags.mlflow.parentRunId = '{result.parent_run_id}'"
    children = {run.info.run_name: run for run in client.search_runs([parent.info.experiment_id], query)}
    assert sorted(children) == ["s-000", "s-001", "s-002", "s-003"]
    assert len(client.search_runs([parent.info.experiment_id])) == 5

    failed, *others = result.trials
    assert (failed.status, failed.settings["optimizer.learning_rate"]) == ("failed", 1e38)
    assert "lower optimizer.learning_rate" in failed.error
    assert children[failed.name].info.status == "FAILED"
    assert "lower optimizer.learning_rate" in children[failed.name].data.tags["failure"]
    for trial in others:
        assert trial.status in ("finished", "stopped early")
        assert (trial.objective is not None) == (trial.status == "finished")
        child = children[trial.name]
        assert (child.info.run_id, child.info.status) == (trial.run_id, "FINISHED")
        assert ("stopped_early" in child.data.tags) == (trial.status == "stopped early")
        assert float(child.data.params["loss.content_weight"]) == trial.settings["loss.content_weight"]
        assert client.get_metric_history(trial.run_id, "loss/style") or trial.status == "stopped early"

    finished = [trial for trial in others if trial.objective is not None]
    assert result.best == min(finished, key=lambda trial: trial.objective)
    best = config.load(RestyleTrainConfig, result.best_config_path)
    assert best.optimizer.learning_rate == result.best_settings["optimizer.learning_rate"]
    assert best.loss.content_weight == result.best_settings["loss.content_weight"]
    assert best.batch_size == result.best_settings["batch_size"] in (2, 4)
    assert best.frame_size == diverging.frame_size != RestyleTrainConfig().frame_size  # what all trials share as well
    assert best.steps == RestyleTrainConfig().steps  # a trial's length is the sweep's own
    assert Registry(settings).names() == []

    with pytest.raises(InputError, match="sweep 's' exists"):
        run_sweep(settings, SUBJECT, "tiny", SWEEP, TINY)


def test_a_sweep_killed_while_ray_starts_is_taken_up_in_the_run_it_had(settings, storage, monkeypatch):
    make_tiny_shop(storage, viewers=0)
    monkeypatch.setattr(sweep, "ray_session", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_sweep(settings, SUBJECT, "tiny", SWEEP, TINY)
    assert begun(settings, "s", SUBJECT) == SWEEP
    with pytest.raises(KeyboardInterrupt):
        resume_sweep(settings, "s")
    client = MlflowClient(settings.tracking_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("shopreel").experiment_id])
    assert run.info.run_name == "s"


def test_a_sweep_that_another_command_runs_is_not_taken_up(settings, storage, monkeypatch):
    make_tiny_shop(storage, viewers=0)
    monkeypatch.setattr("trainables.runs.driver_lock.LOCK_SECONDS", 0)

    @contextmanager
    def resumed_meanwhile(settings):
        with pytest.raises(InputError, match="sweep 's' is being run by another command"):
            resume_sweep(settings, "s")
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(sweep, "ray_session", resumed_meanwhile)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(settings, SUBJECT, "tiny", SWEEP, TINY)


@pytest.fixture
def tried(settings, storage, monkeypatch):
    """A sweep whose trials have run, without Ray."""
    make_tiny_shop(storage, viewers=0)
    monkeypatch.setattr(sweep, "ray_session", lambda settings: nullcontext())
    monkeypatch.setattr(sweep, "_tune", lambda *_: None)
    monkeypatch.setattr(sweep, "_outcomes", lambda *_: outcomes(4))
    return lambda: run_sweep(settings, SUBJECT, "tiny", SWEEP, TINY)


def test_a_sweep_keeps_what_it_found_though_mlflow_is_away_when_it_ends(tried, storage, monkeypatch):
    monkeypatch.setattr(sweep, "connect", Mock(side_effect=StorageError("no answer")))
    result = tried()
    assert result.best.objective == min(trial.objective for trial in result.trials if trial.objective is not None)
    assert {"best.yaml", "report.html"} <= set(storage.list("sweeps/s"))


def test_the_best_settings_are_there_even_where_the_report_cannot_be_drawn(tried, storage, monkeypatch):
    monkeypatch.setattr(sweep, "report", Mock(side_effect=RuntimeError("no fonts")))
    with pytest.raises(RuntimeError, match="no fonts"):
        tried()
    assert storage.exists("sweeps/s/best.yaml")


def test_a_sweep_that_lost_trials_says_so_and_how_to_get_them_back(tried, monkeypatch):
    monkeypatch.setattr(sweep, "_outcomes", lambda *_: outcomes(4)[:1])
    with pytest.raises(ShopreelError, match="1 trials of 4 ran.* delete .*sweeps/s/tune and --resume s"):
        tried()


def test_a_sweep_whose_trials_would_go_on_with_other_runs_is_refused(settings, storage):
    """A sweep whose folder was deleted leaves the runs of its trials, which a new one of that name would take over."""
    make_tiny_shop(storage, viewers=0)
    storage.write_json("runs/s-003/run.json", {})
    with pytest.raises(InputError, match="run 's-003' exists at .*give the sweep another --name"):
        run_sweep(settings, SUBJECT, "tiny", SWEEP, TINY)


def test_a_batch_that_the_workers_cannot_share_is_refused_before_anything_starts(settings, storage):
    make_tiny_shop(storage, viewers=0)
    shared = replace(SWEEP, workers_per_trial=3)
    with pytest.raises(InputError, match=r"batch_size may become \[2, 4\]; give multiples of the 3 workers"):
        run_sweep(settings, SUBJECT, "tiny", shared, TINY)


def test_a_sweep_of_recommenders_begins_with_what_training_would_choose(settings, storage, ray_local):
    """The first trial holds the learned settings; what comes out is a config that training takes as it is."""
    make_tiny_shop(storage, viewers=60)
    asked = SweepConfig(name="r", trials=3, steps=4, concurrency=1)

    shared = RecommenderTrainConfig(content_weight=0.5)
    result = run_sweep(settings, RECOMMENDER, "tiny", asked, shared)

    base = RECOMMENDER.prepared(shared, asked, Dataset.open(storage, "tiny"))
    assert result.trials[0].settings == pytest.approx(settings_of(base, RECOMMENDER.space))
    assert not base.learn.enabled
    best = config.load(RecommenderTrainConfig, result.best_config_path)
    assert best == apply(base, result.best_settings)
    assert not best.learn.enabled and best.ranker.enabled
    finished = [trial for trial in result.trials if trial.status == "finished"]
    assert result.best.objective == min(trial.objective for trial in finished)
    assert all(0 <= part <= 1 for trial in finished for part in trial.parts)
    lines = RunFolder(storage, finished[0].name).stats()
    assert [line["step"] for line in lines] == [1, 2, 4]
    assert lines[-1]["running"] == pytest.approx(finished[0].objective, abs=1e-5)
    client = MlflowClient(settings.tracking_uri)
    assert client.get_metric_history(finished[0].run_id, "ndcg_at_10")[-1].value == pytest.approx(
        1 - finished[0].objective
    )
