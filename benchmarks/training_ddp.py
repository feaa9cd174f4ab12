"""DDP through Ray Train against plain `torchrun`: the same loop, data, batch and threads, in slices that alternate.

Both call `trainables.generator.worker.work` with `DDPStrategy` (gloo on CPUs), so what differs is who starts the
workers, who deals out the shards and who listens to the steps; the weights at the end are compared too. A machine is
not equally fast all the time, so both trainings are under way at once and take turns of a few seconds: while one steps,
every process of the other, all of Ray's included, is stopped. Each slice of Ray Train is compared with the slices of
`torchrun` before and after it, by steps a second on rank 0. Start-up (command to first step, measured alone) is
reported apart; a cluster is up already when a run is submitted, so Ray's own start is no part of it. Scaling is steps a
second, at the same global batch, of two workers over one, each with the product's share of threads.

    python -m benchmarks.training_ddp [--steps 600] [--slice 4] [--workers 2 1]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.process_tree import has_ended, running, tree, wait_until
from cluster.pseudonym import Pseudonymiser
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from trainables.data.dataset import Dataset
from trainables.data.importers.sample import import_sample
from trainables.generator.assignment import Assignment
from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.generator.sampler import shard
from trainables.generator.split import split_products
from trainables.generator.worker import work

DATA = "bench"
WARM_UP = 60
"""Steps before the first slice: while they are taken, Ray Train still starts an actor of its own."""
SETTLE_S = 0.7
"""Start of a slice that is not counted: the step that was under way."""
LAST_STEPS = 40
"""Slices end that many steps before the training: the checkpoint at its end is no step."""
WANTED = 0.97
PEER, OURS = "torchrun", "Ray Train"


@dataclass(frozen=True)
class Clock:
    """A sink that notes when each step was done; picklable, appends to a file."""

    path: str

    def log(self, step: int, metrics: dict[str, float]) -> None:
        with Path(self.path).open("a") as file:
            file.write(json.dumps([step, time.time(), metrics["seconds_waiting_for_data"], metrics["seconds"]]) + "\n")

    def close(self) -> None: ...


@dataclass(frozen=True)
class Contender:
    """One training: a process that started all others of it, and its clock."""

    starter: str
    name: str
    root: Path
    pid: int
    begun: float

    def clock(self) -> list[list[float]]:
        """[step, when, seconds waiting for data, seconds] of every step so far."""
        path = self.root / f"{self.name}.clock"
        whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
        return [json.loads(line) for line in whole.splitlines()]

    def steps(self) -> int:
        return len(self.clock())

    def await_steps(self, count: int) -> None:
        """Return when that many are done."""
        wait_until(lambda: self.steps() >= count, self.pid, self.root / f"{self.name}.log", seconds=3600)

    def await_end(self) -> None:
        """Go on until the training and all it started have ended."""
        self.send(signal.SIGCONT)
        while not has_ended(self.pid):
            time.sleep(0.2)

    def turn(self, seconds: float) -> tuple[float, float]:
        """Go on for so long and stop again; when that was."""
        self.send(signal.SIGCONT)
        begun = time.time()
        time.sleep(seconds)
        self.send(signal.SIGSTOP)
        return begun, time.time()

    def send(self, number: signal.Signals) -> None:
        for pid in tree(self.pid):
            os.kill(pid, number)

    def rate(self, begun: float, ended: float) -> float:
        """Steps a second in a slice; NaN where it saw fewer than three."""
        done = [when for _, when, *_ in self.clock() if begun + SETTLE_S < when < ended]
        return (len(done) - 1) / (done[-1] - done[0]) if len(done) > 2 else math.nan

    def weights(self) -> str:
        """Checksum of the weights at the end."""
        return Storage(str(self.root)).read_json(f"runs/{self.name}/workers.json")[0]["weights"]


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
    subprocess.run(command + task, check=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})


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

    with ray_session(settings_of(root)):
        (Path(root) / f"{name}.begun").write_text(str(time.time()))
        # The driver follows the steps, as a person's terminal does.
        train_on_ray(assignment(root, name, steps), products(root), workers=workers, on_step=lambda step, terms: None)


STARTERS = {PEER: by_torchrun, OURS: by_ray_train}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600, help="of each training")
    parser.add_argument("--slice", type=float, default=4.0, metavar="SECONDS", help="how long each steps at a time")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 1], help="numbers of workers to compare at")
    parser.add_argument("--worker", nargs=2, metavar=("ROOT", "RUN"), help=argparse.SUPPRESS)
    parser.add_argument("--start", nargs=4, metavar=("STARTER", "ROOT", "RUN", "WORKERS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        torchrun_worker(*arguments.worker, arguments.steps)
        return
    if arguments.start:
        starter, root, name, workers = arguments.start
        STARTERS[starter](root, name, arguments.steps, int(workers))
        return
    if arguments.steps < 2 * WARM_UP + LAST_STEPS:
        parser.error(f"--steps is {arguments.steps}; take {2 * WARM_UP + LAST_STEPS} or more")
    with tempfile.TemporaryDirectory() as root:
        settings = settings_of(root)
        with ray_session(settings):
            import_sample(Storage(root), DATA, Pseudonymiser.load(settings))
        for workers in arguments.workers:
            compare(Path(root), arguments.steps, arguments.slice, workers)


def compare(root: Path, steps: int, seconds: float, workers: int) -> None:
    with ExitStack() as started:
        both = []
        for starter in STARTERS:
            name = f"{starter.split()[0].lower()}-{workers}"
            command = [sys.executable, "-m", "benchmarks.training_ddp", "--steps", str(steps), "--start", starter]
            begun = time.time()
            pid = started.enter_context(running([*command, str(root), name, str(workers)], {}, root / f"{name}.log"))
            both.append(Contender(starter, name, root, pid, begun))
            both[-1].await_steps(WARM_UP)
            both[-1].send(signal.SIGSTOP)
        turns: list[tuple[Contender, tuple[float, float]]] = []
        while max(each.steps() for each in both) < steps - LAST_STEPS:
            turns += [(each, each.turn(seconds)) for each in both]
        for each in both:
            each.await_end()
    report(both, [(each.starter, each.rate(*turn)) for each, turn in turns], workers)


def report(both: list[Contender], rates: list[tuple[str, float]], workers: int) -> None:
    ratios = neighbour_ratios(rates)
    mean, error = statistics.fmean(ratios), statistics.stdev(ratios) / len(ratios) ** 0.5
    low, high = (math.exp(mean + side * 1.96 * error) for side in (-1, 1))
    same = "yes" if both[0].weights() == both[1].weights() else "NO"
    print(
        f"{workers} worker(s): Ray Train / torchrun {math.exp(mean):.3f} of the steps a second "
        f"(95 % {low:.3f}…{high:.3f}, {len(ratios)} slices, wanted: {WANTED}), the same weights: {same}"
    )
    for each in both:
        clock = each.clock()
        own = [rate for starter, rate in rates if starter == each.starter and not math.isnan(rate)]
        begun = each.root / f"{each.name}.begun"
        first = clock[0][1] - (float(begun.read_text()) if begun.exists() else each.begun)
        waited = sum(line[2] for line in clock[WARM_UP:]) / sum(line[3] for line in clock[WARM_UP:])
        print(
            f"{each.starter:9} {statistics.median(own):.3f} steps/s ({min(own):.2f}…{max(own):.2f}); first step after "
            f"{first:.1f} s; waiting for data {waited:.2%} of step time",
            flush=True,
        )


def neighbour_ratios(rates: list[tuple[str, float]]) -> list[float]:
    """Natural logarithm of each slice of ours over the geometric mean of the peer's before and after it."""
    logs = [(starter, math.log(rate)) for starter, rate in rates]
    triples = zip(logs, logs[1:], logs[2:], strict=False)
    middle = [now - (before + after) / 2 for (_, before), (name, now), (_, after) in triples if name == OURS]
    return [value for value in middle if not math.isnan(value)]


if __name__ == "__main__":
    main()
