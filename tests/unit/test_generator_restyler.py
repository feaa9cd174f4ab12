import copy
import json

import numpy as np
import pytest
import torch

from cluster.errors import InputError
from trainables.generator.restyle.network import NetworkConfig, RestyleNetwork
from trainables.generator.restyle.presets import PRESETS, preset_codes
from trainables.generator.restyle.restyler import Restyler, save_bundle

CONFIG = NetworkConfig(widths=(16, 16, 32), blocks=1)


@pytest.fixture(scope="module")
def network() -> RestyleNetwork:
    torch.manual_seed(0)
    network = RestyleNetwork(CONFIG)
    torch.nn.init.normal_(network.head.weight, std=0.05)  # as if trained
    return network.eval()


@pytest.fixture(scope="module")
def restyler(network) -> Restyler:
    return Restyler(network)


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (5, 40, 50, 3), np.uint8)


CODES = np.stack([preset_codes()[name] for name in PRESETS])


def test_strength_zero_is_the_clip_itself(restyler, clip):
    (same,) = restyler.restyle([clip], CODES[:1], strength=0)
    np.testing.assert_array_equal(same, clip)


def test_strength_is_continuous_and_moves_farther_the_stronger(restyler, clip):
    strengths = np.linspace(0, 1, 6)
    clips = restyler.restyle([clip] * 6, CODES[[2] * 6], strengths)
    moved = [np.abs(c.astype(float) - clip).mean() for c in clips]
    steps = np.diff(moved)
    assert steps.min() > 0
    assert steps.max() < 1.2 * moved[-1] / 5 + 0.5


def test_every_preset_looks_different(restyler, clip):
    looks = restyler.restyle([clip] * len(PRESETS), CODES)
    for i in range(len(looks)):
        for j in range(i):
            assert np.abs(looks[i].astype(float) - looks[j]).mean() > 8


def test_clips_of_different_shapes_in_one_call(restyler, clip):
    other = np.zeros((2, 64, 33, 3), np.uint8)
    restyled = restyler.restyle([clip, other], CODES[:2])
    assert [r.shape for r in restyled] == [clip.shape, other.shape]
    assert all(r.dtype == np.uint8 for r in restyled)


@pytest.mark.parametrize("window", [3 * 40 * 50, 24 * 40 * 50])
def test_clips_painted_together_are_those_painted_one_by_one(restyler, network, clip, monkeypatch, window):
    """Whatever their shapes, looks and strengths, in windows that hold some of them or all; in the order asked for."""
    monkeypatch.setattr("trainables.generator.restyle.restyler.WINDOW_PIXELS", window)
    random = np.random.default_rng(1)
    shapes = [clip.shape, (2, 64, 33, 3), clip.shape, clip.shape, (2, 64, 33, 3), clip.shape]
    clips = [random.integers(0, 255, shape, np.uint8) for shape in shapes]
    strengths = [1, 0.5, 0.25, 0, 1, 1]
    together = Restyler(network)
    together.batches = True
    painted = together.restyle(clips, CODES, strengths)
    for alone, one, source in zip(restyler.restyle(clips, CODES, strengths), painted, clips, strict=True):
        assert np.abs(alone.astype(int) - one).max() <= 1
        assert one.flags.c_contiguous and not np.shares_memory(one, source)
    np.testing.assert_array_equal(painted[3], clips[3])


def test_only_a_cpu_paints_clips_one_by_one(network):
    """A batch there would cost as much and make the first clip wait for the last."""
    assert not Restyler(network).batches
    assert Restyler(copy.deepcopy(network).to("meta"), "meta").batches


def test_windows_do_not_show(restyler, clip, monkeypatch):
    (whole,) = restyler.restyle([clip], CODES[:1])
    monkeypatch.setattr("trainables.generator.restyle.restyler.WINDOW_PIXELS", 2 * 40 * 50)
    (windowed,) = restyler.restyle([clip], CODES[:1])
    assert np.abs(whole.astype(int) - windowed).max() <= 1


def test_a_still_clip_does_not_flicker(restyler, clip):
    still = clip[:1].repeat(4, 0)
    (restyled,) = restyler.restyle([still], CODES[2:3])
    assert np.abs(np.diff(restyled.astype(int), axis=0)).max() == 0


def test_bad_input_is_named(restyler, clip):
    with pytest.raises(InputError, match="uint8"):
        restyler.restyle([clip.astype(float)], CODES[:1])
    with pytest.raises(InputError, match="strength is 1.5"):
        restyler.restyle([clip], CODES[:1], 1.5)
    with pytest.raises(InputError, match=r"\(1, 36\)"):
        restyler.restyle([clip], CODES[:2])
    with pytest.raises(InputError, match="sides must be 16"):
        restyler.restyle([clip[:, :8]], CODES[:1])


def test_a_bundle_gives_the_same_pictures(network, restyler, clip, tmp_path):
    save_bundle(network, CONFIG, tmp_path / "b", {"limits": "none"})
    again = Restyler.from_bundle(tmp_path / "b")
    first, second = restyler.restyle([clip], CODES[:1])[0], again.restyle([clip], CODES[:1])[0]
    assert np.abs(first.astype(int) - second).max() <= 2  # weights rest in half precision
    assert (tmp_path / "b" / "model.safetensors").stat().st_size < 4e6


def test_a_damaged_bundle_is_refused(network, tmp_path):
    save_bundle(network, CONFIG, tmp_path / "b", {})
    weights = tmp_path / "b" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(InputError, match="does not match its checksum"):
        Restyler.from_bundle(tmp_path / "b")


def test_a_bundle_of_weights_that_are_no_numbers_is_refused(network, tmp_path):
    broken = copy.deepcopy(network)
    with torch.no_grad():
        broken.stem.bias[0] = float("nan")
    save_bundle(broken, CONFIG, tmp_path / "b", {})
    with pytest.raises(InputError, match=r"b: weights 'stem\.bias' are no finite"):
        Restyler.from_bundle(tmp_path / "b")


def test_a_bundle_without_the_settings_of_its_network_is_refused(network, tmp_path):
    save_bundle(network, CONFIG, tmp_path / "b", {})
    header = json.loads((tmp_path / "b" / "config.json").read_text())
    del header["config"]["network"]
    (tmp_path / "b" / "config.json").write_text(json.dumps(header))
    with pytest.raises(InputError, match="lacks the settings of its network"):
        Restyler.from_bundle(tmp_path / "b")


def test_a_bundle_of_another_size_is_refused(network, tmp_path):
    save_bundle(network, NetworkConfig(widths=(16, 16, 16), blocks=1), tmp_path / "b", {})
    with pytest.raises(InputError, match="do not fit together"):
        Restyler.from_bundle(tmp_path / "b")


def test_a_bundle_from_when_the_network_was_told_where_it_is_restyles_as_at_a_mean_place(network, clip, tmp_path):
    told = copy.deepcopy(network)
    halves, _, *kernel = network.stem.weight.shape
    places = torch.randn(halves, 3, *kernel, generator=torch.Generator().manual_seed(0)) * 0.1
    told.stem.weight = torch.nn.Parameter(torch.cat([network.stem.weight, places], 1))
    save_bundle(told, CONFIG, tmp_path / "old", {})
    now = copy.deepcopy(network)
    now.stem.bias.data += places[:, 2].sum((1, 2)) * (0 + 0 + 1 / 3 + 1 / 3 - 1)  # mean of across² + down² - 1
    save_bundle(now, CONFIG, tmp_path / "now", {})
    old, new = (Restyler.from_bundle(tmp_path / name).restyle([clip], CODES[:1])[0] for name in ("old", "now"))
    assert np.abs(old.astype(int) - new).max() <= 1


def test_a_bundle_from_before_there_were_tasks_restyles_and_one_of_another_task_is_refused(network, clip, tmp_path):
    save_bundle(network, CONFIG, tmp_path / "b", {})
    header = json.loads((tmp_path / "b" / "config.json").read_text())
    del header["config"]["task"]
    (tmp_path / "b" / "config.json").write_text(json.dumps(header))
    (restyled,) = Restyler.from_bundle(tmp_path / "b").restyle([clip], CODES[:1])
    assert restyled.shape == clip.shape
    header["config"]["task"] = "repair"
    (tmp_path / "b" / "config.json").write_text(json.dumps(header))
    with pytest.raises(InputError, match="does 'repair', not 'restyle'"):
        Restyler.from_bundle(tmp_path / "b")
