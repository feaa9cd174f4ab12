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
from trainables.gate import Criterion, NotJudgedError


@pytest.fixture
def unjudged() -> set[float]:
    """Qualities of the models that the data cannot judge."""
    return set()


@pytest.fixture
def trained(settings: Settings, monkeypatch: pytest.MonkeyPatch, unjudged: set[float]):
    """Register a model of some quality, trained on some dataset; the gate compares the qualities."""

    def evaluate(folder: Path, dataset: Dataset) -> dict[str, float]:
        quality = json.loads((folder / "card.json").read_text())["quality"]
        if quality in unjudged:
            raise NotJudgedError("its settings were learned on events that the dataset holds out")
        return {"quality": quality, "holdout_viewers": 0.0 if quality != quality else 9.0}

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
    assert "recommender/1 cannot be compared here: it is of dataset 'sample'" in outcome.decision.reasons[0]
    assert registry.resolve("recommender@champion").version == 2


def test_a_generator_is_held_against_any_champion(trained, settings: Settings, storage: Storage) -> None:
    registry = Registry(settings)
    promotion.promote(registry, trained("generator", "sample", 9.0), Dataset.create(storage, "sample"))
    outcome = promotion.promote(registry, trained("generator", "real", 1.0), Dataset.create(storage, "real"))
    assert not outcome.decision.passed
    assert registry.resolve("generator@champion").version == 1


def test_a_champion_that_the_data_cannot_judge_any_more_does_not_stand_in_the_way(
    trained, unjudged: set[float], settings: Settings, storage: Storage
) -> None:
    registry, dataset = Registry(settings), Dataset.create(storage, "shop")
    promotion.promote(registry, trained("recommender", "shop", 9.0), dataset)
    unjudged.add(9.0)  # an older history was imported: what the champion learned on lies in the newest tenth now
    outcome = promotion.promote(registry, trained("recommender", "shop", 1.0), dataset)
    assert registry.resolve("recommender@champion").version == 2
    assert outcome.decision.reasons[0].startswith("note  champion recommender/1 cannot be compared here: its settings")
    with pytest.raises(NotJudgedError):
        promotion.promote(registry, trained("recommender", "shop", 9.0), dataset)
    assert registry.resolve("recommender@champion").version == 2


def test_a_log_without_a_viewer_to_ask_refuses_and_says_so(trained, settings: Settings, storage: Storage) -> None:
    dataset = Dataset.create(storage, "shop")
    outcome = promotion.promote(Registry(settings), trained("recommender", "shop", float("nan")), dataset)
    assert not outcome.decision.passed
    assert "nobody took to anything new in the newest tenth of 'shop'" in outcome.decision.reasons[0]
