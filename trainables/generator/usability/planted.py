"""Clips that the gate must refuse and clips that it must pass, made from good sources. Pure functions of a generator
of random numbers.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from trainables.data.video import DecodeOptions, decode_clip, encode_mp4


@dataclass(frozen=True)
class Case:
    """What a plant is made from."""

    clip: np.ndarray
    """A good clip of the product, restyled or not, uint8 (T, H, W, 3)."""
    source: np.ndarray
    """The product's own clip."""
    other: np.ndarray
    """The same treatment of another product."""
    painting: np.ndarray
    """A style picture, uint8 (H, W, 3), of the clip's size."""


Plant = Callable[[Case, np.random.Generator], np.ndarray]


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _blur(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Gaussian of 4 to 7 pixels at 128."""
    sigma = rng.uniform(4, 7) * case.clip.shape[1] / 128
    return _bytes(ndimage.gaussian_filter(case.clip.astype(np.float32), (0, sigma, sigma, 0)))


def _noise(case: Case, rng: np.random.Generator) -> np.ndarray:
    """New noise in every frame, deviation 50 to 90 grey levels."""
    return _bytes(case.clip + rng.normal(0, rng.uniform(50, 90), case.clip.shape))


def _noise_at_rest(case: Case, rng: np.random.Generator) -> np.ndarray:
    """One noise picture over all frames, deviation 60 to 100 grey levels."""
    return _bytes(case.clip + rng.normal(0, rng.uniform(60, 100), case.clip.shape[1:])[None])


def _shuffled_product(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Sixteen tiles in another order, the same in every frame."""
    tile_h, tile_w = case.clip.shape[1] // 4, case.clip.shape[2] // 4
    tiles = [(row * tile_h, column * tile_w) for row in range(4) for column in range(4)]
    out = case.clip.copy()
    for (to_y, to_x), place in zip(tiles, rng.permutation(16), strict=True):
        y, x = tiles[place]
        out[:, to_y : to_y + tile_h, to_x : to_x + tile_w] = case.clip[:, y : y + tile_h, x : x + tile_w]
    return out


def _blank(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Hardly any contrast left around one colour."""
    return _bytes(rng.uniform(0, 255, 3) + rng.uniform(0, 0.04) * (case.clip.astype(np.float32) - 128))


def _blank_frames(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Two or three frames without a picture."""
    out = case.clip.copy()
    start = rng.integers(1, len(out) - 3)
    out[start : start + rng.integers(2, 4)] = rng.integers(0, 256, 3)
    return out


def _saturated(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Contrast times 12 to 30: nearly every channel at an end of its range."""
    values = case.clip.astype(np.float32)
    middle = np.median(values, (0, 1, 2))
    return _bytes(128 + rng.uniform(12, 30) * (values - middle))


def _burnt_out(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Light or dark beyond the range."""
    values = case.clip.astype(np.float32)
    return _bytes(values + rng.choice([-1, 1]) * rng.uniform(235, 250))


def _flicker_of_light(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Every frame brighter or darker by its own 20 to 40 grey levels."""
    signs = rng.choice([-1, 1], len(case.clip)) * rng.uniform(20, 40, len(case.clip))
    return _bytes(case.clip + signs[:, None, None, None])


def _flicker_of_grain(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Coarse patches that change with every frame."""
    shape = (len(case.clip), case.clip.shape[1] // 8, case.clip.shape[2] // 8, 1)
    patches = rng.normal(0, rng.uniform(25, 40), shape).repeat(8, 1).repeat(8, 2)
    pad = [(0, 0), (0, case.clip.shape[1] - patches.shape[1]), (0, case.clip.shape[2] - patches.shape[2]), (0, 0)]
    return _bytes(case.clip + np.pad(patches, pad, mode="edge"))


def _flicker_of_look(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Frames in turn in the look and in its negative."""
    out = case.clip.copy()
    first = rng.integers(2)
    out[first::2] = 255 - out[first::2]
    return out


def _pasted_picture(case: Case, rng: np.random.Generator) -> np.ndarray:
    """The style picture itself, still."""
    return np.repeat(case.painting[None], len(case.clip), 0)


def _blend(case: Case, rng: np.random.Generator) -> np.ndarray:
    """60 to 85 % style picture over the clip."""
    share = rng.uniform(0.6, 0.85)
    return _bytes((1 - share) * case.clip + share * case.painting[None].astype(np.float32))


def _frozen(case: Case, rng: np.random.Generator) -> np.ndarray:
    """One frame for all."""
    return np.repeat(case.clip[rng.integers(len(case.clip))][None], len(case.clip), 0)


def _garbled(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Three or four frames whose blocks are torn out of place."""
    out = case.clip.copy()
    height = out.shape[1]
    for frame in rng.choice(len(out), rng.integers(3, 5), replace=False):
        for top in range(0, height, max(4, height // 16)):
            rows = slice(top, top + max(4, height // 16))
            out[frame, rows] = np.roll(out[frame, rows], rng.integers(12, out.shape[2] - 12), 1)
    return out


def _noise_frames(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Three or four frames of nothing but noise."""
    out = case.clip.copy()
    for frame in rng.choice(len(out), rng.integers(3, 5), replace=False):
        out[frame] = rng.integers(0, 256, out.shape[1:])
    return out


def _shuffled_frames(case: Case, rng: np.random.Generator) -> np.ndarray:
    """The frames in another order."""
    return case.clip[rng.permutation(len(case.clip))]


def _wrong_product(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Another product in the same look."""
    return case.other


BAD: dict[str, Plant] = {
    "blur": _blur,
    "noise": _noise,
    "noise at rest": _noise_at_rest,
    "shuffled product": _shuffled_product,
    "blank": _blank,
    "blank frames": _blank_frames,
    "saturated": _saturated,
    "burnt out": _burnt_out,
    "flicker of light": _flicker_of_light,
    "flicker of grain": _flicker_of_grain,
    "flicker of look": _flicker_of_look,
    "pasted picture": _pasted_picture,
    "blend": _blend,
    "frozen": _frozen,
    "garbled frames": _garbled,
    "noise frames": _noise_frames,
    "shuffled frames": _shuffled_frames,
    "wrong product": _wrong_product,
}


NEED_MOTION = {"frozen": 1.5, "shuffled frames": 2.0}
"""Kinds that only damage a clip whose source moves: least mean change between its frames, grey levels."""


BAD_ALONE = ("noise", "blank", "blank frames", "burnt out", "flicker of light", "flicker of grain", "flicker of look")
"""Kinds that can be told without a source."""


def _itself(case: Case, rng: np.random.Generator) -> np.ndarray:
    return case.source


def _coded(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Through H.264 as it is served."""
    options = DecodeOptions(num_frames=len(case.source), size=case.source.shape[1], max_dead_seconds=0)
    return decode_clip(encode_mp4(case.source, options.fps), options).frames_THWC


def _colours_of_picture(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Mean and deviation of every channel taken over from the style picture."""
    source, picture = case.source.astype(np.float32), case.painting.astype(np.float32)
    gain = picture.std((0, 1)) / np.maximum(source.std((0, 1, 2)), 1)
    return _bytes((source - source.mean((0, 1, 2))) * np.clip(gain, 0.4, 2.5) + picture.mean((0, 1)))


def _grey(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Black and white, a little more contrast."""
    grey = case.source.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return _bytes(((grey - 128) * 1.2 + 128)[..., None].repeat(3, -1))


def _grain(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Grain that stays where it is, deviation 4 to 8 grey levels."""
    return _bytes(case.source + rng.normal(0, rng.uniform(4, 8), case.source.shape[1:])[None])


def _soft(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Slightly soft: a Gaussian of .6 pixels at 128."""
    sigma = 0.6 * case.clip.shape[1] / 128
    return _bytes(ndimage.gaussian_filter(case.source.astype(np.float32), (0, sigma, sigma, 0)))


GOOD: dict[str, Plant] = {
    "source": _itself,
    "source, coded": _coded,
    "colours of a picture": _colours_of_picture,
    "black and white": _grey,
    "grain": _grain,
    "soft": _soft,
}


def fitted(picture_HW3: np.ndarray, height: int, width: int) -> np.ndarray:
    """Centre of a picture at the size of a clip."""
    scale = max(height / picture_HW3.shape[0], width / picture_HW3.shape[1])
    size = (max(width, round(picture_HW3.shape[1] * scale)), max(height, round(picture_HW3.shape[0] * scale)))
    scaled = np.asarray(Image.fromarray(picture_HW3).resize(size, Image.Resampling.BICUBIC))
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return scaled[top : top + height, left : left + width]
