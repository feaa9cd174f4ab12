"""The training loop: plain `lightning.fabric`, the same with and without Ray, on CPU and GPU.

Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from lightning.fabric import Fabric
from torch import nn

from cluster.errors import InputError
from trainables.generator.checkpoint_writer import CheckpointWriter
from trainables.generator.config import TrainConfig
from trainables.generator.errors import TrainingDiverged
from trainables.generator.prefetch import Batches
from trainables.generator.sampler import ShardSampler
from trainables.generator.task import ClipSource, Updates, task_named
from trainables.runs.checkpoints import Checkpoints, rng_state, seed_everything, set_rng_state
from trainables.runs.sinks import MetricSink

SLOWED = 0.3
"""Share of the learning rates with which a training that diverged goes on."""
log = logging.getLogger(__name__)


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
    slowed: bool
    """Whether the training diverged once, and went on with `SLOWED` times the learning rate."""


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
    on_checkpoint: Callable[[int, dict[str, float]], None] | None = None,
) -> TrainResult:
    """Train from the newest checkpoint, or from scratch, to `config.steps`.

    A fresh run begins with the weights of the bundle `start`, where there is one. A run goes on with another number of
    workers too, its global batch the same. Where a loss is no number any more, training goes back to the newest
    checkpoint (or the beginning) once and goes on from there with `SLOWED` times the learning rate.
    `on_step(steps_done, terms)` runs on every worker, equally often; `on_average(steps_done, ema)` on rank 0 each
    `sheet_every` steps. Checkpoints are written while the training goes on, unless `on_checkpoint(steps_done, terms)`
    is there, which runs on rank 0 as soon as one is in the storage. Raises `TrainingDiverged` on all workers together
    where a loss is no number again.
    """
    workers, rank = fabric.world_size, fabric.global_rank
    if config.batch_size % workers:
        raise InputError(f"batch_size is {config.batch_size}; make it a multiple of the {workers} workers")

    # Closed also when the training diverges or is stopped, so that its last numbers and checkpoint are kept.
    closing = contextlib.closing(sink) if rank == 0 else contextlib.nullcontext()
    with closing, CheckpointWriter(checkpoints, config.keep) as writer:
        loop = _Loop(
            config, clips, fabric, sink, checkpoints, writer, styles, start, on_step, on_average, on_checkpoint
        )  # fmt: skip
        try:
            return loop.run(slowed=False)
        except TrainingDiverged as error:
            writer.wait()
            fabric.barrier()  # nobody looks for the newest checkpoint before it is written
            state = checkpoints.newest()
            if state is not None and state.get("slowed"):
                raise
            step = state["step"] if state else 0
            log.warning("%s; going back to step %d with %g times the learning rate", error, step, SLOWED)
        # Out here, where the error no longer holds the networks of the first stretch in memory.
        return loop.run(slowed=True)


@dataclass(frozen=True)
class _Loop:
    """The arguments of `train`, and the loop over them."""

    config: TrainConfig
    clips: ClipSource
    fabric: Fabric
    sink: MetricSink
    checkpoints: Checkpoints
    writer: CheckpointWriter
    styles: Sequence[tuple[str, np.ndarray]]
    start: Path | None
    on_step: Callable[[int, dict[str, float]], None] | None
    on_average: Callable[[int, nn.Module], None] | None
    on_checkpoint: Callable[[int, dict[str, float]], None] | None

    def run(self, *, slowed: bool) -> TrainResult:
        """From the newest checkpoint to the end; one that was written by a slowed training goes on slowed."""
        config, workers, rank = self.config, self.fabric.world_size, self.fabric.global_rank
        state = self.checkpoints.newest()
        slowed = slowed or bool(state and state.get("slowed"))
        settings = _slower(config) if slowed else config
        updates = task_named(config.task).updates(settings, self.fabric, self.styles, self.start)
        sampler = ShardSampler(len(self.clips), seed=config.seed, rank=rank)
        first = _resume(state, updates, sampler, workers, rank) if state else 0
        measured: list[float] = []
        with Batches(updates, self.clips, sampler, config.batch_size // workers, config.steps - first) as batches:
            for step in range(first, config.steps):
                began = time.perf_counter()
                batch = batches.next()
                waited = time.perf_counter() - began
                seed_everything(config.seed, rank, step)
                terms = updates.step(step, batch)
                measured.append(_measure(config, terms))
                done = step + 1
                timed = terms | {"seconds": time.perf_counter() - began, "seconds_waiting_for_data": waited}
                if rank == 0:
                    self.sink.log(done, timed)
                if done % config.checkpoint_every == 0 or done == config.steps:
                    seed_everything(config.seed, rank, done)
                    state = _state(updates, batches.position, done, workers, slowed)
                    _check_finite(state, done)
                    self._write(done, state, measured, timed)
                    measured.clear()
                if rank == 0 and self.on_average and (done % config.sheet_every == 0 or done == config.steps):
                    self.on_average(done, updates.ema.module)
                if self.on_step is not None:
                    self.on_step(done, timed)
        return TrainResult(updates.ema.module.cpu(), updates.digest(), config.steps, first, slowed)

    def _write(self, done: int, state: dict[str, Any], measured: list[float], terms: dict[str, float]) -> None:
        """Give a checkpoint to the writer, on rank 0."""
        if self.fabric.global_rank:
            return
        self.writer.write(done, state, float(np.mean(measured)) if self.config.keep.lowest else None)
        if self.on_checkpoint is not None:
            self.writer.wait()
            self.on_checkpoint(done, terms)


def _slower(config: TrainConfig) -> TrainConfig:
    rates = config.optimizer
    slower = replace(
        rates,
        learning_rate=SLOWED * rates.learning_rate,
        discriminator_learning_rate=SLOWED * rates.discriminator_learning_rate,
    )
    return replace(config, optimizer=slower)


def _measure(config: TrainConfig, terms: dict[str, float]) -> float:
    """What checkpoints are compared by, of one step."""
    name = config.keep.lowest
    if name and name not in terms:
        raise InputError(f"keep.lowest is {name!r}; leave it empty, or name one of: {', '.join(sorted(terms))}")
    return terms.get(name, 0.0)


def _state(updates: Updates, position: int, step: int, workers: int, slowed: bool) -> dict[str, Any]:
    """Everything a resumed run needs, with the random generators of all workers; every worker must call it."""
    own = rng_state()
    rng = [own]
    if workers > 1:
        rng = [None] * workers
        torch.distributed.all_gather_object(rng, own)
    where = {"step": step, "position": position, "workers": workers, "rng": rng, "slowed": slowed}
    return updates.state() | where


def _check_finite(state: dict[str, Any], step: int) -> None:
    """Refuse to keep weights that are no numbers: a training that diverged could only go back to them. Every worker has
    the same, so all of them stop together.
    """
    for name, part in state.items():
        if not all(bool(torch.isfinite(value).all()) for value in _floats(part)):
            raise TrainingDiverged(f"step {step}: {name!r} is no number any more; lower optimizer.learning_rate")


def _floats(state: Any) -> Iterator[torch.Tensor]:
    """The tensors of floating-point numbers in a nested state."""
    if isinstance(state, torch.Tensor):
        if state.is_floating_point():
            yield state
    elif isinstance(state, (dict, list, tuple)):
        for part in state.values() if isinstance(state, dict) else state:
            yield from _floats(part)


def _resume(state: dict[str, Any], updates: Updates, sampler: ShardSampler, workers: int, rank: int) -> int:
    """Step to go on from. With as many workers as before all goes on bit for bit; with others the shards are new ones,
    and each worker begins where its share of the samples drawn so far would be.
    """
    updates.load_state(state)
    if state["workers"] == workers:
        sampler.position = state["position"]
        set_rng_state(state["rng"][rank])
    else:
        sampler.position = state["position"] * state["workers"] // workers
    return state["step"]
