"""A long training whose workers are killed at random: `make soak`.

    python -m tests.soak --minutes 20 --kill-every 60

Trains the tiny shop with `shopreel train generator` on two workers for about so many minutes, with a SIGKILL of a
random worker process every so many seconds. It must end with the step count it was started for, every step in the
record once, finite losses, and equal networks on both workers.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster.config import override
from cluster.settings import Settings
from cluster.storage import Storage
from tests.generator_tiny import TINY
from tests.tiny_shop import make_tiny_shop
from trainables.generator.job import run_training
from trainables.runs.folder import RunFolder

SETTINGS = (
    "batch_size=4", "frame_size=32", "network.widths=[16,16,16]", "network.blocks=1", "discriminator.width=8",
    "looks.references=1", "looks.variants=0", "looks.crops=1", "checkpoint_every=20", "sheet_every=1000000",
)  # fmt: skip
SHARE_TRAINED = 0.5
"""Of the time between two kills; the rest goes into starting workers again."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--kill-every", type=float, default=60, help="seconds")
    parser.add_argument("--seed", type=int, default=0, help="of who is killed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shopreel-soak-") as home:
        os.environ["SHOPREEL_HOME"] = home
        settings = Settings.load()
        storage = Storage(settings.storage_root)
        make_tiny_shop(storage, products=12, viewers=0)
        steps = max(40, round(arguments.minutes * 60 * SHARE_TRAINED / seconds_a_step(settings)))
        began = time.monotonic()
        killed = soak(home, steps, arguments.kill_every, random.Random(arguments.seed))
        minutes = (time.monotonic() - began) / 60
        folder = RunFolder(storage, "soak")
        problems = check(folder, steps)
        print(f"{steps} steps, {minutes:.1f} minutes, {killed} workers killed, {folder.interruptions()}")
    if problems:
        sys.exit("\n".join(problems))
    print("every step once, losses finite, networks equal")


def seconds_a_step(settings: Settings) -> float:
    """Of two workers that share this machine, from a few steps of one: its fastest, as what else runs at the moment
    would make the soak shorter than was asked for.
    """
    config = override(TINY, ["steps=30", "batch_size=4", "checkpoint_every=30"])
    run_training(settings, "tiny", "pace", config, workers=1, use_ray=False, register=False)
    return min(line["seconds"] for line in RunFolder(Storage(settings.storage_root), "pace").stats())


def soak(home: str, steps: int, kill_every: float, chance: random.Random) -> int:
    """Train in a process of its own and kill its workers meanwhile; returns how many were."""
    chosen = [part for setting in (*SETTINGS, f"steps={steps}") for part in ("--set", setting)]
    command = ["-m", "cluster.cli.main", "train", "generator", "--data", "tiny", "--run", "soak", "--workers", "2"]
    driver = subprocess.Popen([sys.executable, *command, "--max-failures", "-1", *chosen])
    record = Path(home) / "runs" / "soak" / "workers.json"
    killed = 0
    try:
        while True:
            try:
                driver.wait(kill_every)
                break
            except subprocess.TimeoutExpired:
                pid = chance.choice(pids) if (pids := alive(record)) else None
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                killed += 1
                print(f"{time.strftime('%H:%M:%S')} killed worker {pid}", flush=True)
    finally:
        driver.terminate()
        driver.wait()
    if driver.returncode != 0:
        sys.exit(f"the training ended with exit code {driver.returncode}")
    return killed


def alive(record: Path) -> list[int]:
    """Process ids of the run's workers, none while they are started."""
    if not record.exists():
        return []
    pids = [worker["pid"] for worker in Storage(str(record.parent)).read_json(record.name)]
    return [pid for pid in pids if "RayTrainWorker" in _title(pid)]


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def check(folder: RunFolder, steps: int) -> list[str]:
    """What is not as promised."""
    record, problems = folder.stats(), []
    if [line["step"] for line in record] != list(range(1, steps + 1)):
        problems.append(f"the record has {len(record)} lines for {steps} steps, the last {record[-1:]}")
    if folder.checkpoints.newest()["step"] != steps:
        problems.append(f"the newest checkpoint is not of step {steps}")
    for line in record:
        bad = [name for name, value in line.items() if not math.isfinite(value)]
        problems += [f"step {line['step']}: {name} is {line[name]}" for name in bad]
    weights = {worker["weights"] for worker in folder.storage.read_json(folder.path("workers.json"))}
    if len(weights) != 1:
        problems.append(f"the workers' networks differ: {weights}")
    return problems


if __name__ == "__main__":
    main()
