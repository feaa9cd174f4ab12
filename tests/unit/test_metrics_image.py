import math

import numpy as np
import pytest
from scipy import ndimage

from cluster.errors import InputError
from trainables.metrics.image import luma, psnr, sobel_correlation, ssim
from trainables.metrics.motion import static_flicker, temporal_error


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.astype(np.uint8)[..., None], 3, -1)


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (32, 40, 3), np.uint8)


def test_psnr_of_a_constant_offset(picture):
    flat = np.full((8, 8, 3), 100, np.uint8)
    assert psnr(flat, flat + 5) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(picture, picture) == math.inf


def test_luma_weights():
    assert luma(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)).tolist() == pytest.approx(
        [76.245, 149.685, 29.07]
    )


def test_ssim_of_constant_pictures_is_the_luminance_term():
    a, b = grey(np.full((20, 20), 100)), grey(np.full((20, 20), 120))
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1), abs=1e-9)


def test_ssim_against_the_formula_written_out_at_every_window(picture):
    other = np.clip(picture * 0.6 + 40, 0, 255).astype(np.uint8)
    x, y = luma(picture), luma(other)
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    c1, c2 = 6.5025, 58.5225
    values = []
    for v in range(5, 27):
        for u in range(5, 35):
            a, b = x[v - 5 : v + 6, u - 5 : u + 6], y[v - 5 : v + 6, u - 5 : u + 6]
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            cov = (window * (a - ma) * (b - mb)).sum()
            values.append((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    assert ssim(picture, other) == pytest.approx(np.mean(values), abs=1e-9)
    assert ssim(picture, picture) == pytest.approx(1.0)


def test_sobel_correlation_survives_contrast_but_not_another_picture(picture):
    assert sobel_correlation(picture, picture) == pytest.approx(1.0)
    assert sobel_correlation(picture, 255 - picture) == pytest.approx(1.0)
    other = np.random.default_rng(1).integers(0, 255, picture.shape, np.uint8)
    assert abs(sobel_correlation(picture, other)) < 0.15
    blurred = ndimage.gaussian_filter(picture, (2, 2, 0))
    assert 0 < sobel_correlation(picture, blurred) < 0.9
    assert sobel_correlation(picture, np.zeros_like(picture)) == 0.0


def test_temporal_error_of_the_same_motion_is_zero_and_of_a_frozen_clip_one():
    clip = np.zeros((4, 8, 8, 3), np.uint8)
    clip[1:] += 10
    clip[3] += 20
    assert temporal_error(clip + 50, clip) == 0.0
    assert temporal_error(np.zeros_like(clip), clip) == pytest.approx(1.0)
    assert temporal_error(clip * 2, clip) == pytest.approx(1.0)


def test_static_flicker_counts_only_what_stands_still():
    source = np.zeros((2, 4, 4, 3), np.uint8)
    source[1, :2] = 100  # the upper half moves
    restyled = source.copy()
    restyled[1, :2] = 30
    restyled[1, 2:] = 6
    assert static_flicker(restyled, source) == pytest.approx(6.0)
    moving = np.stack([np.zeros((4, 4, 3)), np.full((4, 4, 3), 90)]).astype(np.uint8)
    assert static_flicker(moving, moving) == 0.0


def test_shapes_that_do_not_fit_are_refused(picture):
    with pytest.raises(InputError, match="one shape"):
        ssim(picture, picture[:16])
    with pytest.raises(InputError, match="11 × 11"):
        ssim(picture[:8], picture[:8])
    with pytest.raises(InputError, match="T ≥ 2"):
        temporal_error(picture[None], picture[None])
