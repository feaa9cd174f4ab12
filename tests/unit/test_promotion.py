"""Promotion across shops: a recommender of another dataset is no yardstick, a generator is."""

import json
from pathlib import Path

import numpy as np
import pytest

from cluster.registry import Registry
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import TrackedRun
from trainables import promotion
from trainables.bundle import write_bundle
from trainables.data.dataset import Dataset
from trainables.gate import Criterion


@pytest.fixture
def trained(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """Register a model of some quality, trained on some dataset; the gate compares the qualities."""

    def evaluate(folder: Path, dataset: Dataset) -> dict[str, float]:
        return {"quality": json.loads((folder / "card.json").read_text())["quality"]}

    criteria = (Criterion(metric="quality", higher_is_better=True),)
    monkeypatch.setattr(promotion, "_judge_of", lambda name: (evaluate, criteria))

    def register(name: str, data_name: str, quality: float):
        bundle = Path(settings.storage_root) / f"{name}-{data_name}"
        write_bundle(bundle, kind=name, tensors={"w": np.ones(2)}, config={}, card={"quality": quality})
        lineage = {"data_name": data_name, "data_hash": "abc", "code_version": "1"}
        with TrackedRun(settings, "run", kind=name, params={}, lineage=lineage) as run:
            return Registry(settings).register(name, bundle, run_id=run.run_id, metrics={}, lineage=lineage)

    return register


def test_a_recommender_is_not_held_against_another_shops_champion(
    trained, settings: Settings, storage: Storage
) -> None:
    registry = Registry(settings)
    promotion.promote(registry, trained("recommender", "sample", 9.0), Dataset.create(storage, "sample"))
    outcome = promotion.promote(registry, trained("recommender", "real", 1.0), Dataset.create(storage, "real"))
    assert outcome.decision.passed
    assert "recommender/1 is of dataset 'sample'" in outcome.decision.reasons[0]
    assert registry.resolve("recommender@champion").version == 2


def test_a_generator_is_held_against_any_champion(trained, settings: Settings, storage: Storage) -> None:
    registry = Registry(settings)
    promotion.promote(registry, trained("generator", "sample", 9.0), Dataset.create(storage, "sample"))
    outcome = promotion.promote(registry, trained("generator", "real", 1.0), Dataset.create(storage, "real"))
    assert not outcome.decision.passed
    assert registry.resolve("generator@champion").version == 1
