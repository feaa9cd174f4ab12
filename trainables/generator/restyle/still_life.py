"""A procedural still life: the motif in which the presets are drawn, so that a look is shown on things, not on nothing.

Maps are float32 in 0…1. Dims: H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

PALETTE = np.array(
    [
        [0.82, 0.22, 0.18],
        [0.16, 0.42, 0.75],
        [0.95, 0.72, 0.18],
        [0.22, 0.58, 0.36],
        [0.55, 0.3, 0.62],
        [0.9, 0.5, 0.32],
        [0.3, 0.68, 0.72],
    ],
    np.float32,
)


@dataclass(frozen=True)
class StillLife:
    """What a look needs to know of the motif."""

    albedo_HW3: np.ndarray
    """Colour without light."""
    light_HW: np.ndarray
    """How much light falls there."""
    mask_HW: np.ndarray
    """1 on things, 0 on the backdrop."""
    edges_HW: np.ndarray
    """1 on contours and prints, falling off within about one hundredth of the side."""
    u_HW: np.ndarray
    """0 left … 1 right."""
    v_HW: np.ndarray
    """0 top … 1 bottom."""
    rng: np.random.Generator

    def noise(self, blur: float = 0.0, across: float | None = None) -> np.ndarray:
        """Unit-variance noise, blurred by `blur` (and `across` horizontally) in shares of the side."""
        side = self.u_HW.shape[0]
        sigma = (blur * side, (blur if across is None else across) * side)
        field = ndimage.gaussian_filter(self.rng.standard_normal(self.u_HW.shape), sigma, mode="wrap")
        return (field / max(field.std(), 1e-6)).astype(np.float32)

    def blur(self, image: np.ndarray, amount: float) -> np.ndarray:
        """Gaussian blur by a share of the side."""
        sigma = (amount * self.u_HW.shape[0],) * 2 + (0,) * (image.ndim - 2)
        return ndimage.gaussian_filter(image, sigma, mode="nearest")


def still_life(size: int, seed: int = 0) -> StillLife:
    """Three to four printed solids (bottle, ball, box, cup) on a table; `seed` moves and recolours them."""
    rng = np.random.default_rng(seed)
    v, u = np.meshgrid((np.arange(size) + 0.5) / size, (np.arange(size) + 0.5) / size, indexing="ij")
    v, u = v.astype(np.float32), u.astype(np.float32)
    horizon = 0.62 + 0.06 * rng.uniform(-1, 1)
    wall = np.array([0.78, 0.77, 0.75], np.float32)
    albedo = np.broadcast_to(wall, (size, size, 3)).copy()
    albedo[v > horizon] = wall * 0.86
    light = 0.95 - 0.35 * (u * 0.6 + v * 0.4)
    light = np.where(v > horizon, light * (0.8 + 0.3 * (v - horizon)), light)
    mask = np.zeros((size, size), np.float32)
    contour = np.zeros((size, size), np.float32)
    colours = rng.permutation(PALETTE)
    slots = np.linspace(0.2, 0.8, 3) + rng.uniform(-0.04, 0.04, 3)
    for slot, kind in enumerate(rng.permutation(["bottle", "ball", "box", "cup"])[:3]):
        base, height = 0.8 + 0.09 * rng.uniform(-1, 1), rng.uniform(0.34, 0.58)
        x, y = u - slots[slot], (base - v) / height
        width = {"bottle": 0.11, "ball": 0.15, "box": 0.14, "cup": 0.13}[kind] * rng.uniform(0.9, 1.15)
        half = _half_width(kind, y, width, height)
        inside = (np.abs(x) < half).astype(np.float32) * (y > 0) * (y < 1)
        bend = np.clip(x / np.maximum(half, 1e-3), -1, 1)
        shade = (
            0.45 + 0.55 * np.sqrt(np.maximum(1 - (bend + 0.35) ** 2 / 1.9, 0))
            if kind != "box"
            else np.where(bend < 0.25, 0.95, 0.55)
        )
        shade = shade * (0.8 + 0.2 * y)
        band = (np.abs(y - 0.42) < 0.13) & (inside > 0)
        letters = band & (np.sin(bend * 16 + slot) * np.sin(y * 70) > 0.25)
        colour = np.where(band[..., None], 0.94, colours[slot])
        colour = np.where(letters[..., None], colours[slot + 3], colour)
        shadow = np.exp(-(((u - slots[slot] - 0.1) / (width * 1.5)) ** 2) - ((v - base) / 0.035) ** 2)
        light = light * (1 - 0.55 * shadow * (inside == 0))
        light = np.where(inside > 0, shade, light)
        gleam = np.exp(-(((bend + 0.45) / 0.12) ** 2)) * (kind != "box") * inside * 0.35
        albedo = np.where(inside[..., None] > 0, np.clip(colour + gleam[..., None], 0, 1), albedo)
        mask = np.maximum(mask, inside)
        contour = contour * (1 - inside)
        for shape in (inside, band.astype(np.float32), letters.astype(np.float32) * 0.7):
            contour = np.maximum(contour, np.hypot(ndimage.sobel(shape, 0), ndimage.sobel(shape, 1)) / 4)
    contour = np.maximum(contour, (np.abs(v - horizon) < 0.6 / size) * (1 - mask))
    edges = ndimage.gaussian_filter(contour, size * 0.003)
    edges = np.clip(edges / max(np.quantile(edges[contour > 0.3], 0.6), 1e-3), 0, 1)
    return StillLife(
        albedo.astype(np.float32), np.clip(light, 0, 1).astype(np.float32), mask, edges.astype(np.float32), u, v, rng
    )


def _half_width(kind: str, y: np.ndarray, width: float, height: float) -> np.ndarray:
    if kind == "bottle":
        return width * np.where(y < 0.62, 1.0, np.clip(1 - (y - 0.62) * 3.6, 0.36, 1)) * np.sqrt(np.clip(y * 30, 0, 1))
    if kind == "ball":
        rise = np.clip(y * height / (2 * width), 0, 1)
        return 2 * width * np.sqrt(np.maximum(rise * (1 - rise), 0))
    if kind == "cup":
        return width * (0.72 + 0.28 * y) * (y < 0.72)
    return np.full_like(y, width) * (y < 0.8)
