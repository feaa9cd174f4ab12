"""One worker of a training, with or without Ray: its shard, its sinks, its contact sheets, and what it writes of
itself.
"""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch.distributed
from lightning.fabric import Fabric
from torch import nn

from cluster.errors import ShopreelError
from cluster.storage import Storage
from trainables.allocator import keep_freed_memory
from trainables.data.dataset import Dataset
from trainables.generator.assignment import Assignment
from trainables.generator.clips import DatasetClips
from trainables.generator.restyle.looks import read_styles
from trainables.generator.task import task_named
from trainables.generator.train import TrainResult, train
from trainables.runs.folder import RunFolder
from trainables.runs.sinks import StatsSink

SHEET_PRODUCTS = 6


def work(
    task: Assignment,
    product_ids: Sequence[str],
    fabric: Fabric,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    on_checkpoint: Callable[[int, dict[str, float]], None] | None = None,
) -> TrainResult:
    """Train on a shard of products; rank 0 writes stats, sheets and `workers.json`. Replicas are compared at last."""
    keep_freed_memory()
    storage = Storage(task.storage_root)
    folder, dataset = RunFolder(storage, task.run_name), Dataset.open(storage, task.data_name)
    me = {"rank": fabric.global_rank, "pid": os.getpid(), "host": socket.gethostname(), "products": list(product_ids)}
    workers = _gather(fabric, me)
    if fabric.global_rank == 0:
        storage.write_json(folder.path("workers.json"), workers)
    sheet_clips = [dataset.clip(product_id).frames_THWC for product_id in task.shown[:SHEET_PRODUCTS]]

    def on_average(step: int, network: nn.Module) -> None:
        image = task_named(task.config.task).sheet(network, sheet_clips, task.shown, f"step {step}")
        png = io.BytesIO()
        image.save(png, "PNG")
        storage.write_bytes(folder.path(f"sheets/step-{step:06d}.png"), png.getvalue())

    result = train(
        task.config,
        DatasetClips(dataset, product_ids),
        fabric,
        sink=StatsSink(folder, task.config.checkpoint_every, onward=task.sink, steps=task.config.steps),
        checkpoints=folder.checkpoints,
        styles=read_styles(task.styles) if task.styles else (),
        start=Path(task.start) if task.start else None,
        on_step=on_step,
        on_average=on_average if sheet_clips else None,
        on_checkpoint=on_checkpoint,
    )
    digests = _gather(fabric, result.replica)
    if len(set(digests)) > 1:
        raise ShopreelError(f"run {task.run_name!r}: the workers' networks differ after {result.step} steps: {digests}")
    if fabric.global_rank == 0:
        same = {"resumed_from": result.resumed_from, "slowed": result.slowed}
        ended = [{"weights": digest} | same for digest in digests]
        storage.write_json(folder.path("workers.json"), [w | end for w, end in zip(workers, ended, strict=True)])
    return result


def _gather(fabric: Fabric, value: Any) -> list[Any]:
    """The value of every worker, by rank."""
    if fabric.world_size == 1:
        return [value]
    values: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(values, value)
    return values
