"""Damage for training, tests and evaluation: a moving hole, a static logo box, lost frames, scratches.

Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import cv2
import numpy as np

from cluster.errors import InputError

KINDS = ("hole", "logo", "frames", "scratches")


def damage_mask(kind: str, shape_THW: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """bool (T, H, W), true where damaged; sizes are drawn, relative to the shorter side."""
    if kind not in KINDS:
        raise InputError(f"damage {kind!r} is none of {', '.join(KINDS)}")
    draw = {"hole": _moving_hole, "logo": _logo_box, "frames": _lost_frames, "scratches": _scratches}[kind]
    return draw(*shape_THW, rng)


def paint_damage(frames_THWC: np.ndarray, mask_THW: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """The clip as it would arrive: holes and boxes in one colour (a box with a stripe in it), frames lost to black or
    one colour, scratches light or dark. Pixels outside the mask are the clip's own.
    """
    damaged = frames_THWC.copy()
    colour = rng.integers(0, 256, 3, dtype=np.uint8)
    if kind == "frames" and rng.random() < 0.5:
        colour[:] = 0
    if kind == "scratches":
        colour[:] = rng.choice([20, 235])
    damaged[mask_THW] = colour
    if kind == "logo":
        rows = np.flatnonzero(mask_THW[0].any(1))
        stripe = slice(rows[len(rows) // 3], rows[2 * len(rows) // 3])
        inner = mask_THW.copy()
        inner[:, : stripe.start], inner[:, stripe.stop :] = False, False
        inner[:, :, ::5] = False
        damaged[inner] = 255 - colour
    return damaged


def damage_clip(frames_THWC: np.ndarray, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A damaged copy uint8 (T, H, W, 3) of a clip and its mask bool (T, H, W)."""
    mask = damage_mask(kind, frames_THWC.shape[:3], rng)
    return paint_damage(frames_THWC, mask, kind, rng), mask


def _moving_hole(frames: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A rectangle or ellipse on a straight way through the picture."""
    side = min(height, width)
    half = rng.uniform(0.09, 0.2, 2) * side
    ends = rng.uniform(0.2, 0.8, (2, 2)) * (height, width)
    ellipse = rng.random() < 0.5
    y, x = np.mgrid[:height, :width] + 0.5
    mask = np.zeros((frames, height, width), bool)
    for t in range(frames):
        centre = ends[0] + (ends[1] - ends[0]) * (t / max(frames - 1, 1))
        v, u = (y - centre[0]) / half[0], (x - centre[1]) / half[1]
        mask[t] = u * u + v * v <= 1 if ellipse else np.maximum(abs(u), abs(v)) <= 1
    return mask


def _logo_box(frames: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """One box at the same place in every frame."""
    tall, wide = round(rng.uniform(0.1, 0.24) * height), round(rng.uniform(0.18, 0.42) * width)
    top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
    mask = np.zeros((frames, height, width), bool)
    mask[:, top : top + tall, left : left + wide] = True
    return mask


def _lost_frames(frames: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """One to four frames inside the clip, alone or two in a row; a clip of fewer than three frames loses none."""
    mask = np.zeros((frames, height, width), bool)
    if frames < 3:
        return mask
    for _ in range(int(rng.integers(1, min(4, frames // 3 + 1) + 1))):
        first = int(rng.integers(1, frames - 1))
        mask[first : min(first + 1 + int(rng.random() < 0.3), frames - 1)] = True
    return mask


def _scratches(frames: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Thin steep lines that tremble, and short ones of a single frame."""
    mask = np.zeros((frames, height, width), np.uint8)
    for _ in range(int(rng.integers(2, 5))):
        x, lean, thick = rng.uniform(0, width), rng.normal(0, 0.04) * width, int(rng.integers(1, 4))
        for t in range(frames):
            foot = x + rng.normal(0, 1.0)
            cv2.line(mask[t], (round(foot), 0), (round(foot + lean), height), 1, thick)
    for t in range(frames):
        for _ in range(int(rng.integers(0, 3))):
            start = rng.uniform(0, 1, 2) * (width, height)
            end = start + rng.normal(0, 0.25, 2) * (width, height)
            cv2.line(mask[t], tuple(map(round, start)), tuple(map(round, end)), 1, int(rng.integers(1, 4)))
    return mask.astype(bool)
