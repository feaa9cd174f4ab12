from typing import get_args

import numpy as np
import pytest
import torch

from cluster.errors import ShopreelError
from serving.args import BackendName
from tests.generator_tiny import TINY, Clips
from trainables.data.style_code import CODE_DIM
from trainables.generator.restyle import backends
from trainables.generator.restyle.backends import EAGER, MAKERS, MEAN_LEVELS, MOST_LEVELS, Backend, fastest
from trainables.generator.restyle.network import RestyleNetwork
from trainables.generator.restyle.presets import preset_codes
from trainables.generator.restyle.restyler import Restyler
from trainables.generator.starter import starter_bundle

WINDOW = (2, 32, 32)
EXAMPLE = backends._Example(torch.zeros(1, 6, 32, 32), torch.zeros(1, 64))


class SlowNetwork(RestyleNetwork):
    """Does its convolutions ten times over."""

    def residual(self, *asked):
        for _ in range(9):
            super().residual(*asked)
        return super().residual(*asked)

    def once(self, *asked):
        return super().residual(*asked)


@pytest.fixture
def network() -> SlowNetwork:
    torch.manual_seed(0)
    made = SlowNetwork(TINY.network).eval().requires_grad_(False)
    made.head.weight.normal_(std=0.05)  # as if trained
    return made


def unavailable(network, example):
    raise ShopreelError("nobody has installed it")


def breaks(network, example):
    def convolve(*asked):
        raise RuntimeError("CUDA error\nat some length")

    return convolve


def wrong(network, example):
    return lambda *asked: network.once(*asked) + 0.02


def no_numbers(network, example):
    return lambda *asked: network.once(*asked) * float("nan")


def right(network, example):
    return lambda *asked: network.once(*asked) + 0.001


def slower(network, example):
    def convolve(*asked):
        network.residual(*asked)
        return network.residual(*asked)

    return convolve


def test_the_fastest_that_gives_the_same_pictures_serves_and_the_others_say_why_not(network, monkeypatch):
    makers = (unavailable, breaks, wrong, no_numbers, right, slower)
    monkeypatch.setattr(backends, "MAKERS", {make.__name__: make for make in makers})
    monkeypatch.setattr(backends, "BUDGET_S", 60.0)
    chosen, trials = fastest(network, [make.__name__ for make in makers], WINDOW)
    assert chosen.name == "right"
    found = {trial.name: trial for trial in trials}
    assert set(found) == {EAGER, *(make.__name__ for make in makers)}
    assert not (found[EAGER].fault or found["right"].fault or found["slower"].fault)
    assert found["unavailable"].fault == "nobody has installed it"
    assert found["breaks"].fault == "RuntimeError: CUDA error"
    assert "other pictures" in found["wrong"].fault and found["wrong"].mean_levels > MEAN_LEVELS
    assert "other pictures" in found["no_numbers"].fault
    assert 0 < found["right"].mean_levels <= MEAN_LEVELS
    assert "right" in str(found["right"]) and "levels off" in str(found["right"])


def wrong_together(network, example):
    return lambda pair, z: network.once(pair, z) + (0.02 if len(z) > 1 else 0)


def test_where_clips_are_painted_together_that_is_compared_too(network, monkeypatch):
    monkeypatch.setattr(backends, "MAKERS", {"wrong_together": wrong_together})
    monkeypatch.setattr(backends, "BUDGET_S", 60.0)
    assert fastest(network, ["wrong_together"], WINDOW)[0].name == "wrong_together"
    chosen, trials = fastest(network, ["wrong_together"], WINDOW, together=2)
    assert chosen.name == EAGER
    assert "other pictures" in trials[-1].fault


def test_nothing_that_wins_leaves_eager(network, monkeypatch):
    monkeypatch.setattr(backends, "MAKERS", {"slower": slower})
    monkeypatch.setattr(backends, "BUDGET_S", 60.0)
    assert fastest(network, ["slower"], WINDOW)[0].name == EAGER
    assert fastest(network, ["slower"], WINDOW, worth=0.0)[0].name == "slower"
    chosen, trials = fastest(network, ["eager"], WINDOW)
    assert (chosen.name, [trial.name for trial in trials]) == (EAGER, [EAGER])


class ClockedNetwork(SlowNetwork):
    """On a clock of its own: a tenth of a second for the convolutions."""

    def __call__(self) -> float:
        return self.now

    def residual(self, *asked):
        self.now += 0.1
        return self.once(*asked)


def compiled(network, example):
    shapes = set()

    def convolve(pair, z):
        network.now += 0.05 if pair.shape in shapes else 60.0
        shapes.add(pair.shape)
        return network.once(pair, z)

    return convolve


def test_compiling_is_neither_counted_nor_waited_for_in_the_comparison(monkeypatch):
    network = ClockedNetwork(TINY.network).eval()
    network.now = 0.0
    monkeypatch.setattr(backends, "MAKERS", {"compiled": compiled})
    monkeypatch.setattr(backends.time, "perf_counter", network)
    for together in (1, 6):
        chosen, trials = fastest(network, ["compiled"], WINDOW, together=together)
        assert (chosen.name, [round(trial.seconds, 3) for trial in trials]) == ("compiled", [0.1, 0.05])


def test_what_was_not_compared_in_time_is_not_used(network, monkeypatch):
    monkeypatch.setattr(backends, "MAKERS", {"right": right})
    monkeypatch.setattr(backends, "BUDGET_S", 0.0)
    chosen, trials = fastest(network, ["right"], WINDOW)
    assert chosen.name == EAGER
    assert "only 1 of 6 comparisons were made" in trials[-1].fault


def test_what_is_made_for_one_shape_leaves_other_shapes_to_eager(network, monkeypatch):
    asked = []

    def remember(residual, dynamic):
        def compiled(*arguments):
            asked.append(arguments[0].shape)
            return network.once(*arguments)

        return compiled

    monkeypatch.setattr(torch, "compile", remember)
    monkeypatch.setattr(backends, "BUDGET_S", 60.0)
    restyler, (clip,) = Restyler(network), Clips(1, size=32, frames=3)
    restyler.tune(["compiled"], (3, 32, 32))
    assert restyler.backend.name == "compiled"
    asked.clear()
    restyler.restyle([clip], np.zeros((1, CODE_DIM)))
    restyler.restyle([clip[:2]], np.zeros((1, CODE_DIM)))
    assert [shape[0] for shape in asked] == [3]


def test_bfloat16_gives_the_pictures_of_the_packaged_network_in_every_look():
    """Also on a clip and in mixtures of looks that it was not compared on: clips made in either way are
    interchangeable."""
    restyler = Restyler.from_bundle(starter_bundle("restyle"))
    try:
        half = MAKERS["bfloat16"](restyler.network, EXAMPLE)
    except ShopreelError as error:
        pytest.skip(str(error))
    presets = np.stack(list(preset_codes().values()))
    codes = [*presets, *(np.random.default_rng(0).dirichlet(np.ones(len(presets)), 3).astype(np.float32) @ presets)]
    clips = Clips(1, size=64, frames=4) * len(codes)
    eager = np.stack(restyler.restyle(clips, np.stack(codes)))
    restyler.backend = Backend("bfloat16", half)
    away = np.abs(eager.astype(int) - np.stack(restyler.restyle(clips, np.stack(codes))))
    assert 0 < away.mean((1, 2, 3, 4)).max() <= MEAN_LEVELS
    assert away.max() <= MOST_LEVELS


def test_the_exported_graph_gives_the_pictures_of_the_network_and_leaves_other_shapes_to_it():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: shopreel[onnx]")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: shopreel[onnx]")
    torch.manual_seed(0)
    network = RestyleNetwork(TINY.network).eval().requires_grad_(False)
    network.head.weight.normal_(std=0.05)
    pair, z = torch.rand(2, 6, 48, 48) * 2 - 1, torch.randn(1, 8)
    convolve = MAKERS["onnx"](network, backends._Example(pair, z))
    for frames in (2, 1):
        away = convolve(pair[:frames], z) - network.residual(pair[:frames], z)
        assert away.abs().max() * 127.5 < 0.1


def test_the_setting_offers_what_there_is():
    assert set(get_args(BackendName)) == {EAGER, *MAKERS}
