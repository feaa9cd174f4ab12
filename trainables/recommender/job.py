"""One training from a dataset to a registered model: what the command line and the demo call."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.config import to_dict
from cluster.errors import InputError
from cluster.registry import Registry
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import TrackedRun, code_version
from trainables.data.dataset import Dataset, check_name
from trainables.recommender.bundle import save_model
from trainables.recommender.evaluation import evaluate, training_boundary
from trainables.recommender.learning import learn
from trainables.recommender.model import ItemModel
from trainables.recommender.ranking.shipping import Shipped, ranker_parts
from trainables.recommender.recommender import Recommender
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import (
    GramSum,
    Progress,
    TrainingData,
    end_of,
    read_training_data,
    rebuild,
    sum_here,
    train,
)
from trainables.runs.folder import RunFolder
from trainables.trained import TrainedModel


def run_training(
    settings: Settings,
    data_name: str,
    run_name: str | None,
    config: RecommenderTrainConfig,
    *,
    use_ray: bool = True,
    parent_run_id: str | None = None,
    on_progress: Progress = lambda stage, done, total: None,
) -> TrainedModel:
    """Learn settings on all but the newest events, measure on those, count all of them, and register as challenger.

    Without Ray the model is the same to the last bit. The bundle is also kept under `runs/NAME/bundle`.
    InputError where NAME is a generator's run, or another command trains it.
    """
    storage = Storage(settings.storage_root)
    dataset = Dataset.open(storage, data_name)
    run_name = check_name(run_name or f"recommender-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    folder = RunFolder(storage, run_name)
    if folder.noted():
        raise InputError(f"run {run_name!r} is one of a generator; give this one another --run name")
    data = read_training_data(dataset)
    until_ms = training_boundary(data.events)
    lineage = {"data_name": data_name, "data_hash": dataset.content_hash(), "code_version": code_version()}
    tracked = TrackedRun(
        settings, run_name, kind="recommender", parent_run_id=parent_run_id, params=to_dict(config), lineage=lineage
    )
    with folder.driven(), tracked as run, tempfile.TemporaryDirectory() as scratch:
        description = {"kind": "recommender", "data": data_name, "settings": to_dict(config)}
        storage.write_json(folder.path("config.json"), description)
        with ray_session(settings) if use_ray else nullcontext():
            made = _make(config, data, until_ms, _gram_sum(use_ray), on_progress)
        counts = {f"data_{name}": float(value) for name, value in made.model.counts.items()}
        run.log_metrics({**made.metrics, **counts}, step=0)
        bundle = Path(scratch) / "bundle"
        _keep(made, lineage, bundle, folder, storage)
        version = Registry(settings).register(
            "recommender", bundle, run_id=run.run_id, metrics=made.metrics, lineage=lineage
        )
    notes = () if made.ranker.parts else (made.ranker.note,)
    return TrainedModel(run_name=run_name, run_id=run.run_id, version=version, metrics=made.metrics, notes=notes)


@dataclass(frozen=True)
class _Made:
    """What a training makes before it is kept anywhere."""

    model: ItemModel
    ranker: Shipped
    metrics: dict[str, float]
    """Of the settings on the held-out events, and with the prefix `ranker_` of the ranker."""


def _make(
    config: RecommenderTrainConfig, data: TrainingData, until_ms: int, gram_sum: GramSum, on_progress: Progress
) -> _Made:
    """Settings learned on the events before `until_ms` and judged on the others, then statistics of all of them."""
    from trainables.generator.restyle.presets import preset_codes

    how = {"gram_sum": gram_sum, "on_progress": on_progress}
    config = learn(config, data, until_ms=until_ms, **how)
    judged = train(config, data, preset_codes(), until_ms=until_ms, **how)
    on_progress("held-out ranking", 0, 1)
    metrics = evaluate(Recommender(judged), data, until_ms)
    on_progress("held-out ranking", 1, 1)
    model = rebuild(judged, data, end_of(data.events), **how)
    ranker = ranker_parts(config.ranker, data, on_progress)
    return _Made(model, ranker, metrics | {f"ranker_{name}": value for name, value in ranker.metrics.items()})


def _keep(made: _Made, lineage: dict[str, str], bundle: Path, folder: RunFolder, storage: Storage) -> None:
    """Write the bundle on this machine, and a copy of it into the run's folder."""
    card = _card(made.model, lineage, made.metrics) | {"ranker": made.ranker.note}
    save_model(made.model, bundle, card, made.ranker.parts)
    for file in sorted(bundle.iterdir()):
        storage.write_bytes(folder.path(f"bundle/{file.name}"), file.read_bytes())


def _gram_sum(use_ray: bool) -> GramSum:
    if not use_ray:
        return sum_here
    from trainables.recommender.ray_train import sum_on_ray

    return sum_on_ray


def _card(model: ItemModel, lineage: dict[str, str], metrics: dict[str, float]) -> dict[str, Any]:
    return {
        "model": "EASE with recency and trend, content likeness for little-known products, popularity for new viewers",
        "trained_until": datetime.fromtimestamp(model.trained_until_ms / 1000, UTC).isoformat(),
        "learned_until": datetime.fromtimestamp(model.learned_until_ms / 1000, UTC).isoformat(),
        "held_out": "the newest tenth of the events, by time; the metrics are of the same settings with the statistics "
        "of what came before it, the model itself has the statistics of all events",
        "products": len(model.product_ids),
        "products_in_matrix": len(model.item_rows),
        "data_counts": model.counts,
        "lineage": lineage,
        "metrics": metrics,
        "settings": to_dict(model.config),
        "limits": "Learns from what was shown: products that were never shown are carried by content alone.",
    }
