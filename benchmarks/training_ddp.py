"""DDP through Ray Train against plain `torchrun`: the same loop, data, batch and threads, rounds alternating.

Both call `trainables.generator.worker.work` with `DDPStrategy` (gloo on CPUs), so what differs is who starts the
workers, who deals out the shards and who listens to the steps; the weights at the end are compared too. No Ray runs
beside torchrun. Steps a second are counted on rank 0 after the first thirty; checkpoint and contact sheet at the end
are left out. Scaling is steps a second, at the same global batch, of two workers over one, each with the product's
share of threads. Start-up (command to first step) is reported apart; a cluster is up already when a run is submitted,
so Ray's own start is no part of it.

    python -m benchmarks.training_ddp [--steps 300] [--rounds 4] [--workers 2 1]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.pseudonym import Pseudonymiser
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.sample import import_sample
from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.generator.sampler import shard
from trainables.generator.split import split_products
from trainables.generator.worker import Assignment, work
from trainables.runs.folder import RunFolder

DATA = "bench"
WARM_UP = 30
"""Steps that are not counted: while the first ones are taken, Ray Train still starts an actor of its own."""
WANTED = 0.97


@dataclass(frozen=True)
class Clock:
    """A sink that notes when each step was done; picklable, appends to a file."""

    path: str

    def log(self, step: int, metrics: dict[str, float]) -> None:
        with Path(self.path).open("a") as file:
            file.write(json.dumps([step, time.time(), metrics["seconds_waiting_for_data"], metrics["seconds"]]) + "\n")

    def close(self) -> None: ...


@dataclass(frozen=True)
class Run:
    """What one training took."""

    steps_a_second: float
    start_up: float
    """Seconds from the call to the end of the first step."""
    waited: float
    """Share of the steps' time spent waiting for data."""
    weights: str


def assignment(root: str, name: str, steps: int) -> Assignment:
    """The same training for whoever starts it."""
    config = replace(RestyleTrainConfig(), steps=steps, checkpoint_every=steps, sheet_every=steps)
    return Assignment(
        config=config, storage_root=root, data_name=DATA, run_name=name, shown=(), styles=None, start=None,
        sink=Clock(f"{root}/{name}.clock"),
    )  # fmt: skip


def settings_of(root: str) -> Settings:
    return Settings.load({"SHOPREEL_HOME": root})


def products(root: str) -> list[str]:
    return split_products(Dataset.open(Storage(root), DATA).clip_products())[0]


def by_torchrun(root: str, name: str, steps: int, workers: int) -> None:
    """`torchrun` on this machine; every process comes back to `torchrun_worker`."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"]
    task = ["-m", "benchmarks.training_ddp", "--worker", root, name, "--steps", str(steps)]
    threads = max(1, (os.cpu_count() or 1) // workers)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    ended = subprocess.run(
        command + task, check=False, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if ended.returncode:
        sys.exit(f"torchrun ended with {ended.returncode}:\n{ended.stderr}")


def torchrun_worker(root: str, name: str, steps: int) -> None:
    import torch
    from lightning.fabric import Fabric
    from lightning.fabric.strategies import DDPStrategy

    workers, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    fabric = Fabric(accelerator="cpu", devices=workers, strategy=DDPStrategy())
    fabric.launch()
    work(assignment(root, name, steps), shard(products(root), rank, workers), fabric)


def by_ray_train(root: str, name: str, steps: int, workers: int) -> None:
    from trainables.generator.ray_train import train_on_ray

    # The driver follows the steps, as a person's terminal does.
    train_on_ray(assignment(root, name, steps), products(root), workers=workers, on_step=lambda step, terms: None)


STARTERS = {"torchrun": by_torchrun, "Ray Train": by_ray_train}


def measured(starter: str, root: str, name: str, steps: int, workers: int) -> Run:
    with ray_session(settings_of(root)) if starter == "Ray Train" else nullcontext():
        began = time.time()
        STARTERS[starter](root, name, steps, workers)
    lines = [json.loads(line) for line in Path(f"{root}/{name}.clock").read_text().splitlines()]
    at, waited, seconds = ({step: line[place] for step, *line in lines} for place in range(3))
    counted = [step for step in at if step > WARM_UP]
    return Run(
        (steps - 1 - WARM_UP) / (at[steps - 1] - at[WARM_UP]),
        at[1] - began,
        sum(waited[step] for step in counted) / sum(seconds[step] for step in counted),
        RunFolder(Storage(root), name).storage.read_json(f"runs/{name}/workers.json")[0]["weights"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 1], help="Numbers of workers to compare at.")
    parser.add_argument("--worker", nargs=2, metavar=("ROOT", "RUN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < WARM_UP + 2:
        parser.error(f"--steps is {arguments.steps}; the first {WARM_UP} are not counted, take {WARM_UP + 2} or more")
    if arguments.worker:
        torchrun_worker(*arguments.worker, arguments.steps)
        return
    with tempfile.TemporaryDirectory() as root:
        settings = settings_of(root)
        with ray_session(settings):
            import_sample(Storage(root), DATA, Pseudonymiser.load(settings))
        compare(root, arguments.steps, arguments.rounds, arguments.workers)


def compare(root: str, steps: int, rounds: int, numbers: Sequence[int]) -> None:
    taken: dict[tuple[str, int], list[Run]] = {(name, workers): [] for workers in numbers for name in STARTERS}
    for number in range(rounds):
        for (name, workers), runs in taken.items():
            run = f"{name.split()[0].lower()}-{workers}-{number}"
            runs.append(measured(name, root, run, steps, workers))
            print(
                f"round {number + 1}  {name:9} {workers} worker(s)  {runs[-1].steps_a_second:.3f} steps/s  "
                f"first step after {runs[-1].start_up:.1f} s  waiting for data {runs[-1].waited:.2%}  "
                f"load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    for workers in numbers:
        ratios = [
            ours.steps_a_second / peer.steps_a_second
            for ours, peer in zip(taken["Ray Train", workers], taken["torchrun", workers], strict=True)
        ]
        same = taken["Ray Train", workers][0].weights == taken["torchrun", workers][0].weights
        print(
            f"{workers} worker(s): Ray Train / torchrun {statistics.median(ratios):.3f} of the steps a second "
            f"({min(ratios):.3f}…{max(ratios):.3f}, wanted: {WANTED}), the same weights: {'yes' if same else 'NO'}"
        )
    most = max(numbers)
    for name in STARTERS:
        rates = {w: statistics.median(run.steps_a_second for run in taken[name, w]) for w in numbers}
        start_up = statistics.median(run.start_up for run in taken[name, most])
        waited = max(run.waited for run in taken[name, most])
        print(
            f"{name:9} {', '.join(f'{rates[w]:.3f} steps/s with {w} worker(s)' for w in sorted(numbers))}; "
            f"first step after {start_up:.1f} s; waiting for data at most {waited:.2%} of step time"
        )


if __name__ == "__main__":
    main()
