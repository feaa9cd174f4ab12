"""What the gate measures of the clip that a render was made from; a product is rendered in many looks, so what was
measured last is kept.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from functools import cached_property

import numpy as np
from torch import Tensor

from trainables.generator.usability import motion, pixels
from trainables.generator.usability.pixels import Edges
from trainables.generator.usability.recognition import normalised_features

KEPT = 16
"""Clips whose measures are kept, at about a megabyte each; long ones take three."""


class Measured:
    """A clip uint8 (T, H, W, 3), sides at most 128, and what is measured of it, each when it is first asked for."""

    def __init__(self, frames_THW3: np.ndarray, compared: int) -> None:
        """`compared`: frames whose features are looked at, evenly spread."""
        self.frames_THW3 = frames_THW3
        self._at = np.linspace(0, len(frames_THW3) - 1, min(compared, len(frames_THW3))).round().astype(int)

    @cached_property
    def edges(self) -> Edges:
        """Of every second frame."""
        return pixels.edges_of(self.frames_THW3[::2])

    @cached_property
    def features(self) -> list[Tensor]:
        return normalised_features(self.frames_THW3[self._at])

    @cached_property
    def changes(self) -> np.ndarray:
        return motion.changes(self.frames_THW3)

    @cached_property
    def jerk(self) -> float:
        return motion.jerk(self.frames_THW3)


class Sources:
    """The sources that were measured last, found again by their pixels. Safe to share between threads."""

    def __init__(self, compared: int) -> None:
        self._compared = compared
        self._kept: OrderedDict[bytes, Measured] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, frames_THW3: np.ndarray) -> Measured:
        """The measures of these frames, from before where they are known."""
        key = hashlib.sha256(np.ascontiguousarray(frames_THW3)).digest() + repr(frames_THW3.shape).encode()
        with self._lock:
            found = self._kept.pop(key, None) or Measured(frames_THW3, self._compared)
            self._kept[key] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found
