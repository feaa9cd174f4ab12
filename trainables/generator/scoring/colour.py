"""Colour transfer: what a look is worth without any texture, the simple method restyling is held against.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import numpy as np


def colour_transfer(frames_THWC: np.ndarray, style_HWC: np.ndarray) -> np.ndarray:
    """Every channel brought to the picture's mean and deviation, one map for the whole clip (after Reinhard et al.
    2001, in RGB); uint8 of the clip's shape.
    """
    mean, deviation = _moments(frames_THWC)
    wanted_mean, wanted_deviation = _moments(style_HWC)
    return _to_uint8((frames_THWC - mean) / np.maximum(deviation, 1e-3) * wanted_deviation + wanted_mean)


def covariance_transfer(frames_THWC: np.ndarray, style_HWC: np.ndarray) -> np.ndarray:
    """The linear map of least movement that gives the clip the picture's mean and covariance of colours
    (Monge-Kantorovich; Pitié and Kokaram 2007).
    """
    ours, theirs = _covariance(frames_THWC), _covariance(style_HWC)
    root, inverse = _power(ours, 0.5), _power(ours, -0.5)
    map_33 = inverse @ _power(root @ theirs @ root, 0.5) @ inverse
    return _to_uint8((frames_THWC - _moments(frames_THWC)[0]) @ map_33 + _moments(style_HWC)[0])


def _moments(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flat = pixels.reshape(-1, 3).astype(np.float64)
    return flat.mean(0), flat.std(0)


def _covariance(pixels: np.ndarray) -> np.ndarray:
    # A level of grey noise keeps the map finite for clips of one colour.
    return np.cov(pixels.reshape(-1, 3).astype(np.float64).T) + np.eye(3)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-6) ** exponent) @ vectors.T


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return values.clip(0, 255).round().astype(np.uint8)
