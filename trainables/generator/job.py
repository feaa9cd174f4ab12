"""One training from a dataset to a registered model: what the command line, the demo and sweeps call."""

from __future__ import annotations

import io
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from cluster.config import to_dict
from cluster.errors import InputError
from cluster.registry import Registry
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import MlflowSink, TrackedRun, code_version
from trainables.data.dataset import Dataset, check_name
from trainables.generator.assignment import Assignment
from trainables.generator.config import TrainConfig
from trainables.generator.restyle.looks import read_styles, styles_digest
from trainables.generator.split import split_products
from trainables.generator.start import check_start
from trainables.generator.task import PRODUCTS, model_name, task_named
from trainables.generator.train import SLOWED
from trainables.generator.worker import SHEET_PRODUCTS, work
from trainables.runs.folder import RunFolder
from trainables.trained import TrainedModel

log = logging.getLogger(__name__)


def run_training(
    settings: Settings,
    data_name: str,
    run_name: str | None,
    config: TrainConfig,
    *,
    workers: int = 2,
    use_ray: bool = True,
    parent_run_id: str | None = None,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    on_checkpoint: Callable[[int, dict[str, float]], None] | None = None,
    styles: str | None = None,
    start: Path | None = None,
    register: bool = True,
    callbacks: Sequence[Any] = (),
    max_failures: int = 3,
) -> TrainedModel:
    """Train on all but the held-out products, measure on those, and register the model as challenger.

    A fresh run begins with the weights of the bundle `start`, where one is given; `styles` is a folder of pictures to
    restyle into besides the presets. A run of that name that was interrupted goes on where its newest checkpoint is,
    with the same `start` and `styles`. Metrics are `steps`, `loss/…` (mean of the last tenth of the
    steps) and `heldout/…`. `register=False` (sweeps) measures fewer products and registers nothing; `callbacks` and
    `max_failures` are those of `train_on_ray`. `on_checkpoint` (without Ray) is called when a checkpoint is in the
    storage, and training waits for that.
    """
    generator, storage = task_named(config.task), Storage(settings.storage_root)
    dataset = Dataset.open(storage, data_name)
    training, held_out = split_products(dataset.clip_products())
    if not training or not held_out:
        raise InputError(
            f"dataset {data_name!r} has {len(training)} clips to train on; import at least 2 products with clips"
        )
    if len(held_out) < generator.least_held_out:
        raise InputError(
            f"dataset {data_name!r} holds out {len(held_out)} of {len(training) + len(held_out)} products; "
            f"{config.task} is measured on {generator.least_held_out} at least: import more"
        )
    if styles and config.task != "restyle":
        raise InputError(f"--styles are looks to learn, which {config.task} does not; leave --styles out")
    origins = {
        "start": check_start(start, config) if start else None,
        "styles": styles_digest(read_styles(styles)) if styles else None,
    }
    if not use_ray and workers != 1:
        raise InputError(f"without Ray there is one worker, not {workers}; leave --workers out, or leave out --no-ray")
    run_name = check_name(run_name or f"{model_name(config.task)}-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    if use_ray and not run_name.isascii():  # Ray Train's own metrics are labelled with it
        raise InputError(f"run {run_name!r}: on Ray the letters of a run's name are a to z; give it another --run name")
    folder = RunFolder(storage, run_name)
    # Trials of a sweep are dealt out by its driver.
    with folder.driven() if register else nullcontext():
        lineage = {"data_name": data_name, "data_hash": dataset.content_hash(), "code_version": code_version()}
        known = folder.describe("generator", to_dict(config), data_name, lineage["data_hash"], **origins)
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
                shown=tuple(held_out[: SHEET_PRODUCTS if register else SHEET_PRODUCTS // 2]),
                styles=str(Path(styles).resolve()) if styles else None,
                start=str(start.resolve()) if start else None,
                sink=MlflowSink(settings.tracking_uri, run.run_id),
            )
            if use_ray:
                from trainables.generator.ray_train import train_on_ray

                with ray_session(settings):
                    train_on_ray(
                        task, training, workers=workers, on_step=on_step, callbacks=callbacks, max_failures=max_failures
                    )
                run.set_tag("interruptions", json.dumps(folder.interruptions()))
            else:
                from lightning.fabric import Fabric

                on_gpu = torch.cuda.is_available()
                fabric = Fabric(
                    devices=1, accelerator="cuda" if on_gpu else "cpu", precision="bf16-mixed" if on_gpu else "32-true"
                )
                fabric.launch()
                work(task, training, fabric, on_step, on_checkpoint)
            _tell_the_record(run, folder)
            if storage.read_json(folder.path("workers.json"))[0]["slowed"]:
                run.set_tag("slowed", str(SLOWED))
                log.warning("run %r diverged once and went on with %g times the learning rate", run_name, SLOWED)
            network = average_network(folder, config)
            card = _card(config, lineage, len(training), held_out, styles, origins["start"])
            with tempfile.TemporaryDirectory() as scratch:
                bundle = Path(scratch) / "bundle"
                generator.save(network, config, bundle, card)
                measured = generator.evaluate(bundle, dataset, held_out[: PRODUCTS if register else 2])
                heldout = {f"heldout/{name}": value for name, value in measured.items()}
                metrics = folder.final_metrics(config.steps) | heldout
                run.log_metrics(heldout, step=config.steps)
                if not register:
                    return TrainedModel(run_name=run_name, run_id=run.run_id, version=None, metrics=metrics)
                _log_sheets(run, folder)
                (bundle / "card.json").write_text(
                    json.dumps(card | {"metrics": metrics}, indent=2, sort_keys=True) + "\n"
                )
                for file in sorted(bundle.iterdir()):
                    storage.write_bytes(folder.path(f"bundle/{file.name}"), file.read_bytes())
                version = Registry(settings).register(
                    model_name(config.task), bundle, run_id=run.run_id, metrics=metrics, lineage=lineage
                )
            folder.note(version=version.reference)
            return TrainedModel(run_name=run_name, run_id=run.run_id, version=version, metrics=metrics)


def average_network(folder: RunFolder, config: TrainConfig) -> nn.Module:
    """The EMA network of the checkpoint that becomes the model."""
    state = folder.checkpoints.best() if config.keep.model == "lowest" else folder.checkpoints.newest()
    if state is None:
        raise InputError(f"run {folder.name!r} has no checkpoint at {folder.storage.uri(folder.path('checkpoints'))}")
    network = task_named(config.task).network(config)
    network.load_state_dict(state["ema"])
    return network.eval()


def _tell_the_record(run: TrackedRun, folder: RunFolder) -> None:
    """Every step once more, for MLflow may have been away when the workers ended; it keeps those that it lacks."""
    for line in folder.stats():
        run.log_metrics({name: value for name, value in line.items() if name != "step"}, step=line["step"])


def _log_sheets(run: TrackedRun, folder: RunFolder) -> None:
    """Contact sheets as pictures of the MLflow run, without one that a killed process had begun to write."""
    for name in folder.storage.list(folder.path("sheets")):
        if name.endswith(".png"):
            picture = Image.open(io.BytesIO(folder.storage.read_bytes(folder.path(f"sheets/{name}"))))
            run.log_image(Path(name).stem, picture)


def _card(
    config: TrainConfig,
    lineage: dict[str, str],
    clips: int,
    held_out: list[str],
    styles: str | None,
    start: str | None,
) -> dict[str, Any]:
    """`start` is the SHA-256 of the weights that were begun with."""
    task = task_named(config.task)
    trained_on: dict[str, Any] = {"products": clips, "began_with": start}
    if config.task == "restyle":
        trained_on["looks"] = "six procedural presets" + (f" and the pictures in {styles}" if styles else "")
    return {
        "model": task.model,
        "task": task.name,
        "lineage": lineage,
        "trained_on": trained_on,
        "held_out": {"products": len(held_out), "rule": "a fixed hash of the product id; never trained on"},
        "settings": to_dict(config),
        "limits": task.limits,
    }
