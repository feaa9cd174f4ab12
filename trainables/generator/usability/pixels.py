"""What the gate reads off pixels alone: contrast, lost gradation, edges. Pure functions.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from trainables.metrics.image import LUMA

SIDE = 128
"""Pixels: larger frames are scaled down to this side before anything is measured."""
LEAST_SIDE = 16
"""Pixels: a banner's shorter side is not scaled down further, so that it still has edges and blocks."""
LOW, HIGH = 4, 251
"""Grey levels at or beyond which a channel has lost its gradation."""
MIDTONE_LOW, MIDTONE_HIGH = 24, 231
"""A source pixel between these in every channel has gradation to lose."""


def small(frames_THW3: np.ndarray) -> np.ndarray:
    """Frames whose longer side is at most 128 pixels and whose shorter one is 16 at least, uint8."""
    height, width = frames_THW3.shape[1:3]
    if max(height, width) <= SIDE:
        return frames_THW3
    scale = SIDE / max(height, width)
    size = tuple(max(LEAST_SIDE, round(side * scale)) for side in (width, height))
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BOX)) for f in frames_THW3])


def luma(frames_THW3: np.ndarray) -> np.ndarray:
    """Rec. 601 luma (T, H, W), 0…255, float32."""
    return frames_THW3.astype(np.float32) @ LUMA.astype(np.float32)


def contrast(frames_THW3: np.ndarray) -> np.ndarray:
    """(T,) deviation of the pixels of a frame from its mean colour, grey levels; a quarter of them is read."""
    pixels = frames_THW3[:, ::2, ::2].reshape(len(frames_THW3), -1, 3).astype(np.float32)
    return np.sqrt(pixels.var(1).mean(-1))


def at_the_ends(frames_THW3: np.ndarray) -> float:
    """Share of pixels whose channels are all at an end of their range, in the frame that has most."""
    ends = (frames_THW3 <= LOW) | (frames_THW3 >= HIGH)
    return float(_all_channels(ends).mean((1, 2)).max())


def lost_gradation(frames_THW3: np.ndarray, source_THW3: np.ndarray) -> float:
    """Share of the source's midtone pixels whose channels are all at an end of their range now; 0 for a source that
    has next to none.
    """
    midtone = _all_channels((source_THW3 > MIDTONE_LOW) & (source_THW3 < MIDTONE_HIGH))
    if midtone.mean() < 0.02:
        return 0.0
    ends = (frames_THW3 <= LOW) | (frames_THW3 >= HIGH)
    return float(_all_channels(ends)[midtone].mean())


def _all_channels(mask_THW3: np.ndarray) -> np.ndarray:
    """(T, H, W); numpy reduces over an axis of three ten times slower."""
    return mask_THW3[..., 0] & mask_THW3[..., 1] & mask_THW3[..., 2]


def edges(values_THW: np.ndarray) -> np.ndarray:
    """Sobel magnitude (T, H − 2, W − 2) of luma or of a colour channel."""
    smooth = values_THW[:, :-2] + 2 * values_THW[:, 1:-1] + values_THW[:, 2:]
    across = smooth[:, :, 2:] - smooth[:, :, :-2]
    smooth = values_THW[:, :, :-2] + 2 * values_THW[:, :, 1:-1] + values_THW[:, :, 2:]
    down = smooth[:, 2:] - smooth[:, :-2]
    return np.hypot(across, down)


class Edges(NamedTuple):
    """Sobel magnitudes of frames, (T, H − 2, W − 2) each."""

    light: np.ndarray
    """Of luma."""
    colour: np.ndarray
    """Of the channels, summed."""


def edges_of(frames_THW3: np.ndarray) -> Edges:
    """Edges of frames uint8 (T, H, W, 3)."""
    values = frames_THW3.astype(np.float32)
    return Edges(edges(luma(values)), sum(edges(values[..., channel]) for channel in range(3)))


def edge_agreement(first: Edges, second: Edges) -> tuple[np.ndarray, float]:
    """(T,) correlation of Sobel magnitudes, of luma or summed over the channels, whichever agrees more: a product may
    stand out from its ground by colour alone before, and by light alone after. And `misplaced` of the frames.
    """
    agreed = np.maximum(agreement(first.light, second.light), agreement(first.colour, second.colour))
    return agreed, min(misplaced(first.light, second.light), misplaced(first.colour, second.colour))


def misplaced(edges_THW: np.ndarray, source_THW: np.ndarray) -> float:
    """By how much the edges of a frame agree better with another moment of the source than with their own, correlation,
    mean over frames; 0 for frames in order, and for a source whose moments are all alike.
    """
    first, second = (_standardised(values) for values in (edges_THW, source_THW))
    alike_TT = first @ second.T
    return float((alike_TT.max(1) - alike_TT.diagonal()).mean())


def _standardised(values_TX: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1; a constant row becomes 0."""
    rows = values_TX.reshape(len(values_TX), -1)
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)


def agreement(first_TX: np.ndarray, second_TX: np.ndarray) -> np.ndarray:
    """(T,) Pearson correlation of two rows of numbers a frame; 0 where one of them is constant."""
    return (_standardised(first_TX) * _standardised(second_TX)).sum(1)
