"""Restyle clips with a trained bundle: what the server, the evaluation and the contact sheets use.

Dims: B clips, C = 3 channels, T frames, H height, W width, S style code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cluster.errors import InputError
from trainables.data.style_code import CODE_DIM
from trainables.generator.bundles import check_clip, read_network, save_network
from trainables.generator.restyle.backends import EAGER, WORTH, Backend, Trial, fastest
from trainables.generator.restyle.network import NetworkConfig, RestyleNetwork, thinning, upgraded
from trainables.generator.restyle.threads import side_by_side

WINDOW_PIXELS = 8 * 128 * 128
"""Pixels that are painted at once, by all cores: about what a processor's cache holds. Frames do not depend on the
window they are in."""
GPU_PIXELS = 8 * WINDOW_PIXELS
"""The same on a GPU, which has little to do in smaller ones; a pass of them takes less than half a gigabyte."""
LARGEST = 2048


class Restyler:
    """A restyling network in evaluation mode on a device."""

    def __init__(self, network: RestyleNetwork, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.backend = Backend(EAGER, self.network.residual)
        self.batches = self.device.type != "cpu"
        """Whether `restyle` paints clips of one shape together: the same pictures, to rounding. Not on a CPU, where
        four clips of 128² together take 1.01 to 1.04 of their time one by one, and the first waits for the last.
        """

    @classmethod
    def from_bundle(cls, folder: Path | str, device: str = "cpu") -> Restyler:
        """Read a bundle written by `save_bundle`; a damaged or foreign one is refused with its path."""
        return cls(read_network(folder, "restyle", RestyleNetwork, NetworkConfig, upgraded), device)

    def tune(self, backends: Sequence[str], clip_THW: tuple[int, int, int], *, worth: float = WORTH) -> list[Trial]:
        """From now on take the fastest of these backends that gives the same pictures (`restyle.backends`), for clips
        like this one; returns what was found of each. Takes a second or two, and longer with one of `backends.FIXED`.
        `worth` times faster than eager is what another must be.
        """
        frames, height, width = clip_THW
        most = _window(height, width, self._most_pixels)
        window_THW, together = (min(frames, most), height, width), most if self.batches else 1
        self.backend, trials = fastest(self.network, backends, window_THW, together=together, worth=worth)
        return trials

    @torch.inference_mode()
    def restyle(
        self, clips: Sequence[np.ndarray], codes_BS: np.ndarray, strength: float | np.ndarray = 1.0
    ) -> list[np.ndarray]:
        """Clips uint8 (T, H, W, 3) of any sizes in the styles of `codes_BS` (B, S), same shapes out.

        `strength` 0…1, one or one a clip: 0 gives the clip itself, exactly; between, a blend that moves evenly.
        """
        codes_BS = np.asarray(codes_BS, np.float32)
        if codes_BS.shape != (len(clips), CODE_DIM):
            raise InputError(f"{len(clips)} clips need style codes ({len(clips)}, {CODE_DIM}), not {codes_BS.shape}")
        strengths = np.broadcast_to(np.asarray(strength, np.float32), (len(clips),))
        if not np.all((strengths >= 0) & (strengths <= 1)) or not np.isfinite(codes_BS).all():
            raise InputError(f"strength is {strength}; set it between 0 and 1, with finite style codes")
        for clip in clips:
            check_clip(clip, LARGEST)
        restyled = {i: clips[i].copy() for i in range(len(clips)) if strengths[i] == 0}
        for places in self._batches([i for i in range(len(clips)) if strengths[i] > 0], clips):
            batch = [clips[i] for i in places], codes_BS[places], strengths[places]
            painted = np.concatenate(list(self._windows(*batch, self._most_pixels)), 1)
            for i, frames_THWC in zip(places, painted, strict=True):
                restyled[i] = np.ascontiguousarray(frames_THWC)
        return [restyled[i] for i in range(len(clips))]

    def windows(self, frames_THWC: np.ndarray, code_S: np.ndarray, strength: float = 1.0) -> Iterator[np.ndarray]:
        """The frames `restyle` gives for one clip, uint8 (t, H, W, 3), a window in time after the other as each is
        painted.
        """
        check_clip(frames_THWC, LARGEST)
        alone = [frames_THWC], np.asarray(code_S, np.float32)[None], np.array([strength], np.float32)
        for window_BTHWC in self._windows(*alone, WINDOW_PIXELS):
            yield window_BTHWC[0]

    @property
    def _most_pixels(self) -> int:
        return GPU_PIXELS if self.device.type == "cuda" else WINDOW_PIXELS

    def _batches(self, places: list[int], clips: Sequence[np.ndarray]) -> list[list[int]]:
        """The places of clips that are painted together: of one shape, and no more than are taken at once."""
        if not self.batches:
            return [[i] for i in places]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i in places:
            by_shape.setdefault(clips[i].shape, []).append(i)
        together = []
        for (_, height, width, _), alike in by_shape.items():
            size = _window(height, width, self._most_pixels)
            together += [alike[start : start + size] for start in range(0, len(alike), size)]
        return together

    def _windows(
        self, clips: list[np.ndarray], codes_BS: np.ndarray, strengths_B: np.ndarray, most_pixels: int
    ) -> Iterator[np.ndarray]:
        """Clips of one shape, uint8 (B, t, H, W, 3), a window in time after the other."""
        length, height, width = clips[0].shape[:3]
        threads = 1 if self.device.type != "cpu" else torch.get_num_threads()
        window = _window(height, width, most_pixels // len(clips) // threads)
        with torch.inference_mode():
            prepared = self.network.prepare(torch.tensor(codes_BS).to(self.device), self._statistics(clips))
            strengths = torch.tensor(strengths_B).to(self.device).view(-1, 1, 1, 1, 1)

        @torch.inference_mode()
        def painted(start: int) -> np.ndarray:
            part_BCTHW = self._tensor([clip[start : start + window] for clip in clips])
            restyled = self.network.paint(part_BCTHW, prepared, self.backend.convolve)
            mixed = part_BCTHW + strengths * (restyled - part_BCTHW)
            return ((mixed + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 4, 1).cpu().numpy()

        yield from side_by_side(painted, range(0, length, window), threads)

    def _statistics(self, clips: list[np.ndarray]) -> Tensor:
        """Clip-wide palette numbers from at most 16 evenly spaced frames, thinned before they become floats."""
        length, height, width = clips[0].shape[:3]
        chosen = np.linspace(0, length - 1, min(16, length)).round().astype(int)
        step = thinning(height, width)
        return self.network.statistics(self._tensor([clip[chosen, ::step, ::step] for clip in clips]))

    def _tensor(self, clips: list[np.ndarray]) -> Tensor:
        frames_BTHWC = torch.from_numpy(np.stack(clips)).to(self.device)
        return frames_BTHWC.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def _window(height: int, width: int, most_pixels: int) -> int:
    """Frames painted at once."""
    return max(1, most_pixels // (height * width))


def save_bundle(network: RestyleNetwork, config: NetworkConfig, folder: Path, card: dict[str, Any]) -> None:
    """Write the average network as a bundle."""
    save_network(network, config, "restyle", folder, card)
