"""High dynamic range as phones and cameras record it, brought to sRGB: shown as it is stored, it would look grey.

Absolute light follows from the transfer curve (ITU-R BT.2100: PQ, or HLG on a screen of 1000 cd/m²); 203 cd/m² is the
white of a page (BT.2408), and what is brighter rolls off below 1.

Dims: H height, W width, 3 RGB.
"""

from __future__ import annotations

from functools import cache

import numpy as np

PQ_TAG, HLG_TAG = 16, 18  # ISO/IEC 23091-2 code points, as FFmpeg numbers them
BT2020_TAG = 9
CURVES = (PQ_TAG, HLG_TAG)
PAGE_WHITE = 203.0
"""cd/m²."""
KNEE = 0.8
"""Light of the brightest channel, 1 = page white, up to which nothing is changed."""

BT2020_TO_BT709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ],
    np.float32,
)
LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)


def to_srgb(pixels_HW3: np.ndarray, curve: int, primaries: int) -> np.ndarray:
    """uint8 sRGB of uint16 pixels whose transfer curve is one of `CURVES`; `primaries` other than BT.2020 stay."""
    light = _light(curve)[pixels_HW3]
    if curve == HLG_TAG:  # the screen's own gamma of 1.2 acts on luminance
        light = light * np.maximum(light @ LUMINANCE, 1e-6)[..., None] ** 0.2 * (1000.0 / PAGE_WHITE)
    if primaries == BT2020_TAG:
        light = light @ BT2020_TO_BT709.T
    brightest = light.max(-1, keepdims=True)
    over = np.maximum(brightest - KNEE, 0)
    rolled_off = np.minimum(brightest, KNEE) + (1 - KNEE) * (1 - np.exp(-over / (1 - KNEE)))
    light = np.clip(light * (rolled_off / np.maximum(brightest, 1e-6)), 0, 1)
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(signal * 255).astype(np.uint8)


@cache
def _light(curve: int) -> np.ndarray:
    """(65536,) float32 light of each 16-bit value: PQ over page white, HLG of the scene, 0…1."""
    signal = np.arange(65536) / 65535
    if curve == PQ_TAG:
        root = signal ** (32 / 2523)
        nits = 10_000 * (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)
        return (nits / PAGE_WHITE).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)
