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
from trainables.generator.restyle.backends import EAGER, Backend, Trial, fastest
from trainables.generator.restyle.network import NetworkConfig, RestyleNetwork, thinning

WINDOW_PIXELS = 8 * 128 * 128
"""Pixels a forward pass takes at once: about what a processor's cache holds. Frames do not depend on the window they
are in."""
LARGEST = 2048


class Restyler:
    """A restyling network in evaluation mode on a device."""

    def __init__(self, network: RestyleNetwork, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.backend = Backend(EAGER, self.network.residual)

    @classmethod
    def from_bundle(cls, folder: Path | str, device: str = "cpu") -> Restyler:
        """Read a bundle written by `save_bundle`; a damaged or foreign one is refused with its path."""
        return cls(read_network(folder, "restyle", RestyleNetwork, NetworkConfig), device)

    def tune(self, backends: Sequence[str], clip_THW: tuple[int, int, int]) -> list[Trial]:
        """From now on take the fastest of these backends that gives the same pictures (`restyle.backends`), for clips
        like this one; returns what was found of each. Takes a second or two, and longer with one of `backends.FIXED`.
        """
        frames, height, width = clip_THW
        self.backend, trials = fastest(self.network, backends, (min(frames, _window(height, width)), height, width))
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
        return [self._one(*item) for item in zip(clips, codes_BS, strengths.tolist(), strict=True)]

    def _one(self, frames_THWC: np.ndarray, code_S: np.ndarray, strength: float) -> np.ndarray:
        check_clip(frames_THWC, LARGEST)
        if strength == 0:
            return frames_THWC.copy()
        return np.ascontiguousarray(np.concatenate(list(self.windows(frames_THWC, code_S, strength))))

    @torch.inference_mode()
    def windows(self, frames_THWC: np.ndarray, code_S: np.ndarray, strength: float = 1.0) -> Iterator[np.ndarray]:
        """The frames `restyle` gives for one clip, uint8 (t, H, W, 3), a window in time after the other as each is
        painted.
        """
        check_clip(frames_THWC, LARGEST)
        code_BS = torch.from_numpy(np.array(code_S, np.float32))[None].to(self.device)
        prepared = self.network.prepare(code_BS, self._statistics(frames_THWC))
        window = _window(*frames_THWC.shape[1:3])
        for start in range(0, len(frames_THWC), window):
            part_BCTHW = self._tensor(frames_THWC[start : start + window])
            restyled = self.network.paint(part_BCTHW, prepared, self.backend.convolve)
            mixed = part_BCTHW + strength * (restyled - part_BCTHW)
            yield ((mixed[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()

    def _statistics(self, frames_THWC: np.ndarray) -> Tensor:
        """Clip-wide palette numbers from at most 16 evenly spaced frames, thinned before they become floats."""
        chosen = np.linspace(0, len(frames_THWC) - 1, min(16, len(frames_THWC))).round().astype(int)
        step = thinning(*frames_THWC.shape[1:3])
        return self.network.statistics(self._tensor(frames_THWC[chosen, ::step, ::step]))

    def _tensor(self, frames_THWC: np.ndarray) -> Tensor:
        frames = torch.from_numpy(np.array(frames_THWC)).to(self.device)
        return frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def _window(height: int, width: int) -> int:
    """Frames painted at once."""
    return max(1, WINDOW_PIXELS // (height * width))


def save_bundle(network: RestyleNetwork, config: NetworkConfig, folder: Path, card: dict[str, Any]) -> None:
    """Write the average network as a bundle."""
    save_network(network, config, "restyle", folder, card)
