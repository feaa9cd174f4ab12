"""The generator's training as users start it: tracked, measured on held-out products, registered, by command."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from cluster.cli.main import app
from cluster.config import override
from cluster.errors import InputError
from cluster.registry import Registry
from cluster.storage import Storage
from tests.generator_tiny import TINY, Recorder
from tests.tiny_shop import make_tiny_shop
from trainables.data.dataset import Dataset
from trainables.generator.errors import TrainingDiverged
from trainables.generator.job import run_training
from trainables.generator.restyle.task import TASK
from trainables.generator.restyle.updates import RestyleUpdates
from trainables.generator.split import split_products
from trainables.runs.folder import RunFolder

TINY_SETTINGS = (
    "steps=4",
    "batch_size=2",
    "frame_size=32",
    "network.widths=[16,16,16]",
    "network.blocks=1",
    "discriminator.width=8",
    "looks.references=1",
    "looks.variants=0",
    "looks.crops=1",
)


@pytest.fixture
def shop(storage: Storage) -> Dataset:
    return make_tiny_shop(storage, products=8, viewers=0)


def test_a_training_is_tracked_registered_and_measured_on_products_it_never_saw(settings, storage, shop):
    seen: list[int] = []
    trained = run_training(
        settings, "tiny", "first", TINY, workers=1, use_ray=False, on_step=lambda step, _: seen.append(step)
    )
    assert seen == list(range(1, TINY.steps + 1))
    assert trained.metrics["steps"] == TINY.steps
    assert {"loss/style", "loss/content", "heldout/style_distance"} <= trained.metrics.keys()
    held_out = split_products(shop.clip_products())[1]
    (worker,) = storage.read_json("runs/first/workers.json")
    assert not set(worker["products"]) & set(held_out)

    version = Registry(settings).resolve("generator@challenger")
    assert (version.version, version.run_id, version.lineage["data_hash"]) == (1, trained.run_id, shop.content_hash())
    metrics = TASK.evaluate(Registry(settings).fetch(version), shop, held_out)
    assert {criterion.metric for criterion in TASK.gate} <= metrics.keys()
    assert metrics["sobel_correlation"] == pytest.approx(trained.metrics["heldout/sobel_correlation"])
    assert storage.list("runs/first/sheets") == [f"step-{TINY.steps:06d}.png"]

    client = MlflowClient(settings.tracking_uri)
    run = client.get_run(trained.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["loss.content_weight"] == str(TINY.loss.content_weight)
    assert len(client.get_metric_history(trained.run_id, "loss/style")) == TINY.steps
    assert any(file.path.endswith(".png") for file in client.list_artifacts(trained.run_id))

    with pytest.raises(InputError, match="'first' is finished and registered as generator/1"):
        run_training(settings, "tiny", "first", TINY, workers=1, use_ray=False)


def test_figures_that_the_workers_could_not_send_reach_mlflow_before_the_run_ends(settings, storage, shop, monkeypatch):
    """MLflow was away until after they had ended, and is back when the model is registered."""
    monkeypatch.setattr("trainables.generator.job.MlflowSink", lambda *_: Recorder())
    trained = run_training(settings, "tiny", "late", TINY, workers=1, use_ray=False)
    client = MlflowClient(settings.tracking_uri)
    for name in ("loss/total", "learning_rate"):
        told = [(point.step, point.value) for point in client.get_metric_history(trained.run_id, name)]
        assert told == [(line["step"], pytest.approx(line[name])) for line in RunFolder(storage, "late").stats()]
        assert len(told) == TINY.steps


def test_a_run_that_was_slowed_says_so_at_its_end(settings, storage, shop, monkeypatch, caplog):
    """Its workers may be on other machines, where nobody reads what they log."""
    plain = RestyleUpdates.step

    def diverging(self, step, batch):
        if step == 1 and self.config.optimizer.learning_rate == TINY.optimizer.learning_rate:
            raise TrainingDiverged("step 1: loss term 'total' is nan")
        return plain(self, step, batch)

    monkeypatch.setattr(RestyleUpdates, "step", diverging)
    trained = run_training(settings, "tiny", "wild", override(TINY, ["steps=2"]), workers=1, use_ray=False)
    assert "run 'wild' diverged once and went on with 0.3 times the learning rate" in caplog.text
    assert MlflowClient(settings.tracking_uri).get_run(trained.run_id).data.tags["slowed"] == "0.3"


def test_a_command_killed_at_its_end_is_taken_up_again(settings, storage, shop):
    """While it wrote a contact sheet, and after the model was registered: the same command ends well, with the same
    version.
    """
    folder = RunFolder(storage, "first")
    half_a_sheet = folder.path(f"sheets/step-{TINY.steps:06d}.png.12345678.tmp")
    storage.write_bytes(half_a_sheet, b"\x89PNG half")
    first = run_training(settings, "tiny", "first", TINY, workers=1, use_ray=False)
    known = storage.read_json(folder.path("run.json"))
    assert known.pop("version") == first.version.reference
    storage.write_json(folder.path("run.json"), known)
    again = run_training(settings, "tiny", "first", TINY, workers=1, use_ray=False)
    assert again.version == first.version
    assert [version.version for version in Registry(settings).versions("generator")] == [1]


def test_the_command_trains_and_says_what_is_wrong(settings, storage, shop):
    flags = [flag for setting in TINY_SETTINGS for flag in ("--set", setting)]
    done = CliRunner().invoke(app, ["train", "generator", "--data", "tiny", "--run", "by-hand", "--no-ray", *flags])
    assert done.exit_code == 0, done.output
    assert "generator/1" in done.output
    assert len(RunFolder(storage, "by-hand").stats()) == 4

    def failure(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["train", "generator", "--data", "tiny", "--no-ray", *arguments])
        assert result.exit_code != 0
        return str(result.exception)

    assert "'by-hand' exists with other steps (4 → 600)" in failure("--run", "by-hand")
    assert "unknown setting loss.lambda" in failure("--set", "loss.lambda=1")
    assert "without Ray there is one worker, not 2" in failure("--workers", "2")
    assert "is not a folder" in failure("--styles", "nowhere")
    assert "'missing' does not exist" in failure("--data", "missing")
