"""Restyling a clip: our network against Johnson's and AdaIN's, same machine, same run, rounds alternating.

Each contender takes 16 frames uint8 and a style picture and gives 16 frames uint8, conversions included; the style is
read once a clip. Johnson et al. 2016: the feed-forward network of 1.7M parameters with instance normalisation; it knows
one style and needs no picture. AdaIN, Huang and Belongie 2017: VGG-19 to relu4_1 encodes, its mirror decodes, 7.0M
parameters. Both carry random weights: this is about speed. With --keep-memory all of them keep the memory they freed,
as a replica that serves does; the larger maps of the others gain more by it. Seconds are medians over rounds; the share
of a core that each had tells how busy the machine was, and the ratio of CPU seconds is the one to trust where it was.

    python -m benchmarks.restyle_speed [--size 256] [--frames 16] [--rounds 5] [--threads 2] [--device cpu]
        [--keep-memory]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trainables.allocator import keep_freed_memory
from trainables.data.style_code import style_code
from trainables.data.video import encode_mp4
from trainables.generator.restyle.network import NetworkConfig, RestyleNetwork
from trainables.generator.restyle.presets import preset_image
from trainables.generator.restyle.restyler import Restyler
from trainables.generator.starter import starter_bundle

FPS = 12.0
PEER_BATCH = 4
"""Frames the peers take at once on a CPU; more is slower there. A GPU takes the clip whole."""
OURS = "shopreel"
Contender = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Clip uint8 (T, H, W, 3) and style uint8 (H, W, 3) → clip."""


def ours(device: str) -> Contender:
    """The packaged starter weights, or untrained ones of the same shape where the package carries none."""
    if (Path(__file__).parent.parent / "trainables/generator/starter/restyle/config.json").is_file():
        restyler = Restyler.from_bundle(starter_bundle("restyle"), device)
    else:
        restyler = Restyler(RestyleNetwork(NetworkConfig()), device)
    restyler.tune(["bfloat16"], (16, 256, 256))  # as a replica does
    return lambda clip, style: restyler.restyle([clip], style_code(style)[None])[0]


def johnson(device: str) -> Contender:
    network = _prepared(
        nn.Sequential(
            *_conv(3, 32, 9),
            *_conv(32, 64, 3, stride=2),
            *_conv(64, 128, 3, stride=2),
            *(_Residual(128) for _ in range(5)),
            nn.Upsample(scale_factor=2),
            *_conv(128, 64, 3),
            nn.Upsample(scale_factor=2),
            *_conv(64, 32, 3),
            nn.ReflectionPad2d(4),
            nn.Conv2d(32, 3, 9),
        ),
        device,
    )
    return lambda clip, style: _by_frames(network, clip, device)


def adain(device: str) -> Contender:
    encoder = _prepared(_vgg((3, 64, 64, "pool", 128, 128, "pool", 256, 256, 256, 256, "pool", 512)), device)
    decoder = _prepared(_vgg((512, 256, "up", 256, 256, 256, 128, "up", 128, 64, "up", 64, 3)), device)

    def restyle(clip: np.ndarray, style: np.ndarray) -> np.ndarray:
        deviation_s, mean_s = torch.std_mean(encoder(_tensor(style[None], device)), (2, 3), keepdim=True)

        def network(frames_NCHW: Tensor) -> Tensor:
            content = encoder(frames_NCHW)
            deviation, mean = torch.std_mean(content, (2, 3), keepdim=True)
            return decoder((content - mean) / (deviation + 1e-5) * deviation_s + mean_s)

        return _by_frames(network, clip, device)

    return restyle


CONTENDERS = {OURS: ours, "Johnson": johnson, "AdaIN": adain}
REQUIRED = {"Johnson": 10.0, "AdaIN": 4.0}
"""How many times faster ours has to be."""


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(channels, channels, 3), *_conv(channels, channels, 3)[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _conv(before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.ReflectionPad2d(kernel // 2),
        nn.Conv2d(before, after, kernel, stride),
        nn.InstanceNorm2d(after, affine=True),
        nn.ReLU(inplace=True),
    ]


def _vgg(plan: tuple[int | str, ...]) -> nn.Sequential:
    """3×3 convolutions with ReLU between the given channels, `pool` halves and `up` doubles."""
    layers: list[nn.Module] = []
    channels = plan[0]
    for step in plan[1:]:
        if step == "pool":
            layers.append(nn.MaxPool2d(2))
        elif step == "up":
            layers.append(nn.Upsample(scale_factor=2))
        else:
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, step, 3), nn.ReLU(inplace=True)]
            channels = step
    return nn.Sequential(*(layers if channels != 3 else layers[:-1]))


def _prepared(network: nn.Module, device: str) -> nn.Module:
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def _tensor(frames_NHWC: np.ndarray, device: str) -> Tensor:
    frames = torch.from_numpy(frames_NHWC).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return frames.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def _by_frames(network: Callable[[Tensor], Tensor], clip: np.ndarray, device: str) -> np.ndarray:
    batch = PEER_BATCH if device == "cpu" else len(clip)
    parts = []
    for start in range(0, len(clip), batch):
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            frames = network(_tensor(clip[start : start + batch], device)).float().clamp(-1, 1)
        parts.append(((frames + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


@dataclass(frozen=True)
class Taken:
    """One run of one contender."""

    seconds: float
    cpu_seconds: float
    """Of all threads of this process."""


def time_one(contender: Contender, clip: np.ndarray, style: np.ndarray) -> Taken:
    """The result leaves the device as uint8, so nothing is still in flight."""
    wall, cpu = time.perf_counter(), time.process_time()
    contender(clip, style)
    return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def material(size: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip that pans over a picture, and another picture as style."""
    wide = preset_image("warm_film", 2 * size)
    clip = np.stack([wide[size // 2 : size // 2 + size, t : t + size] for t in range(frames)])
    return clip, preset_image("vintage", size)


def peak_memory(name: str, size: int, frames: int, threads: int) -> float:
    """MiB that a run adds, at its peak, to a fresh process that has loaded the libraries and the model (Linux)."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_grown, (name, size, frames, threads))


def _grown(name: str, size: int, frames: int, threads: int) -> float:
    torch.set_num_threads(threads)
    contender, (clip, style) = CONTENDERS[name]("cpu"), material(size, frames)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
    contender(clip, style)
    return _resident("VmHWM") - before


def _resident(field: str) -> float:
    """MiB, of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def gpu_memory(contender: Contender, clip: np.ndarray, style: np.ndarray) -> float:
    """MiB allocated at the peak of a run, the model included."""
    torch.cuda.reset_peak_memory_stats()
    contender(clip, style)
    return torch.cuda.max_memory_allocated() / 1024**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--keep-memory", action="store_true", help="as a replica does; else as the C library does")
    arguments = parser.parse_args()
    if arguments.keep_memory:
        keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    size, frames, device = arguments.size, arguments.frames, arguments.device
    contenders = {name: make(device) for name, make in CONTENDERS.items()}
    clip, style = material(size, frames)
    print(f"{frames} frames of {size} × {size}, {arguments.threads} threads, {device}, load {os.getloadavg()[0]:.1f}")
    for contender in contenders.values():
        contender(clip[: min(4, frames)], style)
    taken: dict[str, list[Taken]] = {name: [] for name in contenders}
    encoding: list[float] = []
    for number in range(arguments.rounds):
        for name, contender in contenders.items():
            taken[name].append(time_one(contender, clip, style))
        restyled = contenders[OURS](clip, style)
        start = time.perf_counter()
        encode_mp4(restyled, FPS)
        encoding.append(time.perf_counter() - start)
        print(f"round {number + 1}  " + "  ".join(f"{name} {runs[-1].seconds:.2f} s" for name, runs in taken.items()))
    seconds = {name: statistics.median(run.seconds for run in runs) for name, runs in taken.items()}
    busy = {name: statistics.median(run.cpu_seconds for run in runs) for name, runs in taken.items()}
    for name in contenders:
        if device == "cpu":
            memory = peak_memory(name, size, frames, arguments.threads)
        else:
            memory = gpu_memory(contenders[name], clip, style)
        print(
            f"{name:9} {frames / seconds[name]:8.2f} frames/s  {seconds[name]:7.3f} s  {busy[name]:7.3f} CPU s"
            f"  {busy[name] / seconds[name]:4.2f} cores  peak {memory:5.0f} MiB"
        )
    encoded = statistics.median(encoding)
    print(f"{OURS} with H.264: {seconds[OURS] + encoded:.3f} s a clip (encoding {encoded:.3f} s)")
    for peer, times in REQUIRED.items():
        print(
            f"ratio     {OURS} / {peer}: {seconds[peer] / seconds[OURS]:.1f} × frames/s,"
            f" {busy[peer] / busy[OURS]:.1f} × by CPU seconds (wanted: {times:g} ×)"
        )


if __name__ == "__main__":
    main()
