"""Registration and flow find motions that are known, and carry them over lost frames."""

import cv2
import numpy as np
import pytest

from trainables.generator.repair.candidates import NAMES, find_candidates, mix
from trainables.generator.repair.flow import along_parabola, origin, pixel_grid
from trainables.generator.repair.motion import ClipMotion
from trainables.generator.repair.registration import align, apply_homography, grid, to_pixels


def texture(size: int = 160, seed: int = 0) -> np.ndarray:
    """Smooth random colours, uint8 (size, size, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (size // 8, size // 8, 3)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def panning(frames: int = 8, size: int = 64, bend: float = 0.3) -> np.ndarray:
    """A camera that slides over a texture and speeds up: x = 2 t + bend t² pixels."""
    scene = texture()
    moves = [np.float32([[1, 0, 2 * t + bend * t * t], [0, 1, 5 + t]]) for t in range(frames)]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.stack([cv2.warpAffine(scene, move, (size, size), flags=flags) for move in moves])


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2))


def test_a_homography_is_found_to_a_fraction_of_a_pixel():
    scene = cv2.GaussianBlur(texture(96).astype(np.float32).mean(-1), (0, 0), 1)
    true = np.array([[1.03, 0.02, 0.05], [-0.02, 0.98, -0.04], [0.01, -0.02, 1.0]])
    x, y = grid(96, 96)
    fixed = cv2.remap(scene, *to_pixels(*apply_homography(true, x, y), 96, 96), cv2.INTER_CUBIC)
    valid = np.zeros((96, 96), bool)
    valid[8:88, 8:88] = True
    valid[30:50, 30:50] = False
    fixed[30:50, 30:50] = 0
    found = align(fixed, scene, valid, np.ones((96, 96), bool))
    apart = np.subtract(apply_homography(found, x, y), apply_homography(true, x, y))[:, valid]
    assert np.abs(apart).max() * 48 < 0.3


def test_a_lost_frame_lies_on_the_curved_path_of_the_camera():
    clip = panning()
    mask = np.zeros(clip.shape[:3], bool)
    mask[4] = True
    motion = ClipMotion(clip, mask)
    x, _ = apply_homography(motion.camera(4, 5), *grid(64, 64))
    assert np.mean(x - grid(64, 64)[0]) * 32 == pytest.approx(-(2 + 0.3 * 9), abs=0.15)


def test_a_parabola_through_two_steps_gives_the_third():
    """x = 2 u + 0.3 u² at u = −1 and 2; at u = 1 it is 2.3."""
    assert along_parabola(np.array(-1.7), -1, np.array(5.2), 2, 1) == pytest.approx(2.3)


def turning(degrees: float, frames: int = 9, size: int = 64) -> np.ndarray:
    """A texture that turns about its middle."""
    scene = texture()
    centre = (scene.shape[1] / 2, scene.shape[0] / 2)
    clip = []
    for t in range(frames):
        move = cv2.getRotationMatrix2D(centre, degrees * t, 1.0)
        move[:, 2] -= (scene.shape[0] - size) / 2
        clip.append(cv2.warpAffine(scene, move, (size, size), flags=cv2.INTER_CUBIC))
    return np.stack(clip)


def test_a_frame_lost_from_a_turn_is_found_along_the_arc():
    """15 degrees a frame: 16 pixels from the middle the straight way between its neighbours is off by half a pixel."""
    clip = turning(15)
    mask = np.zeros(clip.shape[:3], bool)
    mask[4] = True
    motion = ClipMotion(np.where(mask[..., None], 0, clip).astype(np.uint8), mask)
    y, x = np.mgrid[:64, :64] - 31.5
    angle = np.deg2rad(-15)  # image rows run down
    true = np.dstack([x * np.cos(angle) - y * np.sin(angle) - x, x * np.sin(angle) + y * np.cos(angle) - y])
    near = np.hypot(x, y) < 16
    bent, straight = motion.step_between(3, 5, 4), motion.flow(3, 5) / 2
    assert np.abs(bent - true)[near].mean() < 0.85 * np.abs(straight - true)[near].mean()
    found = find_candidates(motion, 4, (slice(0, 64), slice(0, 64)))
    at = dict(zip(NAMES, found.colour_KhwC, strict=True))
    for name in ("flow_before", "flow_after"):
        assert psnr(at[name][near], clip[4][near]) > psnr(at["time"][near], clip[4][near]) + 8, name


def test_what_a_hole_hides_goes_on_as_it_is_seen_to_move():
    """A disc glides over a resting ground, wholly under the hole in one frame: all around the hole rests."""
    ground, disc = texture(160, 1)[:96, :96], texture(160, 2)
    y, x = np.mgrid[:96, :96]
    clip = []
    for t in range(9):
        inside = np.hypot(x - 20 - 6 * t, y - 48) < 14
        shifted = np.roll(disc, 6 * t, axis=1)[:96, :96]
        clip.append(np.where(inside[..., None], shifted, ground))
    clip = np.stack(clip)
    mask = np.zeros(clip.shape[:3], bool)
    mask[4] = np.hypot(x - 44, y - 48) < 20
    motion = ClipMotion(np.where(mask[..., None], 0, clip).astype(np.uint8), mask)
    found = find_candidates(motion, 4, (slice(0, 96), slice(0, 96)))
    at = dict(zip(NAMES, found.colour_KhwC, strict=True))
    middle = np.hypot(x - 44, y - 48) < 6
    assert psnr(at["flow_before"][middle], clip[4][middle]) > psnr(at["time"][middle], clip[4][middle]) + 3


@pytest.mark.parametrize("kind", ["hole", "lost"])
def test_candidates_show_what_was_under_the_damage(kind):
    clip = panning()
    mask = np.zeros(clip.shape[:3], bool)
    if kind == "lost":
        mask[4] = True
    else:
        mask[4, 20:40, 20:40] = True
    damaged = np.where(mask[..., None], 0, clip).astype(np.uint8)
    motion = ClipMotion(damaged, mask)
    found = find_candidates(motion, 4, (slice(0, 64), slice(0, 64)))
    inner = np.zeros((64, 64), bool)
    inner[20:40, 20:40] = True
    at = dict(zip(NAMES, found.colour_KhwC, strict=True))
    for name in ("camera_before", "camera_after", "camera_mean"):
        assert psnr(at[name][inner], clip[4][inner]) > 33, name
    assert psnr(mix(found)[inner], clip[4][inner]) > psnr(at["time"][inner], clip[4][inner]) + 6
    assert psnr(at["flow_before"][inner], clip[4][inner]) > psnr(at["time"][inner], clip[4][inner])


def test_what_lies_under_the_mask_is_not_looked_at():
    clip = panning()
    mask = np.zeros(clip.shape[:3], bool)
    mask[3, 10:30, 10:30], mask[5] = True, True
    boxes = (slice(0, 64), slice(0, 64))
    found = [
        find_candidates(ClipMotion(np.where(mask[..., None], value, clip).astype(np.uint8), mask), 3, boxes)
        for value in (0, 255)
    ]
    outside = ~mask[3]
    assert np.array_equal(found[0].confidence_Khw, found[1].confidence_Khw)
    assert np.array_equal(found[0].colour_KhwC[:, outside], found[1].colour_KhwC[:, outside])
    assert np.array_equal(found[0].colour_KhwC[:-2, ~outside], found[1].colour_KhwC[:-2, ~outside])


def test_origin_turns_a_step_round_and_says_where_nothing_came():
    step = np.broadcast_to(np.float32([3, -2]), (24, 32, 2))
    at, landed = origin(step)
    inner = slice(0, 20), slice(4, 32)
    np.testing.assert_allclose(at[inner], (pixel_grid(24, 32) - step)[inner], atol=1e-5)
    assert landed[inner].all() and not landed[22:].any() and not landed[:, :2].any()


def test_origin_where_motions_part_leaves_a_gap_that_its_sides_fill():
    step = np.zeros((16, 40, 2), np.float32)
    step[:, :20, 0], step[:, 20:, 0] = -4, 4  # left goes left, right goes right: nothing comes to the eight between
    at, landed = origin(step)
    assert not landed[:, 17:23].any() and landed[:, :15].all() and landed[:, 25:].all()
    assert np.isfinite(at).all() and (np.abs(at[..., 0] - np.arange(40)) <= 4 + 1e-5).all()
