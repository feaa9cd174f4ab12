"""The style code: a fixed function of pixels that tells looks apart."""

import numpy as np
import pytest
from PIL import Image

from cluster.errors import InputError
from trainables.data.style_code import CODE_DIM, rgb_to_oklab, style_code


def noise_clip(seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (6, 16, 16, 3), dtype=np.uint8)
    return small.repeat(8, 1).repeat(8, 2)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        pytest.param((255, 255, 255), (1.0, 0.0, 0.0), id="white"),
        pytest.param((0, 0, 0), (0.0, 0.0, 0.0), id="black"),
        pytest.param((255, 0, 0), (0.6280, 0.2249, 0.1258), id="red"),
        pytest.param((0, 0, 255), (0.4520, -0.0325, -0.3115), id="blue"),
    ],
)
def test_oklab_against_published_values(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(rgb_to_oklab(np.array(rgb, np.uint8)), lab, atol=2e-3)


def test_a_picture_and_a_still_clip_have_the_same_code() -> None:
    picture = noise_clip()[0]
    np.testing.assert_allclose(style_code(picture), style_code(np.stack([picture] * 5)), atol=1e-3)


def test_size_hardly_matters_but_the_look_does() -> None:
    clip = noise_clip()
    larger = np.stack([np.asarray(Image.fromarray(f).resize((256, 256), Image.Resampling.BICUBIC)) for f in clip])
    warm = np.clip(clip * np.array([1.0, 0.8, 0.4]) + 20, 0, 255).astype(np.uint8)
    same, other = (
        np.linalg.norm(style_code(clip) - style_code(larger)),
        np.linalg.norm(style_code(clip) - style_code(warm)),
    )
    assert style_code(clip).shape == (CODE_DIM,)
    assert other > 3 * same


def test_flat_grey_has_a_finite_code() -> None:
    assert np.isfinite(style_code(np.full((3, 64, 64, 3), 128, np.uint8))).all()


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((2, 4, 4, 3), np.float32), np.zeros((0, 4, 4, 3), np.uint8)]
)
def test_what_is_no_clip_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"uint8 \(T, H, W, 3\)"):
        style_code(bad)
