import cv2
import numpy as np
import pytest
import torch

from cluster.errors import InputError
from tests.enhance_tiny import TINY, textured_clip
from trainables.generator.enhance.baselines import BASELINES, non_local_means
from trainables.generator.enhance.degradation import Degradation
from trainables.generator.enhance.enhancer import Enhancer
from trainables.generator.enhance.evaluation import (
    FLOOR,
    check_sizes,
    compare,
    measure,
    modes_of,
    sharpness,
    sheet,
    spoil,
)
from trainables.generator.enhance.network import EnhanceNetwork

CLIP = textured_clip(3, 64)


@pytest.fixture(scope="module")
def untrained() -> Enhancer:
    torch.manual_seed(0)
    return Enhancer(EnhanceNetwork(TINY.network))


def test_a_clip_against_itself_is_perfect():
    measures = measure(CLIP, CLIP)
    assert measures["psnr"] == 60
    assert (measures["ssim"], measures["sharpness"]) == (pytest.approx(1), pytest.approx(1))


def test_a_clean_clip_of_one_colour_does_not_outweigh_all_others():
    flat = np.zeros((2, 64, 64, 3), np.uint8)
    faint = flat + (np.arange(64) % 4 < 2).astype(np.uint8)[:, None]
    assert measure(faint, flat)["sharpness"] < 10


def test_sharpness_of_a_ramp_is_its_slope():
    ramp = np.broadcast_to((3 * np.arange(64, dtype=np.uint8))[None, None, :, None], (1, 64, 64, 3))
    assert sharpness(ramp) == pytest.approx(3)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("name", BASELINES)
def test_baselines_give_the_wanted_size_and_leave_flat_colour(name, scale):
    flat = np.full((2, 32, 40, 3), (200, 90, 30), np.uint8)
    result = BASELINES[name](flat, scale)
    assert result.shape == (2, 32 * scale, 40 * scale, 3)
    assert np.abs(result.astype(int) - (200, 90, 30)).max() <= 2


def test_non_local_means_sees_the_colours_that_are_there():
    """OpenCV takes blue first; with red there, it would weigh red as lightly as blue."""
    frame = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    as_opencv_reads_it = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    wanted = cv2.fastNlMeansDenoisingColored(as_opencv_reads_it, None, 5, 5, 5, 15)
    np.testing.assert_array_equal(non_local_means(frame[None], 1)[0], cv2.cvtColor(wanted, cv2.COLOR_BGR2RGB))


def test_the_table_has_baselines_and_both_modes(untrained):
    table = compare(modes_of(untrained), [CLIP])
    assert list(table) == [*BASELINES, FLOOR, "faithful", "vivid"]
    assert table["vivid"]["sharpness"] > table["faithful"]["sharpness"]
    assert table["faithful"]["psnr"] > table["bicubic"]["psnr"], "averaging along the motion helps by itself"


def test_clips_of_any_side_are_measured(untrained):
    """Half of 66 is odd, which H.264 refuses."""
    row = compare(modes_of(untrained), [textured_clip(3, 66)])["faithful"]
    assert 10 < row["psnr"] < 60


@pytest.mark.parametrize("size", [24, 1040])
def test_a_clip_of_a_size_that_cannot_be_measured_is_named(size):
    odd = np.zeros((1, 64, size, 3), np.uint8)
    with pytest.raises(InputError, match=f"clip mug is 64 × {size} pixels; .* 32 to 1024; leave it out"):
        check_sizes([CLIP, odd], ["lamp", "mug"])


def test_the_same_clip_is_always_spoilt_alike():
    np.testing.assert_array_equal(spoil(CLIP), spoil(CLIP.copy()))
    assert spoil(CLIP, Degradation(scale=1)).shape == CLIP.shape


def test_the_sheet_has_a_row_for_every_clip(untrained):
    one, two = (sheet(untrained, [CLIP] * rows, ["a", "a"], "t") for rows in (1, 2))
    assert two.width == one.width
    assert two.height > one.height + 64
