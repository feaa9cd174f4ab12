import numpy as np
import pytest
import torch

from cluster.errors import InputError
from tests.enhance_tiny import TINY, textured_clip
from trainables.bundle import read_bundle, write_bundle
from trainables.generator.enhance.enhancer import LONGEST_WINDOW, Enhancer, save_bundle
from trainables.generator.enhance.evidence import evidence
from trainables.generator.enhance.finish import untinted
from trainables.generator.enhance.neighbours import merge_neighbours
from trainables.generator.enhance.network import EnhanceNetwork
from trainables.generator.enhance.relight import light
from trainables.metrics.image import psnr
from trainables.metrics.motion import static_flicker


def make(*, trained: bool) -> EnhanceNetwork:
    torch.manual_seed(0)
    network = EnhanceNetwork(TINY.network)
    if trained:  # as if: heads that do something
        for head in (network.faithful.head, network.vivid.head):
            torch.nn.init.normal_(head.weight, std=0.1)
    return network


@pytest.fixture(scope="module")
def enhancer() -> Enhancer:
    return Enhancer(make(trained=True))


CLIP = textured_clip(5, 40)


@pytest.mark.parametrize("scale", [1, 2])
def test_an_untrained_network_is_bicubic_upscaling(scale):
    seen = evidence(CLIP, *merge_neighbours(CLIP), scale)[..., :32, :32]
    frames = torch.from_numpy(CLIP).permute(0, 3, 1, 2).float() / 127.5 - 1
    if scale == 2:
        frames = torch.nn.functional.interpolate(frames, scale_factor=2, mode="bicubic", align_corners=False)
    with torch.no_grad():
        enhanced = make(trained=False)(seen, torch.full((len(CLIP),), scale), vividness=1.0)
    torch.testing.assert_close(enhanced, frames[..., :32, :32].clamp(-1, 1), atol=1e-5, rtol=0)


def test_a_noisy_clip_that_stands_still_flickers_far_less():
    still = textured_clip(1, 48).repeat(8, 0)
    noisy = np.clip(still + np.random.default_rng(0).normal(0, 6, still.shape), 0, 255).astype(np.uint8)
    settled = Enhancer(make(trained=False)).enhance(noisy, 1)
    assert static_flicker(settled, still) < 0.35 * static_flicker(noisy, still)
    assert psnr(settled, still) > psnr(noisy, still) + 3


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 33, 50), (2, 64, 21)])
def test_any_size_and_length(enhancer, scale, shape):
    clip = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    enhanced = enhancer.enhance(clip, scale, "vivid")
    assert enhanced.shape == (shape[0], scale * shape[1], scale * shape[2], 3)
    assert enhanced.dtype == np.uint8


def test_modes_differ_and_vividness_blends_between_them(enhancer):
    faithful, half, vivid = (enhancer.enhance(CLIP, 2, "vivid", vividness=v).astype(int) for v in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(faithful, enhancer.enhance(CLIP, 2, "faithful"))
    assert np.abs(vivid - faithful).mean() > 1
    assert np.abs(half - faithful).mean() == pytest.approx(np.abs(vivid - faithful).mean() / 2, rel=0.15)


def test_windows_do_not_show(enhancer, monkeypatch):
    clip = textured_clip(20, 40, step=1)
    whole = enhancer.enhance(clip, 2)
    monkeypatch.setattr("trainables.generator.enhance.enhancer.LONGEST_WINDOW", 6)
    monkeypatch.setattr("trainables.generator.enhance.enhancer.BATCH_PIXELS", 1)
    windowed = enhancer.enhance(clip, 2)
    assert np.abs(whole.astype(int) - windowed).mean() < 0.5
    seams = np.abs(np.diff(windowed.astype(int), axis=0)).mean((1, 2, 3))
    assert seams[[5, 11, 17]].max() < 1.1 * seams.mean()


def test_no_seam_between_windows_of_a_noisy_clip_that_stands_still():
    still = textured_clip(1, 32).repeat(70, 0)
    noisy = np.clip(still + np.random.default_rng(0).normal(0, 12, still.shape), 0, 255).astype(np.uint8)
    enhanced = Enhancer(make(trained=False)).enhance(noisy)
    steps = np.abs(np.diff(enhanced.astype(int), axis=0)).mean((1, 2, 3))
    seams = steps[[LONGEST_WINDOW - 1, 2 * LONGEST_WINDOW - 1]]
    assert seams.max() < 2 * np.median(steps) < 0.5


def test_relighting_comes_after(enhancer):
    relit = enhancer.enhance(CLIP, 2, brightness=0.6, contrast=0.15)
    assert light(relit) == pytest.approx((0.6, 0.15), abs=0.01)


def test_a_bundle_gives_the_same_pictures(enhancer, tmp_path):
    save_bundle(enhancer.network, TINY.network, tmp_path / "b", {"limits": "none"})
    again = Enhancer.from_bundle(tmp_path / "b")
    for mode in ("faithful", "vivid"):
        first, second = enhancer.enhance(CLIP, 2, mode), again.enhance(CLIP, 2, mode)
        assert np.abs(first.astype(int) - second).mean() < 0.1  # weights rest in half precision


def test_a_bundle_of_another_size_is_refused(enhancer, tmp_path):
    other = EnhanceNetwork(type(TINY.network)(widths=(16, 16, 16), blocks=1))
    save_bundle(other, TINY.network, tmp_path / "b", {})
    with pytest.raises(InputError, match="do not fit together"):
        Enhancer.from_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"scale": 3}, "scale is 3"), ({"mode": "nice"}, "mode is 'nice'"), ({"vividness": 2}, "vividness is 2")],
)
def test_bad_arguments_are_named(enhancer, arguments, message):
    with pytest.raises(InputError, match=message):
        enhancer.enhance(CLIP, **arguments)


@pytest.mark.parametrize("light", [{"brightness": 1.5}, {"contrast": 0.7}])
def test_light_out_of_range_is_refused_before_the_clip_is_enhanced(monkeypatch, light):
    monkeypatch.setattr(Enhancer, "_enhance", lambda *_: pytest.fail("the clip was enhanced"))
    with pytest.raises(InputError, match=f"{next(iter(light))} is"):
        Enhancer(make(trained=False)).enhance(CLIP, **light)


def test_bad_clips_are_named(enhancer):
    with pytest.raises(InputError, match="uint8"):
        enhancer.enhance(CLIP.astype(float))
    with pytest.raises(InputError, match="sides must be 16"):
        enhancer.enhance(CLIP[:, :8])


def test_a_bundle_from_before_the_vivid_network_still_loads(tmp_path):
    """Its vivid part was blocks on top of the faithful one; faithful clips are the same to the bit."""
    save_bundle(make(trained=True), TINY.network, tmp_path / "new", {})
    bundle = read_bundle(tmp_path / "new", kind="generator")
    tensors = {name: value for name, value in bundle.tensors.items() if name.startswith("faithful.")}
    tensors |= {f"vivid.blocks.0.{name}.bias": np.zeros(8, np.float16) for name in ("first", "second")}
    config = bundle.config | {"network": bundle.config["network"] | {"vivid_blocks": 1}}
    write_bundle(tmp_path / "old", kind="generator", tensors=tensors, config=config, card={})
    new, old = (Enhancer.from_bundle(tmp_path / name) for name in ("new", "old"))
    np.testing.assert_array_equal(old.enhance(CLIP, 2), new.enhance(CLIP, 2))
    assert np.abs(old.enhance(CLIP, 2, "vivid").astype(int) - old.enhance(CLIP, 2)).mean() > 1, "sharpened"


def test_a_flat_backdrop_keeps_its_hue_and_texture_is_left_alone():
    source = np.full((48, 96, 3), 200, np.float32)
    noise = np.random.default_rng(0).normal(0, 40, (48, 48, 1)).astype(np.float32)
    source[:, 48:] += noise
    frame = source + np.float32([-2, 0, 5])
    mended = untinted(frame, source, 1.0)
    flat, busy = mended[:, :32], mended[:, 64:]
    np.testing.assert_allclose(np.ptp(flat, -1), 0, atol=0.2)
    np.testing.assert_allclose(flat.mean(-1), frame[:, :32].mean(-1), atol=1e-3)  # its lightness is the network's
    np.testing.assert_allclose(busy, frame[:, 64:], atol=0.5)
    np.testing.assert_array_equal(untinted(frame, source, 0.0), frame)
