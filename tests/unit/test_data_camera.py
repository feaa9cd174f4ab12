"""Camera moves are smooth, closed, seeded, and never look past the scene."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.errors import InputError
from tests.media import textured_photo
from trainables.data.camera import MOVES, SCENE_REACH, CameraOptions, draw_path, photo_clip

GRID = np.stack(np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 7)), -1).reshape(-1, 2)
ASPECTS = (0.5, 0.75, 1.0, 1.8)


def trajectory(move: str, seed: int, aspect: float, count: int = 24) -> np.ndarray:
    """(T, points, 2) scene coordinates that fixed points of the view look at, T = count frames of a loop."""
    path = draw_path("photo", seed, move, aspect)
    seen = []
    for phase in 2 * np.pi * np.arange(count) / count:
        homogeneous = np.column_stack([GRID, np.ones(len(GRID))]) @ path.homography(phase).T
        seen.append(homogeneous[:, :2] / homogeneous[:, 2:])
    return np.stack(seen)


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("aspect", ASPECTS)
def test_moves_are_smooth_and_close_their_loop(move: str, aspect: float) -> None:
    for seed in range(20):
        seen = trajectory(move, seed, aspect)
        loop = np.concatenate([seen, seen[:2]])  # the last frame leads into the first
        steps = np.diff(loop, axis=0)
        fastest = np.linalg.norm(steps, axis=-1).max()
        jerk = np.linalg.norm(np.diff(steps, axis=0), axis=-1).max()
        assert 0.01 < fastest < 0.075  # it moves, by less than 5 of 128 pixels a frame
        assert jerk < fastest / 2  # a stop or a jump, at the seam or elsewhere, would be as large as a step


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_camera_never_sees_past_the_scene(move: str, aspect: float) -> None:
    assert max(np.abs(trajectory(move, seed, aspect)).max() for seed in range(100)) < SCENE_REACH


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("shape", [(320, 240), (160, 320), (64, 64), (400, 100)])
def test_no_black_borders(move: str, shape: tuple[int, int]) -> None:
    white = np.full((*shape, 3), 255, np.uint8)
    for seed in range(4):
        clip, _ = photo_clip(white, "white", CameraOptions(move=move, size=64, num_frames=8, seed=seed))
        assert clip.min() >= 253


def test_the_whole_photo_is_in_view_when_the_move_begins() -> None:
    photo = np.full((320, 240, 3), 200, np.uint8)
    photo[:12], photo[-12:] = (250, 0, 0), (0, 0, 250)  # head and soles
    for move in MOVES:
        first = photo_clip(photo, "tall", CameraOptions(move=move, size=128))[0][0].astype(int)
        column = first[:, 64]
        assert (column[:, 0] - column[:, 2] > 150).any()
        assert (column[:, 2] - column[:, 0] > 150).any()


@pytest.mark.parametrize("move", MOVES)
def test_pixels_change_evenly_and_the_loop_has_no_jump(move: str) -> None:
    clip, name = photo_clip(np.asarray(textured_photo()), "photo", CameraOptions(move=move))
    assert name == move
    assert clip.shape == (24, 128, 128, 3)
    assert clip.dtype == np.uint8
    loop = np.concatenate([clip, clip[:1]]).astype(int)
    change = np.abs(np.diff(loop, axis=0)).mean((1, 2, 3))
    assert change.max() > 0.5
    assert change[-1] <= change[:-1].max() * 1.1  # the seam is no larger than any other step
    assert np.abs(np.diff(change)).max() < change.max() * 0.6


def test_moves_are_drawn_by_photo_and_seed() -> None:
    photo = np.asarray(textured_photo())
    one, _ = photo_clip(photo, "aa", CameraOptions(seed=1, size=64))
    again, _ = photo_clip(photo, "aa", CameraOptions(seed=1, size=64))
    assert np.array_equal(one, again)
    other_seed, _ = photo_clip(photo, "aa", CameraOptions(seed=2, size=64))
    other_photo, _ = photo_clip(photo, "bb", CameraOptions(seed=1, size=64))
    assert not np.array_equal(one, other_seed)
    assert not np.array_equal(one, other_photo)
    drawn = [draw_path(str(i), 0, "auto", 1.0).move for i in range(60)]
    assert all(drawn.count(move) >= 8 for move in MOVES)


def test_fine_detail_is_averaged_not_aliased() -> None:
    """A pattern finer than the clip's pixels fades to its mean instead of making moiré."""
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    clip, _ = photo_clip(stripes, "stripes", CameraOptions(move="orbit", size=64, num_frames=8))
    assert clip[:, 16:48, 16:48].std() < 6
    assert abs(clip[:, 16:48, 16:48].mean() - 127.5) < 3


def test_one_frame_and_bad_options() -> None:
    clip, _ = photo_clip(np.asarray(textured_photo()), "x", CameraOptions(num_frames=1, size=32))
    assert clip.shape == (1, 32, 32, 3)
    with pytest.raises(InputError, match="move is 'zoom'"):
        CameraOptions(move="zoom")
    with pytest.raises(InputError, match="size is 15"):
        CameraOptions(size=15)
