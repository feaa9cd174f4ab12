"""Where the product is in a picture: a matte from two colour models and a centre, with no network and no labels.

The rim of the picture shows backdrop and its middle the product; from there a mixture of colours for each is fitted in
turns (as in GrabCut, Rother et al. 2004), with an edge-following filter (He et al. 2010) in place of the graph cut.
Dims: H height, W width, N pixels, K colours of a model.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from trainables.data.style_code import rgb_to_oklab

COLOURS = 5
ROUNDS = 4
RIM = 0.07
"""Width of the rim that shows backdrop alone, as a share of the side."""


def product_matte(rgb_HWC: np.ndarray) -> tuple[np.ndarray, float]:
    """Matte float32 (H, W) in 0…1 of a picture uint8 (H, W, 3), and how far it can be trusted, 0…1.

    Trust falls where the matte is very small or large, touches the rim, stays undecided or falls into pieces.
    """
    lab_HWC = rgb_to_oklab(rgb_HWC)
    # Hue tells cloth from floor better than light does, which shadows and folds change.
    colour = ndimage.gaussian_filter(lab_HWC, (0.7, 0.7, 0)) * np.array([1.0, 2.2, 2.2], np.float32)
    coarse = colour[::2, ::2]
    u, v = _coordinates(*coarse.shape[:2])
    matte = np.where(_rim(u, v), 0.0, (np.hypot(u, v) < 0.45) * 0.9 + 0.05)
    for turn in range(ROUNDS):
        matte = _round(coarse, matte, turn)
    fine = ndimage.zoom(matte, 2, order=1)[: colour.shape[0], : colour.shape[1]]
    matte = _one_piece(np.clip((_round(colour, fine, ROUNDS) - 0.25) / 0.5, 0, 1))
    return matte, _trust(matte, _rim(*_coordinates(*matte.shape)), colour)


def _coordinates(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel, −1…1."""
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return u, v


def _rim(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) > 1 - 2 * RIM


def _round(colour_HWC: np.ndarray, matte: np.ndarray, turn: int) -> np.ndarray:
    """Fit both colour models to the matte there is, and draw it anew."""
    height, width = matte.shape
    u, v = _coordinates(height, width)
    centre = np.clip(1.15 - np.maximum(np.abs(u) / 0.85, np.abs(v) / 0.95) ** 3 - 0.25, 0.02, 0.9)
    pixels_NC = colour_HWC.reshape(-1, 3)
    backdrop = _fit(pixels_NC, 1 - matte.reshape(-1), seed=turn)
    product = _fit(pixels_NC, matte.reshape(-1), seed=turn + 100)
    odds = _log_likelihood(pixels_NC, product) - _log_likelihood(pixels_NC, backdrop)
    odds = np.clip(odds.reshape(height, width), -6, 6) + np.log(centre / (1 - centre))
    odds = ndimage.gaussian_filter(odds, 1.2)
    guide = colour_HWC[..., 0] + 0.5 * (colour_HWC[..., 1] + colour_HWC[..., 2])
    matte = _guided(guide, 1 / (1 + np.exp(-1.2 * odds)))
    return np.where(_rim(u, v), 0.5 * matte, matte)


def _fit(pixels_NC: np.ndarray, weight_N: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted k-means with diagonal spreads: means (K, C), deviations (K, C), shares (K,)."""
    rng = np.random.default_rng(seed)
    probability = np.maximum(weight_N, 1e-4).astype(np.float64) ** 2
    chosen = rng.choice(len(pixels_NC), 1500, p=probability / probability.sum())
    sample = pixels_NC[chosen]
    order = np.argsort(sample @ np.array([1.0, 0.7, 0.4]))
    means = np.array([part.mean(0) for part in np.array_split(sample[order], COLOURS)])
    for _ in range(6):
        nearest = ((sample[:, None] - means) ** 2).sum(-1).argmin(1)
        for colour in range(COLOURS):
            if (nearest == colour).any():
                means[colour] = sample[nearest == colour].mean(0)
    deviations, shares = np.full_like(means, 0.03), np.full(COLOURS, 1e-3)
    for colour in range(COLOURS):
        members = sample[nearest == colour]
        shares[colour] = max(len(members) / len(sample), 1e-3)
        if len(members) > 2:
            deviations[colour] = np.maximum(members.std(0), 0.025)
    return means, deviations, shares


def _log_likelihood(pixels_NC: np.ndarray, model: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    means, deviations, shares = model
    distance = (((pixels_NC[:, None] - means) / deviations) ** 2).sum(-1)
    each = np.log(shares) - 0.5 * distance - np.log(deviations).sum(-1)
    most = each.max(1)
    return most + np.log(np.exp(each - most[:, None]).sum(1))


def _guided(guide: np.ndarray, value: np.ndarray, radius: int = 4, epsilon: float = 1e-3) -> np.ndarray:
    """Guided filter: smooth inside, following the guide's edges."""
    size = 2 * radius + 1

    def mean(x: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(x, size, mode="nearest")

    mean_g, mean_v = mean(guide), mean(value)
    slope = (mean(guide * value) - mean_g * mean_v) / (mean(guide * guide) - mean_g**2 + epsilon)
    offset = mean_v - slope * mean_g
    return np.clip(mean(slope) * guide + mean(offset), 0, 1)


def _one_piece(matte: np.ndarray) -> np.ndarray:
    """The largest piece and those a fifth as large, holes filled."""
    solid = matte > 0.5
    solid = ndimage.binary_opening(solid, iterations=1)
    labels, count = ndimage.label(solid)
    if count == 0:
        return np.zeros_like(matte)
    sizes = ndimage.sum_labels(solid, labels, np.arange(1, count + 1))
    kept = np.isin(labels, 1 + np.flatnonzero(sizes >= 0.2 * sizes.max()))
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(kept, iterations=2))
    near = ndimage.binary_dilation(filled, iterations=2)
    core = ndimage.binary_erosion(filled, iterations=1)
    return np.where(core, 1.0, np.where(near, np.maximum(matte, filled * 0.6), 0.0)).astype(np.float32)


def _trust(matte: np.ndarray, rim: np.ndarray, colour_HWC: np.ndarray) -> float:
    """Share of the contour across which the colour changes, less what touches the rim and what is undecided."""
    solid = matte > 0.5
    area = float(solid.mean())
    if not 0.04 < area < 0.75:
        return 0.0
    inside = ndimage.binary_erosion(solid, iterations=3)
    outside = ~ndimage.binary_dilation(solid, iterations=2)
    contour = solid ^ ndimage.binary_erosion(solid)
    change = np.linalg.norm(_mean_near(colour_HWC, inside) - _mean_near(colour_HWC, outside), axis=-1)[contour]
    touching = float(matte[rim].mean())
    undecided = float(((matte > 0.1) & (matte < 0.9)).sum() / solid.sum())
    return float(np.clip((change > 0.1).mean() - 2 * touching - max(undecided - 0.25, 0), 0, 1))


def _mean_near(values_HWC: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean over the pixels of `where` in a window of nine around every pixel."""
    weight = ndimage.uniform_filter(where.astype(np.float32), 9)[..., None]
    return ndimage.uniform_filter(values_HWC * where[..., None], (9, 9, 0)) / np.maximum(weight, 1e-3)
