"""One erasure from request to receipt: the dataset is rewritten, a model without the viewer is registered."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.config import to_dict
from cluster.errors import InputError
from cluster.registry import ModelVersion, Registry
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import TrackedRun, code_version
from trainables.bundle import read_bundle
from trainables.data.dataset import Dataset
from trainables.recommender.bundle import load_model, save_model
from trainables.recommender.evaluation import evaluate_recipe
from trainables.recommender.model import ItemModel
from trainables.recommender.privacy.dataset_erasure import erase_from_dataset
from trainables.recommender.privacy.model_erasure import erased_model, without_viewers
from trainables.recommender.ranking.shipping import ranker_parts
from trainables.recommender.train import TrainingData, read_training_data

MODEL = "recommender"
RECEIPTS = "erasures"


def run_erasure(
    settings: Settings,
    data_name: str,
    viewer: str,
    model_reference: str | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """Erase a viewer (a pseudonym) from a dataset and, given a model, register a version of it without them.

    Returns the receipt, which is also kept at `erasures/` below the dataset, at first as soon as the rows are gone and
    then with what became of the model. The new version is a challenger: what serves stays until it is promoted, and the
    receipt names every version trained on this dataset that is still there, and every copy in the folder of a run.

    Raises InputError, before anything is erased, for a model that was trained on another dataset, and where another
    command imports into this one for longer than a few seconds.
    """
    dataset = Dataset.open(Storage(settings.storage_root), data_name)
    at = datetime.now(UTC)
    version = Registry(settings).resolve(model_reference, MODEL) if model_reference else None
    if version is not None and (trained_on := version.lineage.get("data_name")) not in (None, data_name):
        raise InputError(
            f"{version.reference} was trained on dataset {trained_on!r}, not on {data_name!r}: a version without the "
            f"viewer comes of --data {trained_on}; erase them from {data_name!r} without --model"
        )
    # Asked for before: a registry that is away must not cost the receipt.
    others, copies = _others(settings, data_name), _kept_bundles(dataset.storage, data_name)
    on_step("rewriting the dataset")
    with dataset.erased_from():
        erased = erase_from_dataset(dataset, [viewer])
    receipt = {
        "viewer": viewer,
        "at": at.isoformat(timespec="seconds"),
        "dataset": erased.to_dict(),
        "model": None,
        "checksums": {},
        "still_registered": others,
        "kept_bundles": copies,
        "notes": [],
        "code_version": code_version(),
    }
    kept_at = dataset.folder(f"{RECEIPTS}/{at:%Y%m%d-%H%M%S-%f}.json")
    if version is not None:
        broken_off = f"{version.reference} was not renewed, the erasure broke off; erase the viewer again with --model"
        receipt |= {"model": {"from": version.reference, "to": None}, "notes": [broken_off]}
    dataset.storage.write_json(kept_at, receipt)
    if version is not None:
        on_step(f"renewing {version.reference} without the viewer")
        receipt |= _renewal(settings, dataset, version, viewer, f"erasure-{at:%Y%m%d-%H%M%S-%f}")
        dataset.storage.write_json(kept_at, receipt)
    return receipt


def _renewal(settings: Settings, dataset: Dataset, version: ModelVersion, viewer: str, run_name: str) -> dict[str, Any]:
    """What the receipt says of the model after a version without the viewer was made, or could not be."""
    if not dataset.has("events"):
        notes = [
            f"dataset {dataset.name!r} has no events left, so no version without the viewer was made; whatever serves "
            f"{version.reference} knows them until it is taken down"
        ]
        return {"model": {"from": version.reference, "to": None}, "notes": notes}
    renewed, unjudged = _renewed(settings, dataset, version, viewer, run_name)
    return {
        "model": {"from": version.reference, "to": renewed.reference},
        "checksums": renewed.checksums,
        "still_registered": _others(settings, dataset.name, renewed),
        "notes": [] if unjudged is None else [f"{renewed.reference} carries no held-out figures: {unjudged}"],
    }


def _renewed(
    settings: Settings, dataset: Dataset, version: ModelVersion, viewer: str, run_name: str
) -> tuple[ModelVersion, str | None]:
    """The version without the viewer, and why it could not be judged on what is left, if so."""
    folder = Registry(settings).fetch(version)
    card = read_bundle(folder, kind=MODEL).card
    old = load_model(folder)
    data = without_viewers(read_training_data(dataset), [viewer])
    lineage = {"data_name": dataset.name, "data_hash": dataset.content_hash(), "code_version": code_version()}
    tracked = TrackedRun(settings, run_name, kind=MODEL, params=to_dict(old.config), lineage=lineage)
    with tracked as run, tempfile.TemporaryDirectory() as scratch:
        model = erased_model(old, data, [viewer])
        metrics, unjudged = _judged(model, data)
        run.log_metrics(metrics, step=0)
        ranker = ranker_parts(old.config.ranker, data)
        metrics |= {f"ranker_{name}": value for name, value in ranker.metrics.items()}
        changed = {"data_counts": model.counts, "lineage": lineage, "metrics": metrics, "ranker": ranker.note}
        if unjudged is not None:
            changed["held_out"] = unjudged
        card = {**card, **changed, "erasures": card.get("erasures", 0) + 1}
        save_model(model, Path(scratch), card, ranker.parts)
        renewed = Registry(settings).register(MODEL, Path(scratch), run_id=run.run_id, metrics=metrics, lineage=lineage)
    return renewed, unjudged


def _judged(model: ItemModel, data: TrainingData) -> tuple[dict[str, float], str | None]:
    """Held-out measures, or why there are none: without the viewer's events the newest tenth may begin too early."""
    try:
        return evaluate_recipe(model, data), None
    except InputError as error:
        return {}, str(error)


def _others(settings: Settings, data_name: str, renewed: ModelVersion | None = None) -> list[str]:
    """Versions trained on this dataset before the erasure: the viewer is in their statistics as long as they exist."""
    registry = Registry(settings)
    if MODEL not in registry.names():
        return []
    return [
        version.reference + "".join(f" ({alias})" for alias in version.aliases)
        for version in registry.versions(MODEL)
        if version.lineage.get("data_name") == data_name and (renewed is None or version.version != renewed.version)
    ]


def _kept_bundles(storage: Storage, data_name: str) -> list[str]:
    """Folders of bundles, below the storage root, that trainings on this dataset keep beside the registry."""

    def trained_on(run: str) -> bool:
        try:
            about = storage.read_json(f"runs/{run}/config.json")
        except InputError:  # damaged: whose it is cannot be told, so it is named
            return True
        return (about.get("kind"), about.get("data")) == (MODEL, data_name)

    return [
        f"runs/{run}/bundle"
        for run in storage.list("runs")
        if storage.exists(f"runs/{run}/bundle/config.json")
        and storage.exists(f"runs/{run}/config.json")
        and trained_on(run)
    ]
