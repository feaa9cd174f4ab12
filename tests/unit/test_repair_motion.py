"""Registration and flow find motions that are known, and carry them over lost frames."""

import cv2
import numpy as np
import pytest

from trainables.generator.repair.candidates import NAMES, find_candidates, mix
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
