"""The six named looks, each a reference picture made by this code: what a shop picks before it has references of its
own.

Dims: H height, W width, S style code.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cluster.errors import InputError
from trainables.data.style_code import style_code
from trainables.generator.restyle.still_life import StillLife, still_life

PRESETS: tuple[str, ...] = ("vintage", "sport", "neon", "minimal", "warm_film", "ink")
STRIPED = PRESETS.index("sport")
"""Place of the preset whose backdrop has broad stripes."""
CODE_REFERENCES = 4


def preset_image(name: str, size: int = 256, seed: int = 0) -> np.ndarray:
    """Reference picture of a preset, uint8 (H, W, 3); `seed` changes the motif, never the look."""
    if name not in _DRAW:
        raise InputError(f"style {name!r} is no preset; choose one of {', '.join(PRESETS)}")
    scene = still_life(size, seed)
    picture = np.clip(_DRAW[name](scene), 0, 1)
    return (picture * 255 + 0.5).astype(np.uint8)


@lru_cache(maxsize=1)
def preset_codes() -> dict[str, np.ndarray]:
    """Style code (S,) of every preset: the mean over its references, read-only."""
    codes = {}
    for name in PRESETS:
        code = np.mean([style_code(preset_image(name, 128, seed)) for seed in range(CODE_REFERENCES)], 0)
        code.setflags(write=False)
        codes[name] = code
    return codes


def _rgb(*value: int) -> np.ndarray:
    return np.array(value, np.float32) / 255


def _luma(scene: StillLife) -> np.ndarray:
    return (scene.albedo_HW3 @ np.array([0.3, 0.59, 0.11], np.float32)) * scene.light_HW


def _ramp(value_HW: np.ndarray, *stops: np.ndarray) -> np.ndarray:
    """Piecewise linear colour ramp over 0…1."""
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(value_HW, at, [stop[c] for stop in stops]) for c in range(3)], -1).astype(np.float32)


def _vignette(scene: StillLife, strength: float) -> np.ndarray:
    radius = (scene.u_HW - 0.5) ** 2 + (scene.v_HW - 0.5) ** 2
    return (1 - strength * np.clip(radius * 2, 0, 1) ** 1.3)[..., None]


def _vintage(scene: StillLife) -> np.ndarray:
    tone = np.clip(_luma(scene) * 1.15 + 0.12, 0, 1)
    faded = _ramp(tone, _rgb(74, 52, 38), _rgb(150, 118, 84), _rgb(222, 198, 156), _rgb(250, 240, 212))
    picture = 0.84 * faded + 0.16 * scene.albedo_HW3 * scene.light_HW[..., None]
    picture = scene.blur(picture, 0.004) + 0.022 * scene.noise(0.003)[..., None] + 0.018 * scene.noise(0.05)[..., None]
    scratches = (scene.noise(0.08, 0.0015) > 3.1)[..., None]
    return picture * _vignette(scene, 0.5) + 0.12 * scratches


def _sport(scene: StillLife) -> np.ndarray:
    along = scene.u_HW + 0.55 * scene.v_HW
    wave = np.sin(2 * np.pi * along * 3.5)
    bold, thin = np.clip(6 * (wave - 0.35), 0, 1)[..., None], np.clip(6 * (0.25 - np.abs(wave + 0.75)), 0, 1)[..., None]
    ground = _ramp(scene.v_HW, _rgb(236, 242, 250), _rgb(150, 190, 236))
    lined = ground * (1 - 0.85 * bold) + 0.85 * bold * _rgb(20, 78, 214)
    lined = lined * (1 - 0.9 * thin) + 0.9 * thin * _rgb(240, 60, 30)
    backdrop = lined * (0.8 + 0.25 * scene.light_HW[..., None])
    value = scene.albedo_HW3 * (0.25 + 1.05 * scene.light_HW[..., None] ** 1.5)
    vivid = value.mean(-1, keepdims=True) + 1.7 * (value - value.mean(-1, keepdims=True))
    picture = np.where(scene.mask_HW[..., None] > 0, vivid, backdrop)
    picture = 0.5 + 1.35 * (picture - 0.5)
    return picture * (1 - 0.9 * scene.edges_HW[..., None])


def _neon(scene: StillLife) -> np.ndarray:
    night = _ramp(_luma(scene), _rgb(8, 3, 20), _rgb(32, 9, 62), _rgb(74, 18, 110))
    hue = (0.5 + 0.5 * np.sin(3.2 * scene.u_HW * np.pi + 2 * scene.v_HW))[..., None]
    tube = hue * _rgb(255, 26, 190) + (1 - hue) * _rgb(20, 236, 255)
    line = scene.edges_HW[..., None]
    glow = scene.blur(line * tube, 0.012) * 1.3 + scene.blur(line * tube, 0.045) * 1.9
    floor = np.exp(-((np.sin(scene.v_HW**2 * 46) / 0.16) ** 2)) * (scene.v_HW > 0.68) * (1 - scene.mask_HW)
    return night + line * (0.75 * tube + 0.3) + glow + 0.35 * floor[..., None] * _rgb(150, 30, 235)


def _minimal(scene: StillLife) -> np.ndarray:
    # Lighter, or with less contrast, photographs on a grey ground would end at white, and what is black at grey.
    tone = 0.8 + 1.25 * (_luma(scene) - 0.6)
    airy = _ramp(np.clip(tone, 0, 1), _rgb(20, 22, 28), _rgb(150, 153, 160), _rgb(240, 241, 243))
    tint = scene.albedo_HW3 - scene.albedo_HW3.mean(-1, keepdims=True)
    picture = airy + 0.24 * tint * scene.mask_HW[..., None]
    return scene.blur(picture, 0.005) * 0.97 + 0.03


def _warm_film(scene: StillLife) -> np.ndarray:
    value = scene.albedo_HW3 * scene.light_HW[..., None]
    lamp = np.exp(-(((scene.u_HW - 0.75) / 0.5) ** 2) - ((scene.v_HW - 0.2) / 0.5) ** 2)
    tone = np.clip(1.3 * _luma(scene) ** 1.25 * (0.45 + 0.75 * lamp), 0, 1)
    graded = _ramp(tone, _rgb(2, 30, 44), _rgb(16, 76, 84), _rgb(214, 126, 40), _rgb(255, 226, 130))
    picture = 0.78 * graded + 0.34 * (0.5 + 0.5 * lamp[..., None]) * value * _rgb(255, 216, 160)
    bright = np.clip(tone - 0.55, 0, 1)[..., None]
    halo = scene.blur(bright, 0.03) * _rgb(255, 96, 30) * 0.55
    leak = np.exp(-(((scene.u_HW - 1.0) / 0.32) ** 2))[..., None] * _rgb(255, 112, 20) * 0.28
    return (picture + halo + leak) * _vignette(scene, 0.3) + 0.028 * scene.noise(0.0016)[..., None]


def _ink(scene: StillLife) -> np.ndarray:
    tone = np.clip(_luma(scene) * 1.25, 0, 1)
    paper = 0.955 + 0.012 * scene.noise(0.004) + 0.01 * scene.noise(0.03)
    wobble = 0.012 * scene.noise(0.03)
    first = np.sin(2 * np.pi * 34 * (scene.u_HW + scene.v_HW + wobble))
    second = np.sin(2 * np.pi * 34 * (scene.u_HW - scene.v_HW + wobble))
    hatch = (first > 0.55) * (tone < 0.62) + (second > 0.5) * (tone < 0.42) + (tone < 0.16)
    hatch = scene.blur(np.clip(hatch * (scene.mask_HW + (tone < 0.4)), 0, 1).astype(np.float32), 0.002)
    brush = scene.blur(scene.edges_HW, 0.003) * (1.15 + 0.35 * scene.noise(0.02))
    ink = np.clip(0.82 * hatch + 1.3 * np.clip(brush, 0, 1), 0, 1)[..., None]
    return paper[..., None] * _rgb(250, 249, 245) * (1 - ink) + ink * _rgb(18, 17, 22)


_DRAW = {"vintage": _vintage, "sport": _sport, "neon": _neon, "minimal": _minimal, "warm_film": _warm_film, "ink": _ink}
