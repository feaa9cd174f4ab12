"""Models for the tiny shop: an untrained generator and a trained recommender, registered and promoted."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from cluster.pseudonym import Pseudonymiser
from cluster.registry import ModelVersion, Registry
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import TrackedRun, ensure_experiment
from tests.e2e.tiny_shop import NAME, make_dataset
from trainables.gate import GateDecision
from trainables.generator.restyle.network import NetworkConfig, RestyleNetwork
from trainables.generator.restyle.restyler import save_bundle
from trainables.recommender.job import run_training
from trainables.recommender.settings import RecommenderTrainConfig

TINY = NetworkConfig(widths=(16, 16, 16), blocks=1, modulation=16, palette_hidden=16)
PASSED = GateDecision(True, ("pass  the tiny shop takes any model",))


def make_shop(settings: Settings) -> None:
    """Dataset, models and aliases of a shop that can be served."""
    make_dataset(Storage(settings.storage_root), Pseudonymiser.load(settings))
    ensure_experiment(settings)
    registry = Registry(settings)
    registry.promote(register_generator(settings), PASSED)
    registry.promote(register_recommender(settings), PASSED)


def register_recommender(settings: Settings, run: str = "tiny-recommender") -> ModelVersion:
    """A recommender trained on the shop's log as a new version."""
    return run_training(settings, NAME, run, RecommenderTrainConfig(), use_ray=False).version


def register_generator(settings: Settings, seed: int = 0, network: NetworkConfig = TINY) -> ModelVersion:
    """A randomly initialised generator as a new version."""
    torch.manual_seed(seed)
    lineage = {"data_name": NAME, "data_hash": "", "code_version": "test"}
    tracked = TrackedRun(settings, f"tiny-generator-{seed}", kind="generator", params={}, lineage=lineage)
    with tracked as run, tempfile.TemporaryDirectory() as folder:
        save_bundle(RestyleNetwork(network), network, Path(folder), {"title": "untrained"})
        return Registry(settings).register("generator", Path(folder), run_id=run.run_id, metrics={}, lineage=lineage)
