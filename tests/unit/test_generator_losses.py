import math

import numpy as np
import pytest
import torch
from PIL import Image

from cluster.errors import InputError
from trainables.data.style_code import CENTRE, SCALE, style_code
from trainables.generator.adversarial import (
    AdversarialConfig,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from trainables.generator.features import moments
from trainables.generator.restyle import losses
from trainables.generator.restyle.palette import Oklab


def test_style_loss_is_the_mean_squared_difference_of_statistics_summed_over_levels():
    restyled = [torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0, 3.0, 0.0]])]
    style = [torch.tensor([[0.0, 4.0]]), torch.zeros(1, 4)]
    assert losses.style_loss(restyled, style).item() == pytest.approx((1 + 4) / 2 + 9 / 4)


def test_moments_are_mean_and_deviation_over_all_frames_of_a_clip():
    maps = torch.tensor([1.0, 3.0, 5.0, 7.0]).view(2, 1, 1, 2)  # two frames of one clip
    mean, deviation = moments(maps, 1)[0].tolist()
    assert mean == pytest.approx(4.0)
    assert deviation == pytest.approx(math.sqrt(5.0))


def test_content_loss_ignores_gain_and_offset_of_a_feature_map_but_not_its_layout():
    maps = torch.randn(2, 3, 8, 8) * 10
    assert losses.content_loss([maps * 3 + 2], [maps]).tolist() == pytest.approx([0.0, 0.0], abs=1e-4)
    assert losses.content_loss([maps.flip(-1)], [maps]).mean().item() == pytest.approx(2.0, abs=0.4)


def test_a_colour_free_clip_forgets_palette_light_and_contrast():
    frames = torch.rand(4, 3, 16, 16) * 0.5
    bare = losses.colour_free(frames, 2)
    for clip in bare.reshape(2, -1):
        assert clip.mean().item() == pytest.approx(0.0, abs=1e-4)
        assert clip.std().item() == pytest.approx(0.4, abs=0.01)
    torch.testing.assert_close(losses.colour_free(frames * 0.7 - 0.2, 2), bare, atol=2e-2, rtol=0)


def test_edge_loss_is_zero_for_the_same_contours_and_about_one_for_unrelated_ones():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 1, 3, 32, 32, generator=generator)
    assert losses.edge_loss(first, first * 0.5).item() == pytest.approx(0.0, abs=1e-3)
    assert losses.edge_loss(first, second).item() == pytest.approx(1.0, abs=0.2)


def test_temporal_loss_compares_changes_not_pictures():
    source = torch.zeros(1, 3, 3, 2, 2)
    source[:, :, 1:] = 0.5
    assert losses.temporal_loss(source * 0 + 0.9, source).item() == pytest.approx(0.25)  # one change of .5, one of 0
    assert losses.temporal_loss(source - 0.7, source).item() == pytest.approx(0.0, abs=1e-7)


def test_palette_numbers_are_the_style_code_s_own():
    rng = np.random.default_rng(0)
    picture = np.asarray(
        Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8)).resize((96, 96), Image.Resampling.NEAREST)
    )
    rgb = torch.from_numpy(picture.copy()).permute(2, 0, 1).reshape(1, 3, -1) / 127.5 - 1
    code = torch.from_numpy(style_code(picture))[None]
    lab = Oklab().from_rgb(rgb)
    got = (losses.palette_code(lab)[0].numpy() - CENTRE[:16]) / SCALE[:16]
    np.testing.assert_allclose(got, code[0, :16].numpy(), atol=5e-3)
    centre, scale = torch.from_numpy(CENTRE), torch.from_numpy(SCALE)
    assert losses.palette_loss(lab, code, centre, scale).item() == pytest.approx(0.0, abs=1e-5)


def test_range_loss_counts_only_the_overshoot():
    assert losses.range_loss(torch.tensor([0.5, -1.0, 1.5, -1.25])).item() == pytest.approx((0.5 + 0.25) / 4)


def test_relativistic_losses_pair_real_with_fake():
    real, fake = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    soft = [math.log1p(math.exp(x)) for x in (-1.0, 2.0)]
    assert discriminator_loss(real, fake).item() == pytest.approx(sum(soft) / 2)
    soft = [math.log1p(math.exp(x)) for x in (1.0, -2.0)]
    assert generator_loss(real, fake).item() == pytest.approx(sum(soft) / 2)


def test_a_better_judge_lowers_its_loss_and_a_better_forger_raises_it():
    real, fake = torch.tensor([3.0]), torch.tensor([-3.0])
    assert discriminator_loss(real, fake) < discriminator_loss(fake, real)
    assert generator_loss(real, fake) > generator_loss(fake, real)


def test_gradient_penalty_of_an_analytic_judge():
    first = torch.tensor([[1.0, 2.0], [3.0, -1.0]], requires_grad=True)
    second = torch.tensor([[2.0], [0.5]], requires_grad=True)
    logits = first.square().sum(1) + 3 * second.squeeze(1)  # gradients 2·x and 3
    expected = ((4 * 5 + 9) + (4 * 10 + 9)) / 2
    assert gradient_penalty(logits, [first, second]).item() == pytest.approx(expected)


def test_gradient_penalty_can_be_descended():
    weight = torch.tensor([2.0, -1.0], requires_grad=True)
    x = torch.randn(4, 2, requires_grad=True)
    penalty = gradient_penalty(x @ weight, [x])
    assert penalty.item() == pytest.approx(5.0)
    (slope,) = torch.autograd.grad(penalty, weight)
    assert slope.tolist() == pytest.approx([4.0, -2.0])


def test_gamma_falls_geometrically_from_the_first_adversarial_step_to_the_last():
    config = AdversarialConfig(gamma=1.0, gamma_end=0.01, start=0.5)
    assert [config.gamma_at(p) for p in (0.2, 0.5, 0.75, 1.0)] == pytest.approx([1.0, 1.0, 0.1, 0.01])


def test_a_bad_setting_is_named():
    from cluster.config import override
    from trainables.generator.restyle.config import RestyleTrainConfig

    for setting in ("adversarial.gamma=-1", "loss.content_weight=-0.1", "frame_size=30", "optimizer.learning_rate=0"):
        with pytest.raises(InputError, match=setting.split("=")[0]):
            override(RestyleTrainConfig(), [setting])
