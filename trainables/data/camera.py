"""A photo becomes a clip: a virtual camera moves over it, smoothly and in a closed loop.

The photo is put whole into a square; what the square lacks at the sides is the photo's own border, carried on and
blurred more the farther out. Every frame is one homography of that scene, sampled at twice the clip's size and
averaged down, so that motion is free of jitter and of aliasing.

Dims: T frames, H height, W width, C = 3 (RGB). Scene coordinates: x right, y down, the photo's longer side spans −1…1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from cluster.errors import InputError
from trainables.data.video import check_clip_format

MOVES = ("push_in", "pan", "orbit")
SCENE_REACH = 1.5
"""Half side of the scene in scene coordinates: the photo and half of it again on every side."""

SUPERSAMPLING = 2
FOCAL_LENGTH = 2.6  # distance of the camera in scene units; shorter is a stronger perspective


@dataclass(frozen=True, kw_only=True)
class CameraOptions:
    """How a photo becomes a clip."""

    num_frames: int = 24
    """T, frames, 1…1024."""

    fps: float = 12.0
    """Frames a second, 0 < fps ≤ 120."""

    size: int = 128
    """Side of the square clip, pixels, 16…2048, even."""

    move: Literal["auto", "push_in", "pan", "orbit"] = "auto"
    """Camera move; auto draws one for each photo."""

    seed: int = 0
    """With the photo's bytes it decides the move, its direction and its reach."""

    def __post_init__(self) -> None:
        check_clip_format(self.num_frames, self.fps, self.size)
        if self.move not in ("auto", *MOVES):
            raise InputError(f"move is {self.move!r}; choose auto, {', '.join(MOVES)}")


@dataclass(frozen=True)
class CameraPath:
    """A drawn move: amplitudes that hold for the whole clip."""

    move: str
    zoom: float
    """How much closer the camera comes, 1 is not at all."""
    shift: tuple[float, float]
    """Sideways and vertical travel of the camera, scene units."""
    turn: tuple[float, float]
    """Largest yaw and pitch, radians."""

    def homography(self, phase: float) -> np.ndarray:
        """(3, 3) map from view coordinates (−1…1) to scene coordinates at `phase` (0…2π, closed)."""
        there_and_back = (1 - np.cos(phase)) / 2
        zoom = self.zoom**there_and_back
        shift = np.array(self.shift) * np.sin(phase)
        yaw, pitch = self.turn[0] * np.sin(phase), self.turn[1] * np.cos(phase)
        cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        # The photo's plane, turned about its centre: the columns are where its x axis, y axis and centre lie.
        plane = np.array([[cy, sy * sp, 0.0], [0.0, cp, 0.0], [-sy, cy * sp, FOCAL_LENGTH]])
        project = np.diag([FOCAL_LENGTH, FOCAL_LENGTH, 1.0])
        view_to_plane = np.linalg.inv(project @ plane)
        frame = np.array([[1 / zoom, 0, shift[0]], [0, 1 / zoom, shift[1]], [0, 0, 1]])
        return view_to_plane @ frame


def photo_clip(rgb_HWC: np.ndarray, photo_sha256: str, options: CameraOptions) -> tuple[np.ndarray, str]:
    """Clip uint8 (T, size, size, 3) of a photo uint8 (H, W, 3), and the move's name.

    The last frame leads into the first. Equal photo, options and seed give equal frames.
    """
    path = draw_path(photo_sha256, options.seed, options.move, rgb_HWC.shape[1] / rgb_HWC.shape[0])
    scene = _scene(rgb_HWC, options.size)
    phases = 2 * np.pi * np.arange(options.num_frames) / options.num_frames
    frames = [_render(scene, path.homography(phase), options.size) for phase in phases]
    return np.stack(frames), path.move


def draw_path(photo_sha256: str, seed: int, move: str, aspect: float) -> CameraPath:
    """The move for one photo; `aspect` is width / height."""
    digest = hashlib.sha256(f"{photo_sha256}:{seed}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
    chosen = MOVES[rng.integers(len(MOVES))] if move == "auto" else move
    sign = rng.choice([-1.0, 1.0])
    if chosen == "push_in":
        return CameraPath(chosen, rng.uniform(1.22, 1.34), (0.0, 0.0), (0.0, 0.0))
    if chosen == "pan":
        reach = rng.uniform(0.10, 0.14) * sign
        drift = rng.uniform(-0.02, 0.02)
        shift = (drift, reach) if aspect < 0.95 else (reach, drift)
        return CameraPath(chosen, rng.uniform(1.04, 1.08), shift, (0.0, 0.0))
    turn = (sign * rng.uniform(0.29, 0.37), rng.uniform(0.04, 0.08))
    return CameraPath(chosen, rng.uniform(1.03, 1.08), (0.0, 0.0), turn)


def _scene(rgb_HWC: np.ndarray, size: int) -> Image.Image:
    """Square picture that spans −SCENE_REACH…SCENE_REACH, the photo in its middle, soft extensions around it."""
    height, width = rgb_HWC.shape[:2]
    # About one scene pixel for each sample taken; more would alias, less would blur.
    longer = min(max(height, width), size * SUPERSAMPLING)
    scale = longer / max(height, width)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    photo = np.asarray(Image.fromarray(rgb_HWC).resize(inner, Image.Resampling.LANCZOS, reducing_gap=3.0))
    side = round(longer * SCENE_REACH)
    left, top = (side - inner[0]) // 2, (side - inner[1]) // 2
    margins = ((top, side - inner[1] - top), (left, side - inner[0] - left))
    mirrored = Image.fromarray(np.pad(photo, (*margins, (0, 0)), mode="symmetric"))
    # Mirrored farther in, the product itself would appear again: from there on the border's colours run out.
    stretched = Image.fromarray(np.pad(photo, (*margins, (0, 0)), mode="edge"))
    scene = mirrored
    rows = np.maximum(np.maximum(top - np.arange(side), np.arange(side) - (top + inner[1] - 1)), 0)
    columns = np.maximum(np.maximum(left - np.arange(side), np.arange(side) - (left + inner[0] - 1)), 0)
    outside = np.hypot(rows[:, None], columns[None, :]) / longer
    for sharp, sigma, nearest, farthest in (
        (mirrored, 0.012, 0.0, 0.03),
        (stretched, 0.04, 0.01, 0.06),
        (stretched, 0.09, 0.05, 0.18),
    ):
        softer = sharp.filter(ImageFilter.GaussianBlur(sigma * longer))
        weight = np.clip((outside - nearest) / (farthest - nearest), 0, 1)
        scene = Image.composite(softer, scene, Image.fromarray((weight * 255).astype(np.uint8)))
    return scene


def _render(scene: Image.Image, homography: np.ndarray, size: int) -> np.ndarray:
    """uint8 (size, size, 3): what the camera sees."""
    fine = size * SUPERSAMPLING
    side = scene.width
    # Pixel centres of the output → view coordinates → scene coordinates → pixels of the scene.
    pixel_to_view = np.array([[2 / fine, 0, -1], [0, 2 / fine, -1], [0, 0, 1]])
    half = side / (2 * SCENE_REACH)
    scene_to_pixel = np.array([[half, 0, side / 2], [0, half, side / 2], [0, 0, 1]])
    full = scene_to_pixel @ homography @ pixel_to_view
    coefficients = (full / full[2, 2]).reshape(-1)[:8]
    picture = scene.transform((fine, fine), Image.Transform.PERSPECTIVE, tuple(coefficients), Image.Resampling.BICUBIC)
    return np.asarray(picture.reduce(SUPERSAMPLING))
