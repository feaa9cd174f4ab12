"""One training from a dataset to a registered model: what the command line, the demo and sweeps call."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from cluster.config import to_dict
from cluster.errors import InputError
from cluster.registry import Registry
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import MlflowSink, TrackedRun, code_version
from trainables.data.dataset import Dataset, check_name
from trainables.generator.config import GeneratorTrainConfig
from trainables.generator.evaluation import PRODUCTS, evaluate
from trainables.generator.looks import read_styles
from trainables.generator.network import RestyleNetwork
from trainables.generator.restyler import Restyler, save_bundle
from trainables.generator.run_folder import RunFolder
from trainables.generator.split import split_products
from trainables.generator.worker import SHEET_PRODUCTS, Assignment, work
from trainables.trained import TrainedModel

LIMITS = (
    "Restyles clips of products; it neither mends nor invents them. Looks far from the presets and the references it "
    "was trained on are followed in palette more than in texture. Not made for faces, and not for judging colour."
)


def run_training(
    settings: Settings,
    data_name: str,
    run_name: str | None,
    config: GeneratorTrainConfig,
    *,
    workers: int = 2,
    use_ray: bool = True,
    parent_run_id: str | None = None,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    styles: str | None = None,
    register: bool = True,
    callbacks: Sequence[Any] = (),
) -> TrainedModel:
    """Train on all but the held-out products, measure on those, and register the model as challenger.

    A run of that name that was interrupted goes on where its newest checkpoint is. Metrics are `steps`, `loss/…` (mean
    of the last tenth of the steps) and `heldout/…`. `register=False` (sweeps) measures fewer products and registers
    nothing; `callbacks` are Ray Train `UserCallback`s.
    """
    storage = Storage(settings.storage_root)
    dataset = Dataset.open(storage, data_name)
    training, held_out = split_products(dataset.clip_products())
    if not training or not held_out:
        raise InputError(
            f"dataset {data_name!r} has {len(training)} clips to train on; import at least 2 products with clips"
        )
    if styles:
        read_styles(styles)
    if not use_ray and workers != 1:
        raise InputError(f"without Ray there is one worker, not {workers}; leave --workers out, or leave out --no-ray")
    run_name = check_name(run_name or f"generator-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    folder = RunFolder(storage, run_name)
    lineage = {"data_name": data_name, "data_hash": dataset.content_hash(), "code_version": code_version()}
    known = folder.describe(config, data_name, lineage["data_hash"])
    if "version" in known:
        raise InputError(
            f"run {run_name!r} is finished and registered as {known['version']}; give a new one another --run name"
        )
    tracked = TrackedRun(
        settings,
        run_name,
        kind="generator",
        parent_run_id=parent_run_id,
        run_id=known.get("run_id"),
        params=to_dict(config) | {"workers": workers},
        lineage=lineage,
    )
    with tracked as run:
        folder.note(run_id=run.run_id)
        task = Assignment(
            config=config,
            storage_root=settings.storage_root,
            data_name=data_name,
            run_name=run_name,
            shown=tuple(held_out[:SHEET_PRODUCTS]),
            styles=str(Path(styles).resolve()) if styles else None,
            sink=MlflowSink(settings.tracking_uri, run.run_id),
        )
        if use_ray:
            from trainables.generator.ray_train import train_on_ray

            with ray_session(settings):
                train_on_ray(task, training, workers=workers, on_step=on_step, callbacks=callbacks)
        else:
            from lightning.fabric import Fabric

            on_gpu = torch.cuda.is_available()
            fabric = Fabric(
                devices=1, accelerator="cuda" if on_gpu else "cpu", precision="bf16-mixed" if on_gpu else "32-true"
            )
            fabric.launch()
            work(task, training, fabric, on_step)
        network = average_network(folder, config)
        measured = evaluate(Restyler(network), dataset, held_out[: PRODUCTS if register else 2])
        heldout = {f"heldout/{name}": value for name, value in measured.items()}
        metrics = folder.final_metrics(config.steps) | heldout
        run.log_metrics(heldout, step=config.steps)
        if not register:
            return TrainedModel(run_name=run_name, run_id=run.run_id, version=None, metrics=metrics)
        for name in storage.list(folder.path("sheets")):
            run.log_image(Path(name).stem, Image.open(io.BytesIO(storage.read_bytes(folder.path(f"sheets/{name}")))))
        with tempfile.TemporaryDirectory() as scratch:
            bundle = Path(scratch) / "bundle"
            save_bundle(
                network, config.network, bundle, _card(config, lineage, metrics, len(training), held_out, styles)
            )
            for file in sorted(bundle.iterdir()):
                storage.write_bytes(folder.path(f"bundle/{file.name}"), file.read_bytes())
            version = Registry(settings).register(
                "generator", bundle, run_id=run.run_id, metrics=metrics, lineage=lineage
            )
        folder.note(version=version.reference)
        return TrainedModel(run_name=run_name, run_id=run.run_id, version=version, metrics=metrics)


def average_network(folder: RunFolder, config: GeneratorTrainConfig) -> RestyleNetwork:
    """The EMA network of a run's newest checkpoint."""
    state = folder.checkpoints.newest()
    if state is None:
        raise InputError(f"run {folder.name!r} has no checkpoint at {folder.storage.uri(folder.path('checkpoints'))}")
    network = RestyleNetwork(config.network)
    network.load_state_dict(state["ema"])
    return network.eval()


def _card(
    config: GeneratorTrainConfig,
    lineage: dict[str, str],
    metrics: dict[str, float],
    clips: int,
    held_out: list[str],
    styles: str | None,
) -> dict[str, Any]:
    return {
        "model": "clip → clip restyling for a style code: palette skip + style-modulated decoder",
        "lineage": lineage,
        "trained_on": {
            "products": clips,
            "looks": "six procedural presets" + (f" and the pictures in {styles}" if styles else ""),
        },
        "held_out": {"products": len(held_out), "rule": "a fixed hash of the product id; never trained on"},
        "settings": to_dict(config),
        "metrics": metrics,
        "limits": LIMITS,
    }
