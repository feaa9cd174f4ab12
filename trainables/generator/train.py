"""The training loop: plain `lightning.fabric`, the same with and without Ray, on CPU and GPU.

Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.distributed
from lightning.fabric import Fabric
from torch import nn

from cluster.errors import InputError
from trainables.generator.checkpoints import Checkpoints, rng_state, seed_everything, set_rng_state
from trainables.generator.config import TrainConfig
from trainables.generator.sampler import ShardSampler
from trainables.generator.task import ClipSource, Updates, task_named


class MetricSink(Protocol):
    """Where rank 0 sends its numbers."""

    def log(self, step: int, metrics: dict[str, float]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class TrainResult:
    """What a finished loop leaves on rank 0."""

    network: nn.Module
    """The average (EMA) network, in evaluation mode, on the CPU."""
    replica: str
    """SHA-256 of this worker's generator and judges; equal on all workers."""
    step: int
    resumed_from: int
    """Step of the checkpoint the loop began with, 0 for a fresh run."""


def train(
    config: TrainConfig,
    clips: ClipSource,
    fabric: Fabric,
    *,
    sink: MetricSink,
    checkpoints: Checkpoints,
    styles: Sequence[tuple[str, np.ndarray]] = (),
    start: Path | None = None,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    on_average: Callable[[int, nn.Module], None] | None = None,
) -> TrainResult:
    """Train from the newest checkpoint, or from scratch, to `config.steps`.

    A fresh run begins with the weights of the bundle `start`, where there is one.
    `on_step(steps_done, terms)` runs on every worker, equally often; `on_average(steps_done, ema)` on rank 0 each
    `sheet_every` steps. Raises `TrainingDiverged` on all workers together.
    """
    workers, rank = fabric.world_size, fabric.global_rank
    if config.batch_size % workers:
        raise InputError(f"batch_size is {config.batch_size}; make it a multiple of the {workers} workers")
    updates = task_named(config.task).updates(config, fabric, styles, start)
    sampler = ShardSampler(len(clips), seed=config.seed, rank=rank)
    first = _resume(updates, sampler, checkpoints, workers, rank)
    # Closed also when the training diverges or is stopped, so that its last numbers are kept.
    with contextlib.closing(sink) if rank == 0 else contextlib.nullcontext():
        for step in range(first, config.steps):
            began = time.perf_counter()
            seed_everything(config.seed, rank, step)
            draws = sampler.next(config.batch_size // workers)
            terms = updates.step(step, updates.batch(clips, draws))
            done = step + 1
            timed = terms | {"seconds": time.perf_counter() - began}
            if rank == 0:
                sink.log(done, timed)
            if done % config.checkpoint_every == 0 or done == config.steps:
                seed_everything(config.seed, rank, done)
                _save(updates, sampler, checkpoints, done, workers, rank)
            if rank == 0 and on_average is not None and (done % config.sheet_every == 0 or done == config.steps):
                on_average(done, updates.ema.module)
            if on_step is not None:
                on_step(done, timed)
    return TrainResult(updates.ema.module.cpu(), updates.digest(), config.steps, first)


def _save(
    updates: Updates, sampler: ShardSampler, checkpoints: Checkpoints, step: int, workers: int, rank: int
) -> None:
    own = rng_state()
    rng = [own]
    if workers > 1:
        rng = [None] * workers
        torch.distributed.all_gather_object(rng, own)
    if rank == 0:
        state = updates.state() | {"step": step, "position": sampler.position, "workers": workers, "rng": rng}
        checkpoints.save(step, state)
    updates.fabric.barrier()


def _resume(updates: Updates, sampler: ShardSampler, checkpoints: Checkpoints, workers: int, rank: int) -> int:
    """Step to go on from."""
    state = checkpoints.newest()
    if state is None:
        return 0
    if state["workers"] != workers:
        raise InputError(
            f"{checkpoints.storage.uri(checkpoints.folder)} was written by {state['workers']} workers"
            f" and this run has {workers}; go on with --workers {state['workers']}, or give the run another name"
        )
    updates.load_state(state)
    sampler.position = state["position"]
    set_rng_state(state["rng"][rank])
    return state["step"]
