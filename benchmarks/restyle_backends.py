"""Restyling a clip by each backend, same weights, same machine, same run, rounds alternating; eager is the measure.

Times are medians over rounds of whole clips, conversions included, as a render has them; where the machine was busy,
the ratio of CPU seconds is the one to trust. Only a backend that gives eager's pictures may serve, and is timed
(`trainables.generator.restyle.backends`).

    python -m benchmarks.restyle_backends [--size 128] [--frames 24] [--rounds 9] [--threads 1] [--device cpu]
                                          [--backends bfloat16 onnx compiled]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch

from benchmarks.restyle_speed import Taken, material, time_one
from trainables.data.style_code import style_code
from trainables.generator.restyle.backends import EAGER, MAKERS
from trainables.generator.restyle.restyler import Restyler
from trainables.generator.starter import starter_bundle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="as many as a replica has cores")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--backends", nargs="+", choices=tuple(MAKERS), default=tuple(MAKERS))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clip, style = material(arguments.size, arguments.frames)
    code_BS = style_code(style)[None]
    print(
        f"{arguments.frames} frames of {arguments.size} × {arguments.size}, {arguments.threads} threads, "
        f"{arguments.device}, load {os.getloadavg()[0]:.1f}"
    )
    ways: dict[str, Restyler] = {EAGER: Restyler.from_bundle(starter_bundle("restyle"), arguments.device)}
    for name in arguments.backends:
        restyler, begin = Restyler.from_bundle(starter_bundle("restyle"), arguments.device), time.perf_counter()
        *_, trial = restyler.tune([name], clip.shape[:3], worth=0.0)  # take each that passes, fast or not
        print(f"{trial}; {'may serve' if not trial.fault else 'may not'}; tried in {time.perf_counter() - begin:.1f} s")
        if restyler.backend.name == name:
            ways[name] = restyler
    taken: dict[str, list[Taken]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, restyler in ways.items():
            taken[name].append(time_one(lambda clip, _, way=restyler: way.restyle([clip], code_BS)[0], clip, style))
    seconds = {name: statistics.median(run.seconds for run in runs) for name, runs in taken.items()}
    busy = {name: statistics.median(run.cpu_seconds for run in runs) for name, runs in taken.items()}
    for name in ways:
        print(
            f"{name:9} {seconds[name]:7.3f} s  {busy[name]:7.3f} CPU s a clip   ratio to {EAGER}: "
            f"{seconds[EAGER] / seconds[name]:.2f} ×, {busy[EAGER] / busy[name]:.2f} × by CPU seconds"
        )


if __name__ == "__main__":
    main()
