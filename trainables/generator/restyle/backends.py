"""Ways to run the convolutions of the restyling network, which are most of its work, and the choice among them.

`eager`, in float32, is the reference: the pictures that a version was judged by. Any other way is compared with it when
a version is loaded, and the clock decides among those that pass; two replicas may choose differently, and what one has
rendered is kept and shown for all. So only that passes whose pictures are interchangeable with the reference's: on
average no farther from them than storing a picture in 8 bits moves it, a quarter of a grey level, and nowhere by more
than the eye sees in one pixel. H.264, which comes after, moves them several times farther.

Dims: B clips, C = 3 channels, T frames, H height, W width, N frames of a batch, Z modulation.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cluster.errors import ShopreelError
from trainables.generator.restyle.network import Convolve, Prepared, RestyleNetwork
from trainables.generator.restyle.presets import preset_codes

EAGER = "eager"
MEAN_LEVELS = 0.25
MOST_LEVELS = 8.0
"""Bounds of the difference from the reference in grey levels of 0…255, over all presets."""
WORTH = 1.05
"""How many times faster than the reference a way must be to take its place."""
BUDGET_S = 2.0
"""Of comparing, once every way has been made and run for the first time; what is not compared by then is not used."""
FIXED = ("onnx", "compiled")
"""Made for windows of one shape, in seconds and in about a minute; windows of any other shape are run eagerly."""


@dataclass(frozen=True)
class Backend:
    """One way, in use."""

    name: str
    convolve: Convolve


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was found of one way."""

    name: str
    seconds: float | None = None
    """The least that a window took."""
    mean_levels: float = 0.0
    most_levels: float = 0.0
    fault: str = ""
    """Why it may not be used; empty where it may."""

    def __str__(self) -> str:
        took = "" if self.seconds is None else f" {self.seconds * 1000:.0f} ms"
        off = (
            f", {self.mean_levels:.2f} levels off, {self.most_levels:.0f} at most"
            if took and self.name != EAGER
            else ""
        )
        return f"{self.name}{took}{off}{f' ({self.fault})' if self.fault else ''}"


@dataclass(frozen=True)
class _Example:
    """What `RestyleNetwork.residual` is asked on a window of the served shape."""

    pair_NCHW: Tensor
    z_NZ: Tensor


@torch.inference_mode()
def fastest(
    network: RestyleNetwork,
    names: Sequence[str],
    window_THW: tuple[int, int, int],
    *,
    together: int = 1,
    worth: float = WORTH,
) -> tuple[Backend, list[Trial]]:
    """The fastest way to paint windows of this shape that gives the reference's pictures, and what was found of each.

    A way that cannot be had here, fails or is wrong is left out with its reason; eager is always there. `together`:
    clips that are painted at once. `worth`: as `WORTH`; at 0 any other way that passes is taken before eager.
    """
    device = network.anchors.device
    window_BCTHW = _probe(window_THW).to(device)
    statistics = network.statistics(window_BCTHW)
    codes_BS = torch.tensor(np.stack(list(preset_codes().values()))).to(device)
    first, *others = [(window_BCTHW, network.prepare(code_BS, statistics)) for code_BS in codes_BS.split(1)]
    cases = [(*first, False), *((*other, True) for other in others)]  # the first warms everything up
    if (looks := min(together, len(codes_BS))) > 1:
        frame_BCTHW = window_BCTHW[:, :, :1].expand(looks, -1, -1, -1, -1)
        cases.append((frame_BCTHW, network.prepare(codes_BS[-looks:], statistics.expand(looks, -1)), False))
    example = _example(network, *first)
    eager, rivals, trials = _Measured(Backend(EAGER, network.residual)), {}, []
    for name in names:
        try:
            if name != EAGER:
                rivals[name] = _Measured(Backend(name, MAKERS[name](network, example)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the reference serves; the trial says why
            trials.append(Trial(name=name, fault=_reason(error)))
    ends = None
    for clips_BCTHW, prepared, timed in cases:
        if not rivals or (ends is not None and time.perf_counter() > ends):
            break
        paint = partial(network.paint, clips_BCTHW, prepared)
        reference = eager.run(paint, device, timed=timed)
        for name, rival in list(rivals.items()):
            try:
                rival.compare(rival.run(paint, device, timed=timed), reference)
            except Exception as error:  # noqa: BLE001 - as above
                del rivals[name]
                trials.append(Trial(name=name, fault=_reason(error)))
        if ends is None:
            ends = time.perf_counter() + BUDGET_S
    reached = [rival.trial(len(cases)) for rival in rivals.values()]
    best = min((trial for trial in reached if not trial.fault), key=lambda trial: trial.seconds, default=None)
    took = eager.seconds
    chosen = rivals[best.name] if best is not None and best.seconds * worth <= took else eager
    return chosen.backend, [Trial(name=EAGER, seconds=took), *reached, *trials]


class _Measured:
    """A way that is being compared."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._took: list[float] = []
        self._means: list[float] = []
        self._most = 0.0

    @property
    def seconds(self) -> float | None:
        """The least that a window took; None before the first that was timed."""
        return min(self._took, default=None)

    def run(self, paint: Callable[..., Tensor], device: torch.device, *, timed: bool) -> Tensor:
        """The painted window."""
        _await(device)
        begin = time.perf_counter()
        painted = paint(self.backend.convolve)
        _await(device)
        if timed:
            self._took.append(time.perf_counter() - begin)
        return painted

    def compare(self, painted: Tensor, reference: Tensor) -> None:
        """How far from the reference; what is no number is as far as can be."""
        away = ((painted - reference).abs() * 127.5).nan_to_num(255.0, 255.0)
        self._means.append(float(away.mean()))
        self._most = max(self._most, float(away.max()))

    def trial(self, cases: int) -> Trial:
        """What was found, of so many comparisons that there are."""
        mean, fault = max(self._means), ""
        if len(self._means) < cases:
            fault = f"only {len(self._means)} of {cases} comparisons were made in {BUDGET_S:g} s"
        elif mean > MEAN_LEVELS or self._most > MOST_LEVELS:
            fault = f"other pictures than {EAGER}'s: {MEAN_LEVELS:g} levels and {MOST_LEVELS:g} at most are allowed"
        return Trial(
            name=self.backend.name, seconds=self.seconds, mean_levels=mean, most_levels=self._most, fault=fault
        )


def _bfloat16(network: RestyleNetwork, example: _Example) -> Convolve:
    """Half the bytes, and products that hardware with bfloat16 adds up in float32."""
    kind = example.pair_NCHW.device.type
    if kind == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name)
    if not native:
        raise ShopreelError("this device has no bfloat16 arithmetic")

    short = copy.deepcopy(network).to(torch.bfloat16)

    def convolve(pair_NCHW: Tensor, z_NZ: Tensor) -> Tensor:
        return short.residual(pair_NCHW.bfloat16(), z_NZ.bfloat16())

    return convolve


def _compiled(network: RestyleNetwork, example: _Example) -> Convolve:
    """By torch.compile; the first run compiles."""
    return _of_one_shape(network, example, torch.compile(network.residual, dynamic=False))


def _onnx(network: RestyleNetwork, example: _Example) -> Convolve:
    """On onnxruntime, on a CPU."""
    if example.pair_NCHW.device.type != "cpu":
        raise ShopreelError("onnxruntime is used on CPUs only")
    if find_spec("onnxruntime") is None:
        raise ShopreelError("onnxruntime is not installed: shopreel[onnx]")
    import onnxruntime

    from trainables.generator.restyle.onnx import export_residual

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(False), torch.no_grad():
        path = Path(folder) / "residual.onnx"
        shapes = tuple(example.pair_NCHW.shape), tuple(example.z_NZ.shape)
        export_residual(network, path, *shapes)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(pair_NCHW: Tensor, z_NZ: Tensor) -> Tensor:
        (residual,) = session.run(None, {"pair": pair_NCHW.numpy(), "z": z_NZ.numpy()})
        return torch.from_numpy(residual)

    return _of_one_shape(network, example, run)


MAKERS: dict[str, Callable[[RestyleNetwork, _Example], Convolve]] = {
    "bfloat16": _bfloat16,
    "onnx": _onnx,
    "compiled": _compiled,
}
"""Each raises where it cannot be had; by name, from the quickest to make to the slowest."""


def _of_one_shape(network: RestyleNetwork, example: _Example, special: Callable[[Tensor, Tensor], Tensor]) -> Convolve:
    asked = example.pair_NCHW.shape, example.z_NZ.shape

    def convolve(pair_NCHW: Tensor, z_NZ: Tensor) -> Tensor:
        if (pair_NCHW.shape, z_NZ.shape) != asked:
            return network.residual(pair_NCHW, z_NZ)
        return special(pair_NCHW, z_NZ)

    return convolve


def _example(network: RestyleNetwork, window_BCTHW: Tensor, prepared: Prepared) -> _Example:
    seen = []

    def see(*asked: Tensor) -> Tensor:
        seen.append(_Example(*asked))
        return network.residual(*asked)

    network.paint(window_BCTHW, prepared, see)
    return seen[0]


def _probe(window_THW: tuple[int, int, int]) -> Tensor:
    """A fixed clip (1, 3, T, H, W) in [-1, 1]: plain squares with sharp edges, under a little noise."""
    frames, height, width = window_THW
    random = np.random.RandomState(0)  # the legacy stream never changes between numpy releases
    squares = random.randint(0, 256, (frames, -(-height // 16), -(-width // 16), 3))
    large = squares.repeat(16, 1).repeat(16, 2)[:, :height, :width]
    levels = (large + random.randint(-6, 7, large.shape)).clip(0, 255)
    return torch.from_numpy(levels).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def _await(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reason(error: Exception) -> str:
    """One line: errors of compilers fill pages."""
    line = next(iter(str(error).strip().splitlines()), "")[:200]
    return line if isinstance(error, ShopreelError) else f"{type(error).__name__}: {line}"
