"""How near a restyled clip has come to a look, on features no loss uses.

The measure is blind to layout: it compares the mean and the deviation of every feature channel over all places and
frames. It is gamed by pasting or blending the reference, so it counts only beside contour and luma agreement with the
source (`trainables.metrics.image`).

Dims: T frames, H height, W width.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
import torch
from PIL import Image

from trainables.generator.scoring.features import ScoringFeatures
from trainables.metrics.image import luma

GREY_MEAN, GREY_DEVIATION = 128.0, 48.0
FRAMES = 4
"""Evenly spaced frames that are read of a clip; statistics hardly change between neighbours."""
REMEMBERED = 512
"""Sets of statistics kept, about 4 KB each."""

Statistics = list[np.ndarray]
"""Means, then deviations, of all channels of a level (2·F,); one a level."""


class StyleMeasure:
    """Distances to looks; sources and pictures are met again and again, so their statistics are remembered."""

    def __init__(self, features: ScoringFeatures) -> None:
        self.features = features
        self._remembered: OrderedDict[bytes, Statistics] = OrderedDict()

    def distance(self, restyled_THWC: np.ndarray, source_THWC: np.ndarray, style_HWC: np.ndarray) -> float:
        """Σ_l ‖S_l(y) − S_l(s)‖ / Σ_l ‖S_l(x) − S_l(s)‖ over levels l of statistics S: 1 for the unstyled source x, 0
        for a clip y with all statistics of the style picture s. The picture is cropped and scaled to the clip's scale.
        """
        return self._ratio(sample(restyled_THWC), sample(source_THWC), fitted(style_HWC, source_THWC.shape[1:3]))

    def texture_distance(self, restyled_THWC: np.ndarray, source_THWC: np.ndarray, style_HWC: np.ndarray) -> float:
        """The same on luma brought to one mean and one contrast: brushwork, grain and edges without colour or light.
        A colour transfer stays near 1.
        """
        style = fitted(style_HWC, source_THWC.shape[1:3])
        return self._ratio(*(colour_free(frames) for frames in (sample(restyled_THWC), sample(source_THWC), style)))

    def statistics(self, frames_THWC: np.ndarray) -> Statistics:
        """Over all frames together."""
        key = hashlib.sha256(frames_THWC.tobytes()).digest() + bytes(str(frames_THWC.shape), "ascii")
        if key not in self._remembered:
            self._remembered[key] = self._measured(frames_THWC)
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(key)
        return self._remembered[key]

    def _measured(self, frames_THWC: np.ndarray) -> Statistics:
        values = []
        for maps in self.features.maps(frames_THWC):
            variance, mean = torch.var_mean(maps, (0, 2, 3), correction=0)
            values.append(torch.cat([mean, variance.sqrt()]).cpu().numpy())
        return values

    def _ratio(self, restyled: np.ndarray, source: np.ndarray, style: np.ndarray) -> float:
        target = self.statistics(style)
        left = _distance(self.statistics(restyled), target)
        return float(left / max(_distance(self.statistics(source), target), 1e-6))


def sample(frames_THWC: np.ndarray) -> np.ndarray:
    """At most `FRAMES` evenly spaced frames."""
    return frames_THWC[np.linspace(0, len(frames_THWC) - 1, min(FRAMES, len(frames_THWC))).round().astype(int)]


def fitted(style_HWC: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The centre square of a picture, uint8 (1, S, S, 3), at the shorter side S of a clip of `size` (H, W)."""
    image = Image.fromarray(style_HWC)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((min(size), min(size)), Image.Resampling.BICUBIC))[None]


def colour_free(frames_THWC: np.ndarray) -> np.ndarray:
    """Grey frames of one mean and one deviation over the whole clip, uint8 (T, H, W, 3)."""
    grey = luma(frames_THWC)
    levelled = (grey - grey.mean()) / max(grey.std(), 1e-3) * GREY_DEVIATION + GREY_MEAN
    return np.repeat(levelled.clip(0, 255).round().astype(np.uint8)[..., None], 3, -1)


def _distance(first: Statistics, second: Statistics) -> float:
    return float(sum(np.linalg.norm(a - b) for a, b in zip(first, second, strict=True)))
