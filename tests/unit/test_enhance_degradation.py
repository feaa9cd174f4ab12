import numpy as np
import pytest

from tests.enhance_tiny import textured_clip
from trainables.generator.enhance.degradation import Degradation, DegradationConfig, degrade
from trainables.metrics.image import psnr


def spoilt(**how) -> np.ndarray:
    return degrade(textured_clip(size=64), Degradation(**how), np.random.default_rng(3))


def test_the_same_draw_spoils_alike():
    np.testing.assert_array_equal(spoilt(), spoilt())


def test_scale_decides_the_size():
    assert spoilt(scale=2).shape == (6, 32, 32, 3)
    assert spoilt(scale=1).shape == (6, 64, 64, 3)


def test_nothing_is_spoilt_without_blur_noise_and_compression():
    np.testing.assert_array_equal(spoilt(scale=1, blur=0, noise=0, crf=-1), textured_clip(size=64))


def test_noise_has_the_deviation_it_says():
    grey = np.full((4, 64, 64, 3), 128, np.uint8)
    noisy = degrade(grey, Degradation(scale=1, blur=0, noise=0.06, crf=-1), np.random.default_rng(0))
    assert noisy.std() == pytest.approx(0.06 * 255, rel=0.03)


@pytest.mark.parametrize("harder", [{"crf": 45}, {"blur": 2.0}, {"noise": 0.2}, {"jpeg": 5}])
def test_more_of_anything_is_worse(harder):
    clean = textured_clip(size=64)
    mild = {"scale": 1, "crf": 20, "blur": 0.3, "noise": 0.01}
    assert psnr(spoilt(**mild | harder), clean) < psnr(spoilt(**mild), clean) - 1


def test_draws_stay_within_their_ranges():
    config, rng = DegradationConfig(), np.random.default_rng(0)
    draws = [config.draw(rng) for _ in range(300)]
    assert all(0 <= d.blur <= 1.2 and 0 <= d.noise <= 0.08 and 18 <= d.crf <= 38 for d in draws)
    assert {d.scale for d in draws} == {1, 2}
    assert 0.15 < np.mean([d.scale == 1 for d in draws]) < 0.35
    assert np.mean([d.crf for d in draws]) > 28, "most clips are spoilt near the hard end"


@pytest.mark.parametrize(
    ("field", "value"), [("hard_share", 1.5), ("blur", (1.0, 0.5)), ("noise", (-0.1, 0.1)), ("crf", (18, 60))]
)
def test_bad_settings_are_named(field, value):
    with pytest.raises(ValueError, match=f"degradation.{field}"):
        DegradationConfig(**{field: value})
