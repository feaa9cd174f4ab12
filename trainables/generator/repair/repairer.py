"""Repair clips with a trained bundle: what the server, the evaluation and the contact sheets use.

A clip is mended twice: inside the damage motion is guessed at the first look, and measured on the guess at the second.
Dims: T frames, H height, W width, C = 3 channels, N frames of a window, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cluster.errors import InputError
from trainables.generator.bundles import check_clip, read_network, save_network
from trainables.generator.repair.candidates import Box, find_candidates
from trainables.generator.repair.detect import detect_damage
from trainables.generator.repair.motion import KNOWN_SHARE, ClipMotion
from trainables.generator.repair.network import MULTIPLE, NetworkConfig, RepairNetwork, upgraded

Way = tuple[int, bool]
"""Quarter turns to the left, after mirroring or not."""
UPRIGHT: tuple[Way, ...] = ((0, False),)
EVERY_WAY: tuple[Way, ...] = tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True))
"""The mean over these errs less than each of them (self-ensemble, Timofte et al. 2016, arXiv 1511.02228)."""
WINDOW = 16
"""Frames mended at once: memory stays bounded in long clips."""
CONTEXT = 12
"""Frames looked at before and after a window, more where they are lost."""
MARGIN = 12
"""Sound pixels around the damage that the network sees."""
LARGEST = 2048


class Repairer:
    """A repairing network in evaluation mode on a device."""

    def __init__(self, network: RepairNetwork, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)

    @classmethod
    def from_bundle(cls, folder: Path | str, device: str = "cpu") -> Repairer:
        """Read a bundle written by `save_bundle`; a damaged or foreign one is refused with its path."""
        return cls(read_network(folder, "repair", RepairNetwork, NetworkConfig, upgraded), device)

    def repair(self, frames_THWC: np.ndarray, mask_THW: np.ndarray | None = None) -> np.ndarray:
        """Mend a clip uint8 (T, H, W, 3) where the mask (T, H, W) is not zero, or where `detect_damage` finds damage
        if none is given. Same shape out; pixels outside the mask are the clip's own, to the bit.
        """
        check_clip(frames_THWC, LARGEST)
        shape = frames_THWC.shape
        mask_THW = detect_damage(frames_THWC) if mask_THW is None else np.asarray(mask_THW) != 0
        if mask_THW.shape != shape[:3]:
            raise InputError(f"the mask is {mask_THW.shape}; a clip {shape} needs (T, H, W) = {shape[:3]}")
        if mask_THW.all():
            raise InputError("the mask covers every pixel of every frame; nothing is left to mend the clip from")
        first_THWC = self.look(frames_THWC, mask_THW, None)
        return self.look(frames_THWC, mask_THW, first_THWC, EVERY_WAY)

    def look(
        self,
        frames_THWC: np.ndarray,
        mask_THW: np.ndarray,
        before_THWC: np.ndarray | None,
        ways: Sequence[Way] = UPRIGHT,
    ) -> np.ndarray:
        """The clip mended once, with the help of what it was mended to before; takes what `repair` has checked."""
        mended = frames_THWC.copy()
        for first in range(0, len(mended), WINDOW):
            last = min(first + WINDOW, len(mended))
            if mask_THW[first:last].any():
                start, stop = _context(mask_THW, first, last)
                cut = slice(start, stop)
                motion = ClipMotion(frames_THWC[cut], mask_THW[cut], None if before_THWC is None else before_THWC[cut])
                for t in range(first, last):
                    if mask_THW[t].any():
                        mended[t] = self._frame(motion, t - start, ways)
        return mended

    def _frame(self, motion: ClipMotion, t: int, ways: Sequence[Way]) -> np.ndarray:
        """One damaged frame, mended."""
        box = _box(motion.mask_THW[t])
        found = find_candidates(motion, t, box)
        mask_hw = motion.mask_THW[t][box]
        frame_hwC = motion.frames_THWC[t]
        inputs = (
            self._tensor(frame_hwC[box]).permute(2, 0, 1) / 127.5 - 1,
            self._tensor(mask_hw)[None],
            self._tensor(found.colour_KhwC).permute(0, 3, 1, 2) / 127.5 - 1,
            self._tensor(found.confidence_Khw) / 255,
        )
        with torch.inference_mode():
            mended_Chw = sum(self._lying(inputs, *way) for way in ways) / len(ways)
        levels_Chw = ((mended_Chw.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        levels_hwC = levels_Chw.permute(1, 2, 0).cpu().numpy()
        whole = frame_hwC.copy()
        whole[box] = np.where(mask_hw[..., None], levels_hwC, whole[box])
        return whole

    def _lying(self, inputs: tuple[torch.Tensor, ...], turns: int, mirrored: bool) -> torch.Tensor:
        """What the network makes of a picture that lies another way, put upright again."""
        turned = [
            value.flip(-1).rot90(turns, (-2, -1)) if mirrored else value.rot90(turns, (-2, -1)) for value in inputs
        ]
        upright_Chw = self.network(*(value.contiguous()[None] for value in turned))[0].rot90(-turns, (-2, -1))
        return upright_Chw.flip(-1) if mirrored else upright_Chw

    def _tensor(self, value: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(value)).to(self.device).float()


def _context(mask_THW: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """Frames to look at for a window, at least two of them known on each side where the clip has them."""
    known = (~mask_THW).mean((1, 2)) >= KNOWN_SHARE
    before, after = np.flatnonzero(known[:first]), np.flatnonzero(known[last:]) + last
    start = min(max(first - CONTEXT, 0), *before[-2:]) if len(before) else max(first - CONTEXT, 0)
    stop = max(min(last + CONTEXT, len(known)), *(after[:2] + 1)) if len(after) else min(last + CONTEXT, len(known))
    return int(start), int(stop)


def _box(mask_HW: np.ndarray) -> Box:
    """The damage and a margin around it, sides a multiple of the network's where the frame allows."""
    sides = []
    for axis, length in ((1, mask_HW.shape[0]), (0, mask_HW.shape[1])):
        hurt = np.flatnonzero(mask_HW.any(axis))
        start, stop = max(0, hurt[0] - MARGIN), min(length, hurt[-1] + 1 + MARGIN)
        start = max(0, start - (-(stop - start)) % MULTIPLE)
        sides.append(slice(int(start), int(min(length, stop + (-(stop - start)) % MULTIPLE))))
    return sides[0], sides[1]


def save_bundle(network: RepairNetwork, config: NetworkConfig, folder: Path, card: dict[str, Any]) -> None:
    """Write the average network as a bundle."""
    save_network(network, config, "repair", folder, card)
