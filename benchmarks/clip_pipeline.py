"""The clip pipeline (decode → trim → crop → scale → tensor) against a bare PyAV decode loop on the same files.

One core, one thread, rounds alternating. All go through every frame and all sound of every file. The bare loop decodes
and drops them; the product keeps the frames that a clip of 24 needs, crops, scales with exact rounding, gives a tensor
in [-1, 1] and the sound; in the second row, as an import does, it also looks for black and still ends, and decodes a
file that has some a second time. The last contender is what many loaders do: every frame to RGB at full size, the kept
ones cropped and scaled with torch, no sound. CPU seconds are compared, so that a busy machine matters little; the ratio
says how much of the bare loop's speed is left.

    python -m benchmarks.clip_pipeline FOLDER_WITH_VIDEOS [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.allocator import keep_freed_memory
from trainables.data.video import DecodeOptions, decode_clip

OPTIONS = DecodeOptions(span="whole", max_dead_seconds=0)
WANTED = 0.9
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


def bare(path: Path) -> None:
    """Decode and drop."""
    with av.open(str(path)) as container:
        streams = [container.streams.video[0], *container.streams.audio[:1]]
        streams[0].codec_context.thread_count = 1
        for _ in container.decode(*streams):
            pass


def plain_loader(path: Path) -> Tensor:
    """Every frame to RGB, then crop and scale what is kept."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    kept = np.stack([frames[place] for place in np.linspace(0, len(frames) - 1, OPTIONS.num_frames).astype(int)])
    side = min(kept.shape[1:3])
    top, left = (kept.shape[1] - side) // 2, (kept.shape[2] - side) // 2
    square_TCHW = torch.from_numpy(kept[:, top : top + side, left : left + side]).permute(0, 3, 1, 2).float()
    scaled = F.interpolate(square_TCHW, (OPTIONS.size,) * 2, mode="bicubic", antialias=True, align_corners=False)
    return (scaled / 127.5 - 1).clamp(-1, 1)


def product(path: Path, options: DecodeOptions = OPTIONS) -> Tensor:
    clip = decode_clip(path, options)
    return torch.from_numpy(clip.frames_THWC).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


CONTENDERS: dict[str, Callable[[Path], object]] = {
    "bare decode loop": bare,
    "shopreel": product,
    "shopreel, trimming": partial(product, options=DecodeOptions(span="whole")),
    "decode all to RGB": plain_loader,
}


def cpu_seconds(contender: Callable[[Path], object], files: list[Path]) -> float:
    began = time.process_time()
    for path in files:
        contender(path)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as all workers of the product do
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    files = sorted(path for path in arguments.folder.rglob("*") if path.suffix in SUFFIXES)
    frames = 0
    for path in files:
        with av.open(str(path)) as container:
            frames += sum(1 for _ in container.decode(video=0))
    print(f"{len(files)} files, {frames} frames, one core, load {os.getloadavg()[0]:.1f}")
    taken: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(arguments.rounds):
        for name, contender in CONTENDERS.items():
            taken[name].append(cpu_seconds(contender, files))
    for name, seconds in taken.items():
        ratios = [peer / own for peer, own in zip(taken["bare decode loop"], seconds, strict=True)]
        print(
            f"{name:18} {statistics.median(seconds):6.3f} CPU s  {frames / statistics.median(seconds):7.0f} frames/s  "
            f"{statistics.median(ratios):.3f} of the bare loop ({min(ratios):.3f}…{max(ratios):.3f})"
            + (f", wanted: {WANTED}" if name == "shopreel" else "")
        )


if __name__ == "__main__":
    main()
