"""Enhancement at work: a bundle, clips in, cleaner, sharper, larger or relit clips out.

Dims: N frames of a batch, C channels, T frames, H height, W width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cluster.errors import InputError
from trainables.generator.bundles import check_clip, read_network, save_network
from trainables.generator.enhance.evidence import evidence
from trainables.generator.enhance.finish import sharpened, untinted
from trainables.generator.enhance.neighbours import TOLERANCE, merge_windows, settle_windows
from trainables.generator.enhance.network import MULTIPLE, EnhanceNetwork, NetworkConfig, upgraded
from trainables.generator.enhance.relight import check_light, relight

LARGEST = 512
WINDOW_PIXELS, LONGEST_WINDOW = 1 << 23, 32
"""Output pixels and frames that are worked on at once, besides those ahead."""
BATCH_PIXELS = 1 << 19
"""Output pixels that go through the network at once, at least a frame."""
AFTERWARDS = 12.0
"""Tolerance of the average along the motion of enhanced frames: little noise is left in them."""
SHARPENING = 1.08
"""Of the vivid mode: how much of what a Gaussian of one pixel takes off is put on top."""
Mode = Literal["faithful", "vivid"]


class Enhancer:
    """An enhancement network in evaluation mode on a device."""

    def __init__(self, network: EnhanceNetwork, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)

    @classmethod
    def from_bundle(cls, folder: Path | str, device: str = "cpu") -> Enhancer:
        """Read a bundle written by `save_bundle`; a damaged or foreign one is refused with its path."""
        return cls(read_network(folder, "enhance", EnhanceNetwork, NetworkConfig, upgraded), device)

    def enhance(
        self,
        frames_THWC: np.ndarray,
        scale: int = 1,
        mode: Mode = "faithful",
        brightness: float | None = None,
        contrast: float | None = None,
        vividness: float = 1.0,
    ) -> np.ndarray:
        """A clip uint8 (T, H, W, 3), sides 16…512, any length → uint8 (T, scale·H, scale·W, 3), scale 1 or 2.

        `faithful` is the best guess at each pixel, `vivid` looks sharper at a small cost in error; `vividness` 0…1
        blends from one to the other. `brightness` and `contrast` are the wanted mean and deviation of Oklab lightness
        over the whole clip, 0…1; None leaves it.
        """
        _check(frames_THWC, scale, mode, vividness)
        check_light(brightness, contrast)
        part = vividness if mode == "vivid" else 0.0
        enhanced = self._enhance(frames_THWC, scale, part)
        return enhanced if brightness is None and contrast is None else relight(enhanced, brightness, contrast)

    def _enhance(self, frames_THWC: np.ndarray, scale: int, vividness: float) -> np.ndarray:
        """Each frame through the network, averaged along the motion, then where it stands still; a window of frames
        after the other, while the averages go on through all of them.
        """
        frames, height, width = frames_THWC.shape[:3]
        size = min(max(WINDOW_PIXELS // (scale * scale * height * width), 4), LONGEST_WINDOW)
        windows = [frames_THWC[first : first + size] for first in range(0, frames, size)]
        enhanced = (
            self._window(window, *merged, scale, vividness)
            for window, merged in zip(windows, merge_windows(windows, TOLERANCE), strict=True)
        )
        steady = (merged for merged, _ in merge_windows(enhanced, AFTERWARDS))
        crisp = (sharpened(window, vividness * SHARPENING) for window in steady) if vividness > 0 else steady
        return np.concatenate([np.rint(window).astype(np.uint8) for window in settle_windows(crisp)])

    def _window(
        self, frames_THWC: np.ndarray, merged_THWC: np.ndarray, weight_THW: np.ndarray, scale: int, vividness: float
    ) -> np.ndarray:
        """Frames with the averages along their motion through the network, float32 0…255, some at a time."""
        frames, height, width = frames_THWC.shape[:3]
        size = max(1, BATCH_PIXELS // (scale * scale * height * width))
        batches = [slice(first, first + size) for first in range(0, frames, size)]
        seen = (evidence(frames_THWC[batch], merged_THWC[batch], weight_THW[batch], scale) for batch in batches)
        return np.concatenate([self._frames(each, scale, vividness) for each in seen])

    @torch.inference_mode()
    def _frames(self, evidence_NCHW: Tensor, scale: int, vividness: float) -> np.ndarray:
        """Enhanced frames (N, H, W, 3), 0…255."""
        height, width = evidence_NCHW.shape[-2:]
        padded = F.pad(evidence_NCHW, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate").to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            scale_N = torch.full((len(padded),), scale, device=self.device)
            enhanced = self.network(padded, scale_N, vividness)
        pictures = _pictures(enhanced.float())[:, :height, :width]
        if vividness <= 0:
            return pictures
        return np.stack(
            [untinted(*pair, vividness) for pair in zip(pictures, _pictures(evidence_NCHW[:, :3]), strict=True)]
        )


def _pictures(frames_NCHW: Tensor) -> np.ndarray:
    """[-1, 1] → (N, H, W, 3), 0…255."""
    return 127.5 * (frames_NCHW.clamp(-1, 1) + 1).permute(0, 2, 3, 1).cpu().numpy()


def save_bundle(network: EnhanceNetwork, config: NetworkConfig, folder: Path, card: dict[str, Any]) -> None:
    """Write the average network as a bundle."""
    save_network(network, config, "enhance", folder, card)


def _check(frames_THWC: np.ndarray, scale: int, mode: str, vividness: float) -> None:
    check_clip(frames_THWC, LARGEST)
    if scale not in (1, 2):
        raise InputError(f"scale is {scale!r}; set it to 1 or 2")
    if mode not in ("faithful", "vivid"):
        raise InputError(f"mode is {mode!r}; set it to faithful or vivid")
    if not 0 <= vividness <= 1:
        raise InputError(f"vividness is {vividness}; set it between 0 and 1")
