"""A sweep of short trials against the same trainings called one after the other: what a sweep costs beside its trials.

The sweep is `shopreel tune generator` with a grid, no early stopping, one trial at a time; a trial trains, measures
itself on held-out products, draws its clips and keeps its curve in MLflow. The bare trainings are the same loop and the
same evaluation at the same points, in one process without Ray and MLflow, one thread each as a trial has. Overhead is
the sweep's wall time over their sum, less one: Ray's start, the trials' start-up, MLflow, the clips, the report.

    python -m benchmarks.sweep_overhead [--trials 6] [--steps 40] [--rounds 1]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from cluster.mlflow_store import connect
from cluster.pseudonym import Pseudonymiser
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from trainables.data.importers.sample import import_sample

DATA = "bench"
WANTED = 0.25


def sweep(home: str, trials: int, steps: int, number: int) -> float:
    """Wall seconds of the command, its imports and Ray's start included."""
    command = [Path(sys.executable).with_name("shopreel"), "tune", "generator", "--data", DATA, "--search", "grid"]
    command += ["--scheduler", "none", "--concurrency", "1", "--trials", str(trials), "--steps", str(steps)]
    environment = os.environ | {"SHOPREEL_HOME": home}
    began = time.perf_counter()
    subprocess.run([*command, "--name", f"sweep-{number}"], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def bare(home: str, trials: int, steps: int, number: int) -> float:
    """Sum of wall seconds of the trainings and evaluations, imports left out, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.sweep_overhead", "--bare", home, str(number)]
    command += ["--trials", str(trials), "--steps", str(steps)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout
    return float(told.splitlines()[-1])


def train_bare(home: str, trials: int, steps: int, number: int) -> float:
    from lightning.fabric import Fabric

    from trainables.data.dataset import Dataset
    from trainables.generator.clips import DatasetClips
    from trainables.generator.job import average_network
    from trainables.generator.restyle.config import RestyleTrainConfig
    from trainables.generator.split import split_products
    from trainables.generator.task import task_named
    from trainables.generator.train import train
    from trainables.runs.folder import RunFolder
    from tuning.config import SweepConfig
    from tuning.generator.subject import SUBJECT
    from tuning.search import grid
    from tuning.space import apply
    from tuning.sweep import planned

    storage = Storage(home)
    dataset = Dataset.open(storage, DATA)
    training, held_out = split_products(dataset.clip_products())
    base = replace(RestyleTrainConfig(), steps=steps, checkpoint_every=max(1, steps // 4), sheet_every=steps)
    task, seconds = task_named(base.task), 0.0
    sweep = planned(SUBJECT, SweepConfig(trials=trials, steps=steps, search="grid"))
    for trial, point in enumerate(grid(sweep)[:trials]):
        config, folder = apply(base, point), RunFolder(storage, f"bare-{number}-{trial}")
        began = time.perf_counter()
        fabric = Fabric(accelerator="cpu", devices=1)
        fabric.launch()
        train(config, DatasetClips(dataset, training), fabric, sink=Silence(), checkpoints=folder.checkpoints)
        with tempfile.TemporaryDirectory() as scratch:
            task.save(average_network(folder, config), config, Path(scratch) / "bundle", {})
            task.evaluate(Path(scratch) / "bundle", dataset, held_out[:2])
        seconds += time.perf_counter() - began
    return seconds


class Silence:
    """A sink for numbers that nobody reads."""

    def log(self, step: int, metrics: dict[str, float]) -> None: ...

    def close(self) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--bare", nargs=2, metavar=("HOME", "ROUND"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    trials, steps = arguments.trials, arguments.steps
    if arguments.bare:
        print(train_bare(arguments.bare[0], trials, steps, int(arguments.bare[1])))
        return
    overheads = []
    with tempfile.TemporaryDirectory() as home:
        settings = Settings.load({"SHOPREEL_HOME": home})
        with ray_session(settings):
            import_sample(Storage(home), DATA, Pseudonymiser.load(settings))
        connect(settings.tracking_uri)  # makes its tables, once in the life of an installation
        for number in range(arguments.rounds):
            peer, ours = bare(home, trials, steps, number), sweep(home, trials, steps, number)
            overheads.append(ours / peer - 1)
            print(
                f"round {number + 1}: {trials} bare trainings of {steps} steps {peer:.1f} s, the sweep {ours:.1f} s: "
                f"+{overheads[-1]:.1%}, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    print(f"overhead of the sweep: {statistics.median(overheads):.1%} (wanted: under {WANTED:.0%})")


if __name__ == "__main__":
    main()
