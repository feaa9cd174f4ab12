"""How much a generator's figures owe to the seed: trainings from scratch with several seeds, side by side.

Each training is the starter script's own, whole or cut to `--steps`; held-out clips of the corpus are measured by
`shopreel evaluate generator`, whose table has baselines, floors, and the mean and sample deviation over the trainings.
An interrupted call goes on where it was.

    python -m trainables.generator.starter.corpus --data DATA --out corpus
    python -m benchmarks.generator_seeds --corpus corpus --task enhance --steps 600 --out seeds
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from trainables.generator.starter.corpus import Corpus, is_held_out
from trainables.generator.task import TASKS

SOURCES = {"garments": 10, "turntables": 4}
"""Held-out clips measured on, of each source; generated clips are held against all of them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="rendered by trainables.generator.starter.corpus")
    parser.add_argument("--task", choices=tuple(TASKS), required=True)
    parser.add_argument("--styles", type=Path, help="folder of pictures, for restyling: nine tenths to learn from")
    parser.add_argument("--steps", type=int, help="cut each training to so many; all of the script's without it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="folder of bundles, clips and the report")
    arguments = parser.parse_args()
    if (arguments.styles is not None) != (arguments.task == "restyle"):
        parser.error("--styles goes with --task restyle, and only with it")
    bundles = [trained(arguments, seed) for seed in range(arguments.seeds)]
    folders = held_out_clips(arguments)
    measure = [str(Path(sys.executable).with_name("shopreel")), "evaluate", "generator", "--task", arguments.task]
    for option, values in (("--in", folders), ("--model", bundles)):
        for value in values:
            measure += [option, str(value)]
    if arguments.styles is not None:
        measure += ["--styles", str(held_out_styles(arguments))]
    subprocess.run([*measure, "--out", str(arguments.out / arguments.task / "report")], check=True)


def trained(arguments: argparse.Namespace, seed: int) -> Path:
    """The bundle of one training."""
    run = arguments.out / arguments.task / f"run-{seed}"
    bundle = run.with_name(f"seed-{seed}")
    script = f"trainables.generator.starter.make_{arguments.task}"
    memory = run.with_name("run-0") / "memory.pt"  # of generation's clips: no seed has a say in it, and it takes long
    if seed and memory.is_file():
        run.mkdir(parents=True, exist_ok=True)
        shutil.copy(memory, run / memory.name)
    command = [sys.executable, "-m", script, "--corpus", str(arguments.corpus), "--run", str(run)]
    command += ["--out", str(bundle), "--set", f"seed={seed}"]
    if arguments.steps is not None:
        command += ["--set", f"steps={arguments.steps}"]
    if arguments.styles is not None:
        command += ["--styles", str(arguments.styles)]
    subprocess.run(command, check=True)
    return bundle


def held_out_clips(arguments: argparse.Namespace) -> list[Path]:
    """Folders of clips that no training saw, one of each source."""
    corpus = Corpus.open(arguments.corpus)
    folders = []
    for source, most in SOURCES.items():
        folder = arguments.out / arguments.task / "clips" / source
        folder.mkdir(parents=True, exist_ok=True)
        places = corpus.where(source, held_out=True)
        for place in places if arguments.task == "generate" else places[:most]:
            np.save(folder / f"{place:05d}.npy", corpus.clips[place])
        folders.append(folder)
    return folders


def held_out_styles(arguments: argparse.Namespace) -> Path:
    """A folder of the pictures that no training saw."""
    folder = arguments.out / "styles"
    folder.mkdir(parents=True, exist_ok=True)
    for picture in sorted(arguments.styles.iterdir()):
        if is_held_out(picture.stem):
            (folder / picture.name).write_bytes(picture.read_bytes())
    return folder


if __name__ == "__main__":
    main()
