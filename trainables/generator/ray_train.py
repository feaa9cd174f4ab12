"""The training loop on Ray Train: DDP workers, gloo on CPUs, nccl and bf16 on GPUs, resumed by run name.

Each worker takes the product ids of its rank and reads those clips by key. Ray Data's `streaming_split` hands blocks to
whoever asks first, so shards would differ from start to start and no run could be continued bit for bit; and for a list
of names its three actors would wake up a hundred times a second beside the workers. Checkpoints go to the run's folder
at once, by rank 0, and not through `ray.train.report`, whose registration waits for the controller's next poll: a
worker killed right after a checkpoint still resumes from it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
import ray.train
import torch
import torch.distributed
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.strategies import DDPStrategy
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.v2._internal.execution import context as context_module

from cluster.errors import InputError, NotFoundError, ShopreelError, StorageError
from cluster.runtime import RAY_ENVIRONMENT, owns_ray, resources_within_reach
from cluster.storage import Storage
from trainables.generator.assignment import Assignment
from trainables.generator.errors import TrainingDiverged
from trainables.generator.interruptions import CountInterruptions
from trainables.generator.ray_trainer import NamesTrainer, OneMachineTrainer
from trainables.generator.sampler import shard
from trainables.generator.worker import work
from trainables.runs.folder import RunFolder

POLL_SECONDS = 0.5
CAUSE_KNOWN_S = 60.0
"""A worker whose peer is gone waits so long for the cluster to find out why; a machine that died takes a while."""
REPORTS, LEAST_STEPS = 20, 5
"""Times a run reports to Ray Train (and Ray Tune above it), and steps between two reports at the least: each goes
through the controller, and the workers wait for it."""
FAILURE = "failure.json"
"""In the run's folder: kind and message of what ended it for good."""
FINAL: tuple[type[ShopreelError], ...] = (TrainingDiverged, InputError, NotFoundError)
"""Errors after which another start would end the same way."""
log = logging.getLogger(__name__)

OnStep = Callable[[int, dict[str, float]], None]


class RayEnvironment(LightningEnvironment):
    """Tells Fabric the ranks that Ray Train gave out; the process group is already there."""

    def __init__(self) -> None:
        super().__init__()
        self.context = ray.train.get_context()

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def world_size(self) -> int:
        return self.context.get_world_size()

    def set_world_size(self, size: int) -> None: ...

    def global_rank(self) -> int:
        return self.context.get_world_rank()

    def set_global_rank(self, rank: int) -> None: ...

    def local_rank(self) -> int:
        return self.context.get_local_rank()

    def node_rank(self) -> int:
        return self.context.get_node_rank()

    def teardown(self) -> None: ...


def train_on_ray(
    task: Assignment,
    product_ids: Sequence[str],
    *,
    workers: int,
    on_step: OnStep | None = None,
    max_failures: int = 3,
    callbacks: Sequence[Any] = (),
) -> None:
    """Run the task to its end; Ray must be up. Results are in the run's folder. An error of a worker that a user can
    mend is raised here as itself.

    A worker that dies is replaced and all go on from the newest checkpoint, up to `max_failures` times, -1 for any
    number; one that dies with a node that was announced to go away (preemption) does not count. `on_step` is called in
    this process, in order, within a second of each step. `callbacks` are Ray Train callbacks.
    """
    if len(product_ids) < workers:
        raise InputError(f"{len(product_ids)} products cannot be shared by {workers} workers; use fewer workers")
    if task.config.batch_size % workers:
        raise InputError(f"batch_size is {task.config.batch_size}; make it a multiple of the {workers} workers")
    folder = RunFolder(Storage(task.storage_root), task.run_name)
    folder.storage.delete(folder.path(FAILURE))
    trainer = (OneMachineTrainer if owns_ray() else NamesTrainer)(
        _worker,
        train_loop_config={"task": task, "product_ids": list(product_ids)},
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=resources_within_reach().get("GPU", 0) >= workers),
        run_config=RunConfig(
            name=task.run_name,
            storage_path=folder.storage.path("runs"),
            storage_filesystem=folder.storage.filesystem,
            failure_config=FailureConfig(max_failures=max_failures),
            callbacks=[CountInterruptions(folder), *callbacks],
            worker_runtime_env={"env_vars": _worker_environment()},
        ),
    )
    before = folder.interruptions()
    with _Following(folder, on_step):
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            if not folder.storage.exists(folder.path(FAILURE)):
                raise _ended_by(error, f"run {task.run_name!r} failed on Ray after {max_failures} restarts") from error
        finally:
            _tell(folder, before, max_failures)
    if folder.storage.exists(folder.path(FAILURE)):
        failure = folder.storage.read_json(folder.path(FAILURE))
        raise {kind.__name__: kind for kind in FINAL}[failure["kind"]](failure["message"])


def _ended_by(error: ray.train.TrainingFailedError, told: str) -> ShopreelError:
    """What is told of a run that was given up: in a worker's own words where it could not read or write, which another
    start may mend and a full disk does not.
    """
    for failure in getattr(error, "worker_failures", {}).values():
        cause = getattr(failure, "_base_exc", failure)  # Ray keeps the worker's traceback beside its exception
        if isinstance(cause, StorageError):
            return StorageError(f"{told}: {cause}")
    return ShopreelError(f"{told}: {error}")


def _worker_environment() -> dict[str, str]:
    # The loop runs in a thread of the worker. glibc gives threads heaps of 64 MB of their own and hands each back to
    # the system as soon as it is empty, whatever `keep_freed_memory` asks: 15,000 page faults a second.
    return {name: os.environ[name] for name in RAY_ENVIRONMENT if name in os.environ} | {"MALLOC_ARENA_MAX": "1"}


def report_interval(steps: int) -> int:
    """Steps between two reports; the first one comes within an eighth of the run."""
    return max(1, steps // REPORTS, min(LEAST_STEPS, steps // 8))


def _tell(folder: RunFolder, before: dict[str, int], max_failures: int) -> None:
    preemptions, failures = (count - before[kind] for kind, count in folder.interruptions().items())
    if preemptions or failures:
        said = f"{preemptions} preemption{'s' * (preemptions != 1)} and {failures} failure{'s' * (failures != 1)}"
        log.warning("run %r was interrupted by %s; %d failures are allowed", folder.name, said, max_failures)


def _worker(settings: dict[str, Any]) -> None:
    task: Assignment = settings["task"]
    folder = RunFolder(Storage(task.storage_root), task.run_name)
    if folder.storage.exists(folder.path(FAILURE)):
        return  # started again after an error that another start does not mend
    context = ray.train.get_context()
    local = context.get_local_world_size()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // local))
    # Ray Train prints every report from a logger named after its own file.
    logging.getLogger(context_module.__file__).setLevel(logging.WARNING)
    on_gpu = torch.cuda.is_available()
    fabric = Fabric(
        accelerator="cuda" if on_gpu else "cpu",
        devices=local,
        num_nodes=context.get_world_size() // local,
        strategy=DDPStrategy(),
        plugins=[RayEnvironment()],
        precision="bf16-mixed" if on_gpu else "32-true",
    )
    fabric.launch()
    product_ids = shard(settings["product_ids"], context.get_world_rank(), context.get_world_size())
    every = report_interval(task.config.steps)

    def on_step(step: int, metrics: dict[str, float]) -> None:
        if step % every == 0 or step == task.config.steps:
            ray.train.report({"step": step, **metrics})

    try:
        work(task, product_ids, fabric, on_step)
    except FINAL as error:
        told = {"kind": type(error).__name__, "message": str(error)}
        if not isinstance(error, TrainingDiverged):
            folder.storage.write_json(folder.path(FAILURE), told)
            raise  # the others may be waiting for this worker, and nothing but its failure ends them
        # All workers are here together, so this is a result, not a failure.
        if fabric.global_rank == 0:
            folder.storage.write_json(folder.path(FAILURE), told)
    except RuntimeError as error:
        if _is_broken_connection(error):
            # A peer is gone. Train is to hear of that first, for it looks there for the cause: a machine that left as
            # announced is no failure. It ends this worker as soon as it knows.
            time.sleep(CAUSE_KNOWN_S)
        raise


def _is_broken_connection(error: RuntimeError) -> bool:
    """Whether a collective failed; gloo says so in the text alone."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


class _Following:
    """Calls `on_step` for every new line of the run's `stats.jsonl`, from a thread, while the block runs."""

    def __init__(self, folder: RunFolder, on_step: OnStep | None) -> None:
        self._folder, self._on_step = folder, on_step
        self._seen = len(folder.stats())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="training-progress", daemon=True)

    def __enter__(self) -> None:
        if self._on_step is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._on_step is not None:
            self._thread.join()
            self._pass_on()

    def _follow(self) -> None:
        while not self._done.wait(POLL_SECONDS):
            self._pass_on()

    def _pass_on(self) -> None:
        lines = self._folder.stats()
        for line in lines[self._seen :]:
            self._on_step(line["step"], {name: value for name, value in line.items() if name != "step"})
        self._seen = len(lines)
