import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cluster.errors import InputError
from trainables.generator.ema import Ema
from trainables.generator.features import CHANNELS, FrozenFeatures
from trainables.generator.restyle.brushes import BRUSHES, NAMES, Brushes, backdrop_statistics
from trainables.generator.restyle.discriminators import Discriminator, DiscriminatorConfig, luma_changes
from trainables.generator.restyle.network import NetworkConfig, RestyleNetwork, Stem, StyleBlock, nearness
from trainables.generator.restyle.palette import Oklab, clip_statistics, code_statistics, transport
from trainables.generator.restyle.presets import PRESETS, preset_codes


@pytest.fixture(scope="module")
def network() -> RestyleNetwork:
    torch.manual_seed(0)
    return RestyleNetwork(NetworkConfig()).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    return torch.rand(1, 3, 4, 40, 56, generator=torch.Generator().manual_seed(1)) * 2 - 1


def code(name: str) -> torch.Tensor:
    return torch.from_numpy(preset_codes()[name].copy())[None]


def test_the_network_is_small(network):
    """At most 4 MB of half precision."""
    assert 2 * sum(p.numel() for p in network.parameters()) <= 4_000_000


def test_looks_differ_before_any_training(network, clip):
    looks = [network(clip, code(name)) for name in PRESETS]
    for i in range(len(looks)):
        for j in range(i):
            assert (looks[i] - looks[j]).abs().mean() > 0.06, (PRESETS[i], PRESETS[j])


def test_before_any_training_the_palette_moves_to_the_look_s(network, clip):
    oklab = Oklab()
    for name in PRESETS:
        wanted = clip_statistics(oklab.from_rgb(network(clip, code(name)).reshape(1, 3, -1)))[:, :3]
        before = clip_statistics(oklab.from_rgb(clip.reshape(1, 3, -1)))[:, :3]
        target = code_statistics(code(name))[:, :3]
        assert (wanted - target).norm() < 0.6 * (before - target).norm() + 0.02, name


def test_presets_are_told_apart_and_a_blend_lies_between():
    anchors = torch.from_numpy(np.stack([preset_codes()[name] for name in PRESETS]))
    own = nearness(anchors, anchors)
    assert own.diagonal().min() > 0.9
    (blend,) = nearness((anchors[1:2] + anchors[2:3]) / 2, anchors)
    assert blend[1].item() == pytest.approx(blend[2].item(), rel=1e-3)
    assert blend[1] > 0.3
    assert nearness(anchors[:1] + 20, anchors).sum() < 0.01


def test_odd_sizes_keep_their_shape(network):
    for height, width in ((64, 64), (67, 91), (16, 130)):
        clip = torch.zeros(1, 3, 2, height, width)
        assert network(clip, code("ink")).shape == clip.shape


def test_equal_frames_give_equal_pictures_and_windows_have_no_seam(network, clip):
    still = clip[:, :, :1].repeat(1, 1, 3, 1, 1)
    restyled = network(still, code("neon"))
    assert torch.equal(restyled[:, :, 0], restyled[:, :, 2])
    whole = network(clip, code("neon"))
    prepared = network.prepare(code("neon"), network.statistics(clip))
    parts = torch.cat([network.paint(clip[:, :, t : t + 1], prepared) for t in range(4)], 2)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)


def test_a_style_in_the_weights_is_the_style_on_the_channels():
    torch.manual_seed(0)
    block, x_NCHW, z_BZ = StyleBlock(8, 8), torch.randn(3, 8, 6, 6), torch.randn(1, 8)
    torch.testing.assert_close(block(x_NCHW, z_BZ), block(x_NCHW, z_BZ.expand(3, -1)))


@pytest.mark.parametrize("size", [(32, 48), (24, 16)])
def test_the_first_convolution_is_one_of_pixels_folded_into_channels(size):
    torch.manual_seed(0)
    stem, pair = Stem(16), torch.randn(2, 6, *size)
    folded = torch.nn.Conv2d(24, 16, 3, padding=1, padding_mode="replicate")
    folded.load_state_dict(stem.state_dict())
    torch.testing.assert_close(stem(pair), folded(F.pixel_unshuffle(pair, 2)), rtol=1e-5, atol=1e-5)


def test_a_wrong_shape_is_refused(network, clip):
    with pytest.raises(InputError, match="style|codes"):
        network(clip, torch.zeros(1, 5))


def test_oklab_there_and_back_is_the_identity():
    rgb = torch.rand(1, 3, 500, generator=torch.Generator().manual_seed(0)) * 2 - 1
    oklab = Oklab()
    torch.testing.assert_close(oklab.to_rgb(oklab.from_rgb(rgb)), rgb, atol=2e-3, rtol=0)


def test_transport_between_gaussians_gives_the_target_covariance():
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.normal(0.5, (0.1, 0.05, 0.08), (4000, 3)).T.copy()).float()[None]
    source = clip_statistics(pixels)
    target = torch.tensor([[0.5, 0.0, 0.0, 0.12, 0.06, 0.05, 0.4, -0.2, 0.1]])
    plan = transport(source, target, floor=1e-3, least=0.01, most=100.0)
    moved = clip_statistics(plan @ (pixels - source[:, :3, None]))
    torch.testing.assert_close(moved[:, 3:], target[:, 3:], atol=2e-3, rtol=0)


def test_brushes_are_still_on_a_still_frame_and_follow_contours():
    frame = torch.full((1, 3, 32, 48), -0.5)
    frame[..., 20:] = 0.5
    statistics = torch.cat([torch.full((1, 9), 0.5), backdrop_statistics(frame[:, :, None])], -1)
    maps = Brushes()(frame, statistics)
    assert maps.shape == (1, BRUSHES, 32, 48)
    contours = maps[0, 5]
    assert contours[:, 19:21].min() > 0.8
    assert contours[:, :16].max() < 0.05


def test_strokes_run_along_the_forms():
    """On upright forms strokes change little downwards and much across, on level ones the other way."""

    def changes(frame: torch.Tensor) -> tuple[float, float]:
        statistics = torch.cat([torch.full((1, 9), 0.5), backdrop_statistics(frame[:, :, None])], -1)
        strokes = Brushes()(frame, statistics)[0, NAMES.index("fine strokes along the forms"), 24:72, 24:72]
        return strokes.diff(dim=0).abs().mean().item(), strokes.diff(dim=1).abs().mean().item()

    upright = torch.sin(torch.arange(96) * 0.8).expand(1, 3, 96, 96)
    down, across = changes(upright)
    assert across > 2 * down
    down, across = changes(upright.transpose(2, 3))
    assert down > 2 * across


def test_only_the_striped_preset_may_ask_for_stripes():
    """Neither a look far from all presets wears them nor one right at another preset, whatever was learned."""
    torch.manual_seed(0)
    network = RestyleNetwork(NetworkConfig(widths=(16, 16, 16), blocks=1)).eval()
    plain = torch.full((1, 3, 1, 64, 64), 0.3)
    looks = {"far": code("sport") + 40, **{name: code(name) for name in PRESETS}}
    with torch.no_grad():
        for layer in (network.lay_on, network.lay_on_near):
            layer.weight.normal_()
            layer.bias.normal_()
        before = {name: network(plain, look) for name, look in looks.items()}
        for layer in (network.lay_on, network.lay_on_near):
            stripes = layer.weight.reshape(3, BRUSHES, -1)[:, NAMES.index("broad stripes on the backdrop")]
            stripes.mul_(3)
        changed = {name: (network(plain, look) - before[name]).abs().max() for name, look in looks.items()}
    assert changed.pop("sport") > 0.1
    assert max(changed.values()) < 1e-3


def test_the_convolutions_do_not_know_where_on_the_screen_they_are():
    """Of a plain picture they make a plain one, up to its border; from anything else they learn to draw bands there."""
    torch.manual_seed(0)
    network = RestyleNetwork(NetworkConfig()).eval().requires_grad_(False)
    network.head.weight.normal_()
    plain = torch.tensor([0.3, -0.5, 0.9, 0.1, 0.4, -0.2]).view(1, 6, 1, 1).expand(1, 6, 64, 96)
    residual = network.residual(plain, torch.randn(1, NetworkConfig().modulation))
    torch.testing.assert_close(residual, residual[..., :1, :1].expand_as(residual))


def test_the_table_of_a_grading_is_the_grading_to_a_grey_level(network):
    clip = torch.rand(1, 3, 2, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    try:
        by_table = network(clip, code("warm_film"))
        network.palette.tabulated = False
        exact = network(clip, code("warm_film"))
    finally:
        network.palette.tabulated = True
    difference = (by_table - exact).abs() * 127.5
    assert difference.mean() < 0.5
    assert difference.quantile(0.99) < 2


def test_features_carry_gradient_to_pixels_but_never_to_themselves():
    features = FrozenFeatures().train()
    assert not features.training
    frames = torch.zeros(2, 3, 32, 32, requires_grad=True)
    levels = features(frames)
    assert [level.shape[1] for level in levels] == list(CHANNELS)
    levels[-1].sum().backward()
    assert frames.grad.abs().sum() > 0
    assert all(p.grad is None for p in features.parameters())


def test_the_motion_judge_sees_movement_not_the_palette():
    clip = torch.rand(1, 3, 4, 8, 8)
    torch.testing.assert_close(luma_changes(clip * 0.5 - 0.3), luma_changes(clip), atol=1e-5, rtol=1e-4)
    assert luma_changes(clip[:, :, :1].repeat(1, 1, 4, 1, 1)).abs().max() == 0


def test_the_judges_listen_to_the_style_code():
    torch.manual_seed(0)
    judge = Discriminator(DiscriminatorConfig(width=8))
    levels = [torch.randn(2, CHANNELS[level], 4, 4) for level in (1, 2, 3)]
    changes, gaps = torch.randn(2, 3, 16, 16), torch.ones(2, 3)
    first = judge(levels, torch.zeros(2, 36), changes, gaps, torch.zeros(2, 36))
    second = judge(levels, torch.ones(2, 36), changes, gaps, torch.ones(2, 36))
    assert all(logits.shape == (2,) for logits in first)
    assert all((a - b).abs().min() > 1e-4 for a, b in zip(first, second, strict=True))


def test_the_average_halves_the_distance_in_its_half_life():
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    ema = Ema(module, half_life=10, warm_up=1.0)
    torch.nn.init.ones_(module.weight)
    for _ in range(5):
        ema.update(module, images_seen=1000, images=2)
    assert ema.module.weight.item() == pytest.approx(0.5)


def test_a_young_average_follows_at_once():
    module = torch.nn.Linear(1, 1)
    ema = Ema(module, half_life=1000, warm_up=0.1)
    torch.nn.init.ones_(module.weight)
    ema.update(module, images_seen=0, images=4)
    assert ema.module.weight.item() == 1.0
    assert ema.decay(100, 10) == pytest.approx(0.5)
