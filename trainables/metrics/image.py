"""How alike two pictures are: PSNR, SSIM on luma, correlation of contours. Pure functions on uint8 arrays.

Dims: … any leading dims, T frames, H height, W width.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cluster.errors import InputError

LUMA = np.array([0.299, 0.587, 0.114])
_SIGMA, _RADIUS = 1.5, 5


def luma(rgb: np.ndarray) -> np.ndarray:
    """Rec. 601 luma (…, H, W) in 0…255, float64, of uint8 RGB (…, H, W, 3)."""
    return rgb @ LUMA


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, 10·log10(255² / MSE); infinite for equal pictures."""
    _same_shape(first, second)
    error = np.mean((first.astype(np.float64) - second.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity of luma (Wang et al. 2004): Gaussian window of σ 1.5 and 11 pixels, K 0.01 and 0.03,
    averaged over frames where the window fits; uint8 RGB (…, H, W, 3) with H, W ≥ 11. 1 for equal pictures.
    """
    _same_shape(first, second)
    if min(first.shape[-3:-1]) < 2 * _RADIUS + 1:
        raise InputError(f"SSIM needs pictures of at least 11 × 11 pixels, not {first.shape[-3]} × {first.shape[-2]}")
    x, y = luma(first), luma(second)
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    likeness /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float(likeness[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS].mean())


def sobel_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson correlation of the Sobel magnitudes of luma, averaged over frames; −1…1, 0 where a frame has no
    contours.
    """
    _same_shape(first, second)
    values = []
    for x, y in zip(_flat_frames(luma(first)), _flat_frames(luma(second)), strict=True):
        a, b = _sobel(x), _sobel(y)
        a, b = a - a.mean(), b - b.mean()
        scale = np.sqrt((a * a).sum() * (b * b).sum())
        values.append((a * b).sum() / scale if scale > 0 else 0.0)
    return float(np.mean(values))


def _sobel(luma_HW: np.ndarray) -> np.ndarray:
    return np.hypot(ndimage.sobel(luma_HW, 0), ndimage.sobel(luma_HW, 1))[1:-1, 1:-1]


def _flat_frames(luma_XHW: np.ndarray) -> np.ndarray:
    return luma_XHW.reshape(-1, *luma_XHW.shape[-2:])


def _window(value: np.ndarray) -> np.ndarray:
    sigma = (0.0,) * (value.ndim - 2) + (_SIGMA, _SIGMA)
    return ndimage.gaussian_filter(value, sigma, truncate=_RADIUS / _SIGMA)


def _same_shape(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape or first.shape[-1] != 3:
        raise InputError(f"pictures to compare must be RGB of one shape, not {first.shape} and {second.shape}")
