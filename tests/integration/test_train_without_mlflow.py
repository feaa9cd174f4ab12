"""Trainings whose MLflow tracking server goes away: a real server process that is killed, stopped and started again."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from mlflow import MlflowClient

from cluster.config import override
from cluster.errors import StorageError
from cluster.settings import Settings
from cluster.storage import Storage
from tests.generator_tiny import TINY
from tests.mlflow_server import MlflowServer
from tests.tiny_shop import make_tiny_shop
from trainables.generator.job import run_training
from trainables.runs.folder import RunFolder
from trainables.trained import TrainedModel

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

STEPS = 60


@pytest.fixture
def server(tmp_path) -> Iterator[MlflowServer]:
    with MlflowServer(tmp_path) as server:
        yield server


@pytest.fixture
def served(settings, storage, server) -> Settings:
    make_tiny_shop(storage, products=5, viewers=0)
    return Settings.load(tracking_uri=server.url)


def train(settings: Settings, on_step=None) -> TrainedModel:
    config = override(TINY, [f"steps={STEPS}", "checkpoint_every=20"])
    return run_training(settings, "tiny", "r", config, workers=1, use_ray=False, on_step=on_step)


def assert_every_step_is_there_once(settings: Settings, server: MlflowServer) -> None:
    """In the server's own database: every loss of every step, in order, as in the run's record."""
    client = MlflowClient(server.store)
    (run,) = client.search_runs([client.get_experiment_by_name("shopreel").experiment_id])
    assert run.info.status == "FINISHED"
    record = RunFolder(Storage(settings.storage_root), "r").stats()
    assert [line["step"] for line in record] == list(range(1, STEPS + 1))
    for name in [name for name in record[0] if name.startswith("loss/")]:
        history = client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in history] == list(range(1, STEPS + 1))
        assert [point.value for point in history] == pytest.approx([line[name] for line in record], rel=1e-5)


def test_training_goes_on_while_mlflow_is_away_and_tells_it_later(served, server):
    """The server is killed, started again a while later, and then does not answer for a while (SIGSTOP): no step waits
    for it, and in the end it has every figure, in order, none twice.
    """

    def on_step(step: int, _: dict[str, float]) -> None:
        if step == 10:
            server.signal(signal.SIGKILL)
        elif step == 30:
            server.start()
        elif step == 40:
            server.wait()
        elif step == 45:
            server.signal(signal.SIGSTOP)
        elif step == STEPS:
            server.signal(signal.SIGCONT)

    server.start()
    server.wait()
    assert train(served, on_step).version.version == 1
    assert_every_step_is_there_once(served, server)


def test_a_run_needs_mlflow_at_its_beginning_and_its_end(served, server):
    """Away at the beginning: nothing begins. Away at the end: the training is done and kept, the command fails in
    words, and the same command registers the model; nothing is trained, nor told, twice.
    """
    with pytest.raises(StorageError, match=f"no answer from MLflow at {server.url}.*start it or change --tracking-uri"):
        train(served)
    folder = RunFolder(Storage(served.storage_root), "r")
    assert folder.checkpoints.newest() is None

    def on_step(step: int, _: dict[str, float]) -> None:
        if step == STEPS // 2:
            server.signal(signal.SIGKILL)

    server.start()
    server.wait()
    with pytest.raises(StorageError, match="run the same command"):
        train(served, on_step)
    assert folder.checkpoints.newest()["step"] == STEPS

    server.start()
    server.wait()
    again: list[int] = []
    assert train(served, lambda step, _: again.append(step)).version.version == 1
    assert again == []
    assert_every_step_is_there_once(served, server)
