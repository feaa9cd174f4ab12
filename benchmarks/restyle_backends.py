"""Restyling a clip by each backend, same weights, same machine, same run, rounds alternating; eager is the measure.

Times are medians over rounds of whole clips, conversions included, as a render has them; and what each backend does to
the pictures is what decides whether it may serve (`trainables.generator.restyle.backends`).

    python -m benchmarks.restyle_backends [--size 128] [--frames 24] [--rounds 9] [--threads 1] [--device cpu]
                                          [--backends bfloat16 onnx compiled]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch

from benchmarks.restyle_speed import material
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
        *_, trial = restyler.tune([name], clip.shape[:3])
        print(f"{trial}; {'may serve' if not trial.fault else 'may not'}; tried in {time.perf_counter() - begin:.1f} s")
        if restyler.backend.name == name:
            ways[name] = restyler
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, restyler in ways.items():
            begin = time.perf_counter()
            restyler.restyle([clip], code_BS)
            seconds[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, taken in medians.items():
        print(f"{name:9} {taken:7.3f} s a clip   ratio {medians[EAGER] / taken:.2f} × {EAGER}")


if __name__ == "__main__":
    main()
