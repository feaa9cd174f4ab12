"""The recommender's training as users start it: on Ray, tracked, registered, by command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from cluster.cli.main import app
from cluster.config import override
from cluster.errors import InputError, NotFoundError
from cluster.registry import Registry
from cluster.settings import Settings
from cluster.storage import Storage
from tests.recommender_log import preset_codes, two_tastes
from trainables.data.dataset import Dataset
from trainables.recommender.evaluation import GATE, evaluate_bundle, training_boundary
from trainables.recommender.job import run_training
from trainables.recommender.recommender import Recommender
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import sum_here, train
from trainables.runs.folder import RunFolder

CONFIG = override(RecommenderTrainConfig(), ["ease.chunk_viewers=64"])


@pytest.fixture
def dataset(storage: Storage) -> Dataset:
    data = two_tastes()
    dataset = Dataset.create(storage, "shop")
    dataset.append("products", data.products, "test")
    dataset.append("events", data.events, "test")
    return dataset


def test_the_model_trained_on_ray_equals_the_local_one_to_the_last_bit(ray_local):
    from trainables.recommender.ray_train import sum_on_ray

    data = two_tastes()
    until_ms = training_boundary(data.events)
    stages: list[tuple[str, int, int]] = []
    here, there = (
        train(CONFIG, data, preset_codes(), until_ms=until_ms, gram_sum=how, on_progress=report)
        for how, report in ((sum_here, lambda *_: None), (sum_on_ray, lambda *stage: stages.append(stage)))
    )
    np.testing.assert_array_equal(here.item_item_mm, there.item_item_mm)
    assert here.item_item_mm.any()
    assert ("item-item statistics", 5, 5) in stages  # 300 viewers in chunks of 64


def test_a_run_is_tracked_measured_registered_and_served(ray_local, settings: Settings, dataset: Dataset):
    trained = run_training(settings, "shop", "first", CONFIG)
    assert trained.metrics["ndcg_at_10"] > trained.metrics["popularity_ndcg_at_10"]

    registry = Registry(settings)
    version = registry.resolve("recommender@challenger")
    assert version.reference == trained.version.reference == "recommender/1"
    assert version.run_id == trained.run_id
    assert version.lineage["data_name"] == "shop"
    assert version.lineage["data_hash"] == dataset.content_hash()

    folder = registry.fetch(version)
    assert len(Recommender.from_bundle(folder).recommend([], 8, 0)) == 8
    measured = evaluate_bundle(folder, dataset)
    assert all(measured[c.metric] == pytest.approx(trained.metrics[c.metric], rel=1e-12) for c in GATE)
    card = json.loads((folder / "card.json").read_text())
    assert card["metrics"]["ndcg_at_10"] == trained.metrics["ndcg_at_10"]
    assert card["settings"]["ease"]["chunk_viewers"] == 64
    assert dataset.storage.exists("runs/first/bundle/config.json")


def test_a_generators_run_is_not_written_over(settings: Settings, dataset: Dataset):
    folder = RunFolder(dataset.storage, "clips")
    folder.describe("generator", {}, "shop", dataset.content_hash())
    with pytest.raises(InputError, match="'clips' is one of a generator; give this one another --run name"):
        run_training(settings, "shop", "clips", CONFIG, use_ray=False)
    assert not dataset.storage.exists("runs/clips/config.json")


def test_the_command_trains_without_ray_and_compares_with_popularity(settings: Settings, dataset: Dataset):
    result = CliRunner().invoke(
        app, ["train", "recommender", "--data", "shop", "--no-ray", "--run", "by-hand", "--set", "ease.l2=50"]
    )
    assert result.exit_code == 0, result.output
    assert "ndcg_at_10" in result.stdout
    assert "recommender/1" in result.stdout
    saved = dataset.storage.read_json("runs/by-hand/config.json")
    assert saved["settings"]["ease"]["l2"] == 50.0


def test_bad_requests_name_what_is_wrong(settings: Settings, dataset: Dataset):
    with pytest.raises(NotFoundError, match="nowhere"):
        run_training(settings, "nowhere", None, CONFIG, use_ray=False)
    Dataset.create(dataset.storage, "bare")
    with pytest.raises(NotFoundError, match="no events"):
        run_training(settings, "bare", None, CONFIG, use_ray=False)
    with pytest.raises(InputError, match="not a name"):
        run_training(settings, "shop", "../escape", CONFIG, use_ray=False)
    unknown = CliRunner().invoke(app, ["train", "recommender", "--data", "shop", "--set", "ease.lambda=1"])
    assert isinstance(unknown.exception, InputError)
    assert "ease.lambda" in str(unknown.exception)
