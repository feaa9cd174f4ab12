import numpy as np
import pytest

from cluster.errors import InputError
from tests.enhance_tiny import textured_clip
from trainables.generator.enhance.relight import ToneCurve, light, relight

CLIP = textured_clip(4, 48)


@pytest.mark.parametrize(("brightness", "contrast"), [(0.4, 0.1), (0.7, 0.12), (0.55, 0.2)])
def test_the_wanted_light_is_reached(brightness, contrast):
    assert light(relight(CLIP, brightness, contrast)) == pytest.approx((brightness, contrast), abs=0.01)


def test_brightness_alone_is_an_exposure_and_contrast_alone_keeps_the_mean():
    mean, _ = light(CLIP)
    assert light(relight(CLIP, brightness=0.45))[0] == pytest.approx(0.45, abs=0.01)
    assert light(relight(CLIP, contrast=0.1)) == pytest.approx((mean, 0.1), abs=0.01)


def test_light_of_known_pictures():
    assert light(np.zeros((1, 16, 16, 3), np.uint8)) == pytest.approx((0, 0), abs=1e-3)
    halves = np.zeros((1, 16, 16, 3), np.uint8)
    halves[:, 8:] = 255
    assert light(halves) == pytest.approx((0.5, 0.5), abs=1e-3)


def test_the_curve_rises_and_stays_within_bounds():
    values = ToneCurve(2.5, -0.4)(np.linspace(0, 1, 500))
    assert (np.diff(values) >= 0).all()
    assert values.min() >= 0
    assert values.max() <= 1


def test_equal_frames_stay_equal_and_greys_stay_grey():
    still = CLIP[:1].repeat(3, 0)
    relit = relight(still, 0.4, 0.15)
    assert (relit == relit[0]).all()
    grey = still.mean(-1, keepdims=True).astype(np.uint8).repeat(3, -1)
    assert np.ptp(relight(grey, 0.4, 0.15).astype(int), axis=-1).max() <= 1


def test_light_out_of_range_is_named():
    with pytest.raises(InputError, match="brightness is 1.2"):
        relight(CLIP, brightness=1.2)
    with pytest.raises(InputError, match="contrast is 0.6"):
        relight(CLIP, contrast=0.6)
