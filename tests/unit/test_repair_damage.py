"""Damage is what it says, and the measures of a repair have known values."""

import numpy as np
import pytest

from cluster.errors import InputError
from trainables.generator.repair.baselines import identity, nearest_frame
from trainables.generator.repair.damage import KINDS, damage_clip, damage_mask
from trainables.generator.repair.evaluation import flicker_ratio, hole_psnr, hole_ssim, measure, table
from trainables.generator.repair.fill import fill_in_time, spread


def noise(frames: int = 6, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_stays_inside_its_mask_and_is_repeatable(kind):
    clip = noise()
    damaged, mask = damage_clip(clip, kind, np.random.default_rng(3))
    again, same = damage_clip(clip, kind, np.random.default_rng(3))
    assert mask.any() and not mask.all()
    assert np.array_equal(damaged[~mask], clip[~mask])
    assert (damaged[mask] != clip[mask]).any()
    assert np.array_equal(damaged, again) and np.array_equal(mask, same)


def test_lost_frames_are_whole_and_never_the_first_or_last():
    for seed in range(20):
        mask = damage_mask("frames", (8, 16, 16), np.random.default_rng(seed))
        lost = mask.any((1, 2))
        assert np.array_equal(lost, mask.all((1, 2)))
        assert lost.any() and not lost[0] and not lost[-1]


def test_a_logo_rests_and_a_hole_moves():
    logo = damage_mask("logo", (8, 64, 64), np.random.default_rng(1))
    hole = damage_mask("hole", (8, 64, 64), np.random.default_rng(1))
    assert (logo == logo[0]).all()
    assert (hole[0] != hole[-1]).any()


def test_an_unknown_damage_is_refused_by_name():
    with pytest.raises(InputError, match="'rust' is none of hole, logo, frames, scratches"):
        damage_mask("rust", (4, 16, 16), np.random.default_rng(0))


def test_filling_in_time_is_linear_between_sound_frames_and_copies_at_the_ends():
    clip = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (10, 0, 0, 40, 0)])
    mask = np.zeros(clip.shape[:3], bool)
    mask[[1, 2, 4]] = True
    mended, found = fill_in_time(clip, mask)
    assert [int(frame[5, 5, 0]) for frame in mended] == [10, 20, 30, 40, 40]
    assert found.all()
    mask[:, 2, 2] = True
    assert not fill_in_time(clip, mask)[1][:, 2, 2].any()


def test_the_nearest_frame_is_copied_the_earlier_of_two_as_near_and_a_hole_in_all_is_inpainted():
    clip = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (10, 0, 0, 0, 40, 0)])
    mask = np.zeros(clip.shape[:3], bool)
    mask[[1, 2, 3, 5]] = True
    assert [int(frame[5, 5, 0]) for frame in nearest_frame(clip, mask)] == [10, 10, 10, 40, 40, 40]
    mask[:, 2, 2], clip[:, 2, 2] = True, 255
    inpainted = [int(frame[2, 2, 0]) for frame in nearest_frame(clip, mask)]
    assert inpainted == pytest.approx([10, 10, 10, 40, 40, 40], abs=1)
    assert identity(clip, mask) is clip


def test_spreading_keeps_what_is_known_and_stays_between_it():
    value = np.zeros((20, 30, 1), np.float32)
    known = np.zeros((20, 30), bool)
    known[:, 0], known[:, -1] = True, True
    value[:, -1] = 10
    carried = spread(value, known)
    assert np.array_equal(carried[known], value[known])
    assert carried.min() >= 0 and carried.max() <= 10
    assert carried[10, 4, 0] < carried[10, 25, 0]


def test_measures_have_known_values():
    clean = noise()
    mask = np.zeros(clean.shape[:3], bool)
    mask[:, 8:24, 8:24] = True
    off = np.where(mask[..., None], np.where(clean > 127, clean - 10, clean + 10), 0).astype(np.uint8)
    assert hole_psnr(off, clean, mask) == pytest.approx(20 * np.log10(255 / 10))
    assert hole_psnr(clean, clean, mask) == pytest.approx(60)
    assert hole_ssim(clean, clean, mask) == pytest.approx(1)
    assert flicker_ratio(clean, clean, mask) == pytest.approx(1)
    assert flicker_ratio(np.repeat(clean[:1], 6, 0), clean, mask) == 0
    still = np.repeat(clean[:1], 6, 0)
    assert np.isnan(flicker_ratio(still, still, mask))


def test_the_table_has_means_by_source_and_damage():
    clips = [noise(seed=1), noise(seed=2)]
    rows = measure({"perfect": lambda frames, mask: clips[0], "none": lambda frames, mask: frames}, clips[:1], "a", "s")
    lines = table(rows)
    best = [line for line in lines if line["method"] == "perfect" and line["source"] == line["damage"] == "all"]
    assert best[0]["psnr"] == pytest.approx(60) and best[0]["clips"] == len(KINDS)
    assert {line["damage"] for line in lines} == {*KINDS, "all"}
