"""The style code: what a look is, as 36 numbers read off pixels — palette, light, hue and texture.

It is a fixed function, not a trained network: codes of different model versions, of clips, of reference images and of
viewers live in one space and can be averaged. A viewer's aesthetic vector is a mean of such codes.

Dims: N pixels, T frames, H height, W width, S = CODE_DIM.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from cluster.errors import InputError

FRAMES_READ = 4
SIDE = 96
HUE_BINS = 8
OCTAVES = 4

LINEAR_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LMS_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

# Typical spread of each group over photographs and paintings, so that no group drowns the others.
_GROUPS = (
    ("mean L, a, b", 3, (0.65, 0.0, 0.0), (0.2, 0.05, 0.05)),
    ("deviation L, a, b", 3, (0.18, 0.03, 0.03), (0.08, 0.03, 0.03)),
    ("correlation La, Lb, ab", 3, (0.0,) * 3, (0.5,) * 3),
    ("lightness quantiles 5…95 %", 5, (0.35, 0.5, 0.65, 0.8, 0.9), (0.22,) * 5),
    ("chroma mean, 90 % quantile", 2, (0.05, 0.1), (0.04, 0.07)),
    ("chroma by hue, share", HUE_BINS, (0.125,) * HUE_BINS, (0.15,) * HUE_BINS),
    ("edge energy across, down by octave", 2 * OCTAVES, (0.025, 0.04, 0.06, 0.09) * 2, (0.02, 0.03, 0.04, 0.05) * 2),
    ("chroma edge energy by octave", OCTAVES, (0.008, 0.012, 0.018, 0.025), (0.008, 0.01, 0.014, 0.018)),
)
CODE_DIM = sum(size for _, size, _, _ in _GROUPS)
CENTRE = np.concatenate([np.asarray(centre, np.float32) for _, _, centre, _ in _GROUPS])
SCALE = np.concatenate([np.asarray(scale, np.float32) for _, _, _, scale in _GROUPS])
"""Code = (raw statistics − CENTRE) / SCALE, each (S,)."""


def style_code(frames_THWC: np.ndarray) -> np.ndarray:
    """Code of a clip (T, H, W, 3) or a picture (H, W, 3), uint8 RGB; returns float32 (S,).

    Reads up to 4 evenly spaced frames scaled to 96 pixels a side, so size and length hardly matter.
    """
    frames = frames_THWC[None] if frames_THWC.ndim == 3 else frames_THWC
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or frames.shape[0] == 0:
        raise InputError(f"a clip must be uint8 (T, H, W, 3) with T ≥ 1, not {frames_THWC.dtype} {frames_THWC.shape}")
    chosen = np.linspace(0, len(frames) - 1, min(FRAMES_READ, len(frames))).round().astype(int)
    small = np.stack(
        [np.asarray(Image.fromarray(frames[i]).resize((SIDE, SIDE), Image.Resampling.BOX)) for i in chosen]
    )
    lab_THWC = rgb_to_oklab(small)
    raw = np.concatenate([_palette(lab_THWC.reshape(-1, 3)), _texture(lab_THWC)])
    return ((raw - CENTRE) / SCALE).astype(np.float32)


def rgb_to_oklab(rgb: np.ndarray) -> np.ndarray:
    """uint8 sRGB (…, 3) → Oklab (…, 3), L in 0…1 (Ottosson 2020)."""
    value = rgb.astype(np.float32) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ LINEAR_TO_LMS.T.astype(np.float32)) @ LMS_TO_OKLAB.T.astype(np.float32)


def _palette(lab_N3: np.ndarray) -> np.ndarray:
    mean, deviation = lab_N3.mean(0), lab_N3.std(0)
    centred = (lab_N3 - mean) / np.maximum(deviation, 1e-3)
    correlation = [(centred[:, i] * centred[:, j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    chroma = np.hypot(lab_N3[:, 1], lab_N3[:, 2])
    hue = np.arctan2(lab_N3[:, 2], lab_N3[:, 1])
    by_hue, _ = np.histogram(hue, HUE_BINS, (-np.pi, np.pi), weights=chroma)
    # The small constant lets the shares of a grey picture fade to equal instead of following its noise.
    share = (by_hue + 0.002 * len(chroma) / HUE_BINS) / (chroma.sum() + 0.002 * len(chroma))
    quantiles = np.quantile(lab_N3[:, 0], (0.05, 0.25, 0.5, 0.75, 0.95))
    return np.concatenate([mean, deviation, correlation, quantiles, [chroma.mean(), np.quantile(chroma, 0.9)], share])


def _texture(lab_THWC: np.ndarray) -> np.ndarray:
    across, down, chroma = [], [], []
    level = lab_THWC
    for _ in range(OCTAVES):
        step_x, step_y = np.diff(level, axis=2), np.diff(level, axis=1)
        across.append(np.abs(step_x[..., 0]).mean())
        down.append(np.abs(step_y[..., 0]).mean())
        chroma.append((np.abs(step_x[..., 1:]).mean() + np.abs(step_y[..., 1:]).mean()) / 2)
        level = level.reshape(level.shape[0], level.shape[1] // 2, 2, level.shape[2] // 2, 2, 3).mean((2, 4))
    return np.array(across + down + chroma)
