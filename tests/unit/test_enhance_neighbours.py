import numpy as np

from tests.enhance_tiny import textured_clip
from trainables.generator.enhance.neighbours import TOLERANCE, merge_neighbours, merge_windows, settle_windows


def noisy(clean: np.ndarray, deviation: float = 12.0) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, deviation, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def inner_error(merged: np.ndarray, clean: np.ndarray) -> float:
    return float(np.sqrt(np.square(merged - clean.astype(np.float64))[:, 8:-8, 8:-8].mean()))


def test_a_still_clip_is_averaged():
    still = textured_clip(1, 64).repeat(9, 0)
    merged, weight = merge_neighbours(noisy(still))
    assert inner_error(merged, still) < 0.6 * inner_error(noisy(still), still)
    assert weight.mean() > 4


def test_a_moving_clip_is_averaged_along_its_motion():
    clean = textured_clip(9, 64, step=2)
    merged, _ = merge_neighbours(noisy(clean))
    blind = np.stack([noisy(clean)[max(t - 4, 0) : t + 5].mean(0) for t in range(9)])
    assert inner_error(merged, clean) < 0.85 * inner_error(noisy(clean), clean)
    assert inner_error(merged, clean) < 0.5 * inner_error(blind, clean)


def test_frames_before_a_cut_stay_out():
    first, second = np.full((4, 64, 64, 3), 20, np.uint8), np.full((4, 64, 64, 3), 230, np.uint8)
    merged, _ = merge_neighbours(np.concatenate([first, second]))
    assert np.abs(merged[:4] - 20).max() < 1
    assert np.abs(merged[4:] - 230).max() < 1


def test_one_frame_and_tiny_frames_are_their_own_average():
    frame = textured_clip(1, 16)
    merged, weight = merge_neighbours(frame)
    np.testing.assert_allclose(merged, frame, atol=1e-3)
    assert (weight == 1).all()
    assert merge_neighbours(textured_clip(3, 20))[0].shape == (3, 20, 20, 3)


def test_what_stands_still_settles_and_what_moves_is_left():
    still = textured_clip(1, 64).repeat(8, 0)
    flickering = noisy(still, 4.0)
    (settled,) = settle_windows([flickering])
    assert np.abs(np.diff(settled, axis=0)).mean() < 0.4 * np.abs(np.diff(flickering.astype(float), axis=0)).mean()
    moving = textured_clip(8, 64, step=4)
    assert np.abs(next(settle_windows([moving])) - moving).mean() < 2


def test_a_clip_in_windows_has_the_averages_of_the_whole():
    """The last window to the bit; the others but for what is too far ahead."""
    clip = noisy(textured_clip(60, 32, step=1))
    whole, weight = merge_neighbours(clip)
    parts = list(merge_windows([clip[:10], clip[10:31], clip[31:]], TOLERANCE))
    np.testing.assert_array_equal(parts[2][0], whole[31:])
    assert np.abs(np.concatenate([merged for merged, _ in parts]) - whole).mean() < 0.3, "grey levels"
    assert np.abs(np.concatenate([each for _, each in parts]) - weight).mean() < 0.1
