"""Clips from a bundle: the same seed gives the same clips, wishes are read, bad ones are named."""

import numpy as np
import pytest
import torch

from cluster.errors import InputError
from tests.generate_tiny import TINY, tiny_memory
from trainables.bundle import read_bundle, write_bundle
from trainables.generator.generate.clip_maker import ClipMaker, save_bundle
from trainables.generator.generate.network import Finisher
from trainables.generator.generate.wishes import COLOURS, SCENES, oklab, wishes_of
from trainables.generator.text.understanding import names


@pytest.fixture(scope="module")
def maker() -> ClipMaker:
    torch.manual_seed(0)
    network = Finisher(TINY.network)
    torch.nn.init.normal_(network.head.weight, std=0.02)  # as if trained
    network.memory = tiny_memory()
    return ClipMaker(network)


def test_the_same_seed_gives_the_same_clips_whatever_the_count(maker):
    three, two = maker.make(3, 7, frames=4), maker.make(2, 7, frames=4)
    for first, second in zip(three, two, strict=False):
        np.testing.assert_array_equal(first, second)
    assert np.abs(three[0].astype(int) - maker.make(1, 8, frames=4)[0]).mean() > 2


@pytest.mark.parametrize("look", [None, "vintage"])
def test_one_clip_by_its_number_is_the_one_of_the_whole_set(maker, look):
    whole = maker.make(3, 7, look=look, size=64, frames=3)
    (last,) = maker.make(1, 7, look=look, size=64, frames=3, first=2)
    np.testing.assert_array_equal(last, whole[2])


def test_wishes_are_checked_without_making_a_clip(maker):
    assert maker.make(0, 7, "disc", motion="pan") == []
    for wishes in ({"kind": "spaceship"}, {"kind": "disc", "motion": "spin"}):
        with pytest.raises(InputError, match="kinds are|none of"):
            maker.make(0, 7, **wishes)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("kind", ["disc", "coin"])
def test_sizes_and_lengths(maker, kind, size):
    (clip,) = maker.make(1, 0, kind, size=size, frames=20)
    assert clip.shape == (20, size, size, 3)
    assert clip.dtype == np.uint8
    assert np.abs(np.diff(clip.astype(int), axis=0)).mean() > 0.2


def test_motion_is_as_wished(maker):
    (still,) = maker.make(1, 0, "disc", motion="still", frames=3)
    assert (still == still[:1]).all()
    (panned,) = maker.make(1, 0, "disc", motion="pan", frames=8)
    assert np.abs(np.diff(panned.astype(int), axis=0)).mean() > 0.2
    with pytest.raises(InputError, match="disc was not seen to spin"):
        maker.make(1, 0, "disc", motion="spin")


def test_bad_wishes_are_named(maker):
    for wishes, said in (
        ({"size": 96}, "size is 96"),
        ({"kind": "spaceship"}, "'spaceship' is none of coin, disc"),
        ({"look": "baroque"}, "'baroque' is no preset"),
        ({"motion": "jump"}, "motion is 'jump'"),
        ({"frames": 0}, "frames is 0; clips are made with 1 to 256"),
    ):
        with pytest.raises(InputError, match=said):
            maker.make(1, 0, **wishes)


def test_a_bundle_gives_the_same_clips(maker, tmp_path):
    save_bundle(maker.network, tmp_path / "b", {"limits": "none"})
    (first,), (second,) = maker.make(1, 3, frames=2), ClipMaker.from_bundle(tmp_path / "b").make(1, 3, frames=2)
    assert np.abs(first.astype(int) - second).max() <= 2  # weights rest in half precision


@pytest.mark.parametrize(
    ("name", "spoilt"),
    [
        ("sizes", None),
        ("sizes", lambda value: value[:-1]),
        ("sizes", lambda value: value + 0.5),
        ("pictures", lambda value: value[:-9]),
        ("labels", lambda value: value[:-9]),
    ],
)
def test_a_bundle_whose_memory_is_not_whole_is_refused(maker, tmp_path, name, spoilt):
    save_bundle(maker.network, tmp_path / "b", {})
    bundle = read_bundle(tmp_path / "b", kind="generator")
    value = bundle.tensors.pop(f"memory.{name}")
    if spoilt is not None:
        bundle.tensors[f"memory.{name}"] = spoilt(value)
    write_bundle(tmp_path / "b", kind="generator", tensors=bundle.tensors, config=bundle.config, card={})
    with pytest.raises(InputError, match="b: its memory is not whole"):
        ClipMaker.from_bundle(tmp_path / "b")


def test_a_bundle_of_another_task_is_refused(maker, tmp_path):
    save_bundle(maker.network, tmp_path / "b", {})
    config = tmp_path / "b" / "config.json"
    config.write_text(config.read_text().replace('"task": "generate"', '"task": "repair"'))
    with pytest.raises(InputError, match="does 'repair', not 'generate'"):
        ClipMaker.from_bundle(tmp_path / "b")


def test_every_colour_and_scene_a_text_may_name_has_a_value():
    assert set(COLOURS) == set(names("colour"))
    assert set(SCENES) == set(names("scene"))
    lightness, a, b = oklab((255, 255, 255))
    assert (lightness, a, b) == pytest.approx((1, 0, 0), abs=1e-3)


def test_a_description_becomes_wishes():
    able = {("dress", False), ("mug", False), ("mug", True)}
    wishes = wishes_of("a red dress, the camera zooms in, vintage", able)
    assert (wishes.kind, wishes.motion, wishes.look) == ("dress", "push_in", "vintage")
    assert wishes.colour == oklab(COLOURS["red"])
    assert wishes_of("a mug rotating on a turntable", able).motion == "spin"
    with pytest.raises(InputError, match="makes no handbag; kinds are dress, mug"):
        wishes_of("a handbag", able)


@pytest.mark.parametrize("text", ["a spinning dress", "a bowl, slow zoom in"])
def test_a_described_motion_that_a_kind_was_never_seen_in_is_let_go(text):
    assert wishes_of(text, {("dress", False), ("bowl", True)}).motion is None


def test_a_kind_beside_the_description_counts_more_than_what_the_text_names(maker):
    able = {("dress", False), ("mug", True)}
    assert wishes_of("beside a table lamp, turning slowly", able, "dress").motion is None
    maker.make(0, 0, "disc", "coin on a turntable beside a table lamp")
