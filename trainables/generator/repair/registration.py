"""Camera motion of a clip: a robust homography between neighbouring frames, carried over lost frames by a smooth path.

Positions are in the unit square's coordinates: x right and y down from −1 to 1 over the frame, so one homography holds
at every size.
Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

SIDES = ((32, 6), (64, 4), (128, 3))
"""Coarse to fine: longer side of the frame in pixels at most, Gauss–Newton iterations."""
MOST_POINTS = 3000
"""Pixels with the steepest slopes that a level looks at."""
LEAST_SCALE = 2.0
"""Residuals below so many grey levels count in full."""
WORTH_MOVING = 0.93
"""A motion must leave no more than this share of the misfit that no motion leaves: a product turning before a plain
backdrop fits none, and a wild guess is worse than rest."""
MOST_MISFIT = 30.0
"""Grey levels."""
CORNERS = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y (H, W) of pixel centres, −1…1."""
    x = (np.arange(width, dtype=np.float32) + 0.5) * (2 / width) - 1
    y = (np.arange(height, dtype=np.float32) + 0.5) * (2 / height) - 1
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))


def apply_homography(homography: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points go; points at or behind the horizon go far outside."""
    h = homography
    z = h[2, 0] * x + h[2, 1] * y + h[2, 2]
    z = np.where(z > 1e-3, z, np.float32(1e-3)).astype(np.float32)
    return (h[0, 0] * x + h[0, 1] * y + h[0, 2]) / z, (h[1, 0] * x + h[1, 1] * y + h[1, 2]) / z


def to_pixels(x: np.ndarray, y: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit coordinates → float32 pixel positions for `cv2.remap`."""
    return (
        ((x + 1) * (width / 2) - 0.5).astype(np.float32),
        ((y + 1) * (height / 2) - 0.5).astype(np.float32),
    )


def align(
    fixed_HW: np.ndarray, moving_HW: np.ndarray, fixed_valid_HW: np.ndarray, moving_valid_HW: np.ndarray
) -> np.ndarray:
    """Homography (3, 3) from the fixed frame to the moving one, by Gauss–Newton on robustly weighted luma residuals,
    coarse to fine; luma float32, 0…255. Only pixels valid in both count.
    """
    homography = np.eye(3)
    height, width = fixed_HW.shape
    for side, iterations in SIDES:
        scale = min(1.0, side / max(height, width))
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        fixed, moving = (cv2.GaussianBlur(_resized(v, size), (0, 0), 0.8) for v in (fixed_HW, moving_HW))
        valid_f, valid_m = (_resized(v.astype(np.float32), size) for v in (fixed_valid_HW, moving_valid_HW))
        homography = _gauss_newton(fixed, moving, valid_f > 0.99, valid_m, homography, iterations)
    rest, moved = (_misfit(fixed, moving, valid_f > 0.99, valid_m, h) for h in (np.eye(3), homography))
    return homography if moved < WORTH_MOVING * rest else np.eye(3)


def _misfit(fixed: np.ndarray, moving: np.ndarray, valid_f: np.ndarray, valid_m: np.ndarray, h: np.ndarray) -> float:
    """Mean |residual| of the pixels seen in both, each at most `MOST_MISFIT`."""
    height, width = fixed.shape
    at = to_pixels(*apply_homography(h, *grid(height, width)), height, width)
    seen = valid_f & (cv2.remap(valid_m, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT) > 0.99)
    apart = np.abs(cv2.remap(moving, *at, cv2.INTER_LINEAR) - fixed)[seen]
    return float(np.minimum(apart, MOST_MISFIT).mean()) if len(apart) else MOST_MISFIT


def _resized(value_HW: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(value_HW, size, interpolation=cv2.INTER_AREA)


def _gauss_newton(
    fixed: np.ndarray, moving: np.ndarray, valid_f: np.ndarray, valid_m: np.ndarray, start: np.ndarray, iterations: int
) -> np.ndarray:
    height, width = fixed.shape
    if valid_f.sum() < 64:
        return start
    steep = np.abs(cv2.Sobel(fixed, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(fixed, cv2.CV_32F, 0, 1))
    points = np.flatnonzero(valid_f)
    if len(points) > MOST_POINTS:
        points = points[np.argpartition(-steep.ravel()[points], MOST_POINTS)[:MOST_POINTS]]
    x, y = (v.ravel()[points] for v in grid(height, width))
    target = fixed.ravel()[points]
    # Slopes in grey levels a unit of the −1…1 coordinates.
    slope_x = cv2.Sobel(moving, cv2.CV_32F, 1, 0, ksize=3, scale=width / 16)
    slope_y = cv2.Sobel(moving, cv2.CV_32F, 0, 1, ksize=3, scale=height / 16)
    stacked = np.dstack([moving, slope_x, slope_y, valid_m])
    homography = start.copy()
    for _ in range(iterations):
        u, v = apply_homography(homography, x, y)
        px, py = to_pixels(u, v, height, width)
        seen = cv2.remap(stacked, px[:, None], py[:, None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        value, gx, gy, valid = seen.reshape(-1, 4).T
        sound = valid > 0.99
        if sound.sum() < 64:
            return start
        residual = value - target
        scale = max(LEAST_SCALE, 1.5 * float(np.median(np.abs(residual[sound]))))
        weight = sound / np.square(1 + np.square(residual / scale))
        z = homography[2, 0] * x + homography[2, 1] * y + homography[2, 2]
        gx, gy = gx / z, gy / z
        along = -(gx * u + gy * v)
        jacobian = np.stack([gx * x, gx * y, gx, gy * x, gy * y, gy, along * x, along * y], 1)
        weighted = jacobian * weight[:, None]
        normal = weighted.T @ jacobian
        normal += np.eye(8, dtype=np.float32) * (1e-4 * np.trace(normal) / 8 + 1e-3)
        step = np.linalg.solve(normal.astype(np.float64), -(weighted.T @ residual).astype(np.float64))
        homography = homography + np.append(step, 0.0).reshape(3, 3)
        if np.abs(step).max() < 3e-4:
            break
    moved = np.abs(corners(homography) - CORNERS.ravel())
    if not np.isfinite(moved).all() or moved.max() > 1:
        return start
    return homography


def lie_between(corners_P8: np.ndarray, times: list[int], time: int) -> np.ndarray:
    """Homography to an unseen frame from the corners (P, 8) that other frames' homographies give, by a polynomial path
    through their times; before the first and after the last time it goes straight on.
    """
    bound = "natural" if len(times) < 4 else "not-a-knot"
    if len(times) == 1:
        row = corners_P8[0]
    else:
        path = CubicSpline(times, corners_P8, bc_type=bound)
        at = float(np.clip(time, times[0], times[-1]))
        row = path(at) + path(at, 1) * (time - at)
    return cv2.getPerspectiveTransform(CORNERS, row.reshape(4, 2).astype(np.float32)).astype(np.float64)


def corners(homography: np.ndarray) -> np.ndarray:
    """Where the frame's corners go, (8,)."""
    return np.stack(apply_homography(homography, CORNERS[:, 0], CORNERS[:, 1]), 1).ravel()
