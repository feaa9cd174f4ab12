import math

import numpy as np
import pytest
import torch

from trainables.generator.enhance.judge import LEVELS, Judge, JudgeConfig
from trainables.generator.enhance.losses import LossConfig, log_error, perceptual_loss, structure_loss, temporal_loss
from trainables.generator.features import CHANNELS
from trainables.metrics.image import ssim


def test_log_error_is_the_logarithm_of_each_clips_error():
    clean = torch.zeros(2, 3, 2, 4, 4)
    enhanced = clean.clone()
    enhanced[0] += 0.1
    assert log_error(enhanced, clean).item() == pytest.approx((math.log(0.01 + 1e-4) + math.log(1e-4)) / 2, rel=1e-5)


def test_a_tenth_of_the_error_is_ten_decibels():
    clean = torch.zeros(1, 3, 1, 4, 4)
    gain = log_error(clean + 0.5, clean) - log_error(clean + 0.5 / math.sqrt(10), clean)
    assert gain.item() == pytest.approx(math.log(10), abs=0.02)


def test_temporal_loss_sees_change_alone():
    clean = torch.rand(1, 3, 4, 8, 8)
    assert temporal_loss(clean + 0.3, clean).item() == pytest.approx(math.log(1e-4), abs=1e-3)
    flickering = clean + 0.1 * torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 1, 4, 1, 1)
    assert temporal_loss(flickering, clean).item() == pytest.approx(math.log(0.04 + 1e-4), rel=1e-3)
    assert temporal_loss(clean[:, :, :1], clean[:, :, :1]).item() == 0


def test_structure_loss_is_one_less_the_ssim_that_is_measured():
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (2, 20, 24, 3), np.uint8)
    spoilt = np.clip(clean + rng.normal(0, 30, clean.shape), 0, 255).astype(np.uint8)
    x, y = (torch.from_numpy(clip).permute(3, 0, 1, 2)[None].float() / 127.5 - 1 for clip in (spoilt, clean))
    assert structure_loss(x, y).item() == pytest.approx(1 - ssim(spoilt, clean), abs=1e-4)
    assert structure_loss(y, y).item() == pytest.approx(0, abs=1e-6)


def test_perceptual_loss_of_known_vectors():
    here, there = torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)
    here[:, 0], there[:, 1] = 5.0, 0.5
    assert perceptual_loss([here], [7 * here]).item() == pytest.approx(0, abs=1e-6)
    assert perceptual_loss([here], [there]).item() == pytest.approx(2)
    assert perceptual_loss([here], [-here]).item() == pytest.approx(4)


def test_the_judge_gives_a_logit_for_every_place():
    maps = [torch.randn(2, CHANNELS[level], 16 >> level, 16 >> level) for level in LEVELS]
    assert [tuple(logits.shape) for logits in Judge(JudgeConfig(width=8))(maps)] == [(2, 16, 16), (2, 8, 8), (2, 4, 4)]


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="loss.perceptual_weight"):
        LossConfig(perceptual_weight=-1)
    with pytest.raises(ValueError, match="judge.width"):
        JudgeConfig(width=2)
