"""Score restyling on clips and pictures no training saw, beside what simple methods give on the same pairs.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from PIL import Image

from trainables.data.contact_sheet import contact_sheet
from trainables.data.style_code import style_code
from trainables.generator.restyle.restyler import Restyler
from trainables.generator.scoring.colour import colour_transfer, covariance_transfer
from trainables.generator.scoring.features import ScoringFeatures
from trainables.generator.scoring.floor import STORED, stored
from trainables.generator.scoring.style import StyleMeasure, fitted
from trainables.metrics.image import sobel_correlation, ssim
from trainables.metrics.motion import static_flicker, temporal_error

MEASURES = {
    "style_distance": "feature statistics to the look, relative to the unstyled source, lower is nearer; "
    "floor: another part of the picture",
    "texture_distance": "the same without colour and light; floor: the same",
    "sobel_correlation": f"of contours with the source, higher keeps the product; floor: the source {STORED}",
    "ssim": "of luma with the source; floor: the source as stored",
    "temporal_error": "of changes between frames, relative to the source's own; floor: the source as stored",
    "static_flicker": "grey levels where the source stands still; floor: the source as stored",
}

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Clip uint8 (T, H, W, 3) and picture uint8 (H, W, 3) → clip of the same shape."""


def blend(frames_THWC: np.ndarray, style_HWC: np.ndarray) -> np.ndarray:
    """Half the clip, half the picture: it games the style distance, and contours show it."""
    return ((frames_THWC.astype(np.uint16) + _as_frame(style_HWC, frames_THWC)) // 2).astype(np.uint8)


def picture_elsewhere(frames_THWC: np.ndarray, style_HWC: np.ndarray) -> np.ndarray:
    """Another part of the picture itself: as near as a picture is to itself, the floor of both distances alone."""
    height, width = style_HWC.shape[:2]
    side = round(0.7 * min(height, width))
    part = _as_frame(style_HWC[height - side :, width - side :], frames_THWC)
    return np.repeat(part[None], len(frames_THWC), 0)


FLOOR = "another part of the picture (floor)"
STORED_SOURCE = "source, as stored (floor)"
BASELINES: dict[str, Method] = {
    "identity": lambda frames_THWC, style_HWC: frames_THWC,
    "colour transfer": colour_transfer,
    "covariance transfer": covariance_transfer,
    "50 % blend": blend,
    FLOOR: picture_elsewhere,
    STORED_SOURCE: lambda frames_THWC, style_HWC: stored(frames_THWC),
}


def restyled_by(restyler: Restyler, frames_THWC: np.ndarray, style_HWC: np.ndarray) -> np.ndarray:
    """The model as a method."""
    return restyler.restyle([frames_THWC], style_code(style_HWC)[None])[0]


def measure(
    style: StyleMeasure, restyled_THWC: np.ndarray, source_THWC: np.ndarray, style_HWC: np.ndarray
) -> dict[str, float]:
    """Every one of `MEASURES` for one clip and look."""
    return {
        "style_distance": style.distance(restyled_THWC, source_THWC, style_HWC),
        "texture_distance": style.texture_distance(restyled_THWC, source_THWC, style_HWC),
        "sobel_correlation": sobel_correlation(restyled_THWC, source_THWC),
        "ssim": ssim(restyled_THWC, source_THWC),
        "temporal_error": temporal_error(restyled_THWC, source_THWC),
        "static_flicker": static_flicker(restyled_THWC, source_THWC),
    }


def compare(
    restylers: Mapping[str, Restyler],
    clips: Sequence[np.ndarray],
    styles: Sequence[np.ndarray],
    features: ScoringFeatures,
    on_pair: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, float]]:
    """Means over clips × styles of every measure, for each baseline and each model by its name."""
    models = {name: partial(restyled_by, restyler) for name, restyler in restylers.items()}
    methods: Mapping[str, Method] = {**BASELINES, **models}
    style = StyleMeasure(features)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    for source in clips:
        for picture in styles:
            for name, method in methods.items():
                rows[name].append(measure(style, method(source, picture), source, picture))
            on_pair()
    return {name: {key: float(np.mean([row[key] for row in some])) for key in MEASURES} for name, some in rows.items()}


def sheet(
    restyler: Restyler,
    clips: Sequence[np.ndarray],
    names: Sequence[str],
    styles: Sequence[np.ndarray],
    style_names: Sequence[str],
    title: str,
) -> Image.Image:
    """The pictures on top, then a clip a row: its middle frame, unstyled and in every look."""
    side = max(clip.shape[1] for clip in clips)
    rows = [[np.full((side, side, 3), 255, np.uint8), *(fitted(picture, (side, side))[0] for picture in styles)]]
    for clip in clips:
        middle = len(clip) // 2
        rows.append([clip[middle], *(restyled_by(restyler, clip, picture)[middle] for picture in styles)])
    return contact_sheet(rows, ["look", *names], ["unstyled", *style_names], title=title)


def _as_frame(style_HWC: np.ndarray, frames_THWC: np.ndarray) -> np.ndarray:
    height, width = frames_THWC.shape[1:3]
    square = Image.fromarray(fitted(style_HWC, (height, width))[0])
    return np.asarray(square.resize((width, height), Image.Resampling.BICUBIC))
