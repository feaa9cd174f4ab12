"""Planted damage is found where it is, and a sound clip raises no alarm."""

import cv2
import numpy as np
import pytest

from trainables.generator.repair.detect import detect_damage


def moving(frames: int = 10, size: int = 96, speed: float = 2.5) -> np.ndarray:
    """A camera that slides over smooth random colours."""
    coarse = np.random.default_rng(5).uniform(30, 225, (14, 14, 3)).astype(np.float32)
    scene = cv2.resize(coarse, (2 * size, 2 * size), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    moves = [np.float32([[1, 0, 4 + speed * t], [0, 1, 3 + t]]) for t in range(frames)]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack([cv2.warpAffine(scene, move, (size, size), flags=flags) for move in moves])


def turning_back(frames: int = 9) -> np.ndarray:
    """There and back again: the two frames at the turn are alike."""
    clip = moving(frames)
    return np.concatenate([clip, clip[::-1]])


def swinging(frames: int = 9) -> np.ndarray:
    """There and back again, three times: the frame at a turn lies between two that are alike."""
    clip = moving(frames)
    there_and_back = np.concatenate([clip[:-1], clip[:0:-1]])
    return np.concatenate([there_and_back, there_and_back, there_and_back])


@pytest.mark.parametrize(
    "clip", [moving(), turning_back(), swinging(), np.repeat(moving(1), 8, 0), moving(2), moving(1)]
)
def test_sound_clips_raise_no_alarm(clip):
    assert not detect_damage(clip).any()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_missing_frame_is_found_whole(value):
    clip = moving()
    clip[4] = value
    mask = detect_damage(clip)
    assert mask[4].all() and not np.delete(mask, 4, 0).any()


@pytest.mark.parametrize("length", [1, 2])
def test_a_frozen_clip_is_found_and_its_last_sound_frame_kept(length):
    clip = moving()
    clip[4 : 4 + length] = clip[3]
    mask = detect_damage(clip)
    frozen = mask.all((1, 2))
    assert frozen.tolist() == [4 <= t < 4 + length for t in range(len(clip))]


def test_a_corrupted_frame_is_found():
    clip = moving()
    clip[5] = clip[5, ::-1, ::-1]
    mask = detect_damage(clip)
    assert mask[5].all() and not np.delete(mask, 5, 0).any()


@pytest.mark.parametrize("clip", [moving(12), swinging()])
def test_corrupted_frames_with_one_sound_frame_between_them_are_found(clip):
    for t in (4, 6):
        clip[t] = clip[t, ::-1, ::-1]
    assert np.flatnonzero(detect_damage(clip).all((1, 2))).tolist() == [4, 6]


def test_a_logo_box_is_found_in_every_frame():
    clip = moving()
    clip[:, 60:80, 20:60] = (250, 240, 10)
    clip[:, 66:72, 26:54:4] = (10, 10, 60)
    mask = detect_damage(clip)
    planted = np.zeros(clip.shape[:3], bool)
    planted[:, 60:80, 20:60] = True
    assert (mask & planted).sum() == planted.sum()
    assert mask.sum() < 1.3 * planted.sum()


def test_a_box_in_a_clip_at_rest_is_the_picture_itself():
    clip = np.repeat(moving(1), 10, 0)
    clip[:, 60:80, 20:60] = 250
    assert not detect_damage(clip).any()


@pytest.mark.parametrize("step", [0, 1])
def test_stripes_of_the_product_are_no_scratches(step):
    clip = moving()
    for t in range(10):
        for x in range(6 + step * t, 90, 9):
            clip[t, 8:90, x : x + 2] = (240, 235, 230)
    assert detect_damage(clip).mean() < 0.01


def test_scratches_are_found_and_little_else():
    clip, planted = moving(), np.zeros((10, 96, 96), np.uint8)
    cv2.line(planted[3], (20, 5), (60, 80), 1, 2)
    for t in range(10):
        cv2.line(planted[t], (70 + t % 2, 0), (72 + t % 2, 96), 1, 2)
    planted = planted.astype(bool)
    clip[planted] = 250
    mask = detect_damage(clip)
    assert (mask & planted).sum() > 0.85 * planted.sum()
    assert mask.sum() < 3 * planted.sum()
