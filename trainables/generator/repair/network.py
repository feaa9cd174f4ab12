"""The repairing network: a small U-Net that moves candidates to where they fit, weighs them pixel by pixel and corrects
what they leave wrong.

Motion measured on a turning product is a pixel or two off, and guesses that disagree by so much mix to a blur; so each
candidate is sampled along a small shift of its own before they are mixed (as frames are in deformable alignment, EDVR,
arXiv 1905.02716). Before training it gives the mix by confidence; frames are mended one by one, so a clip may be cut
into windows.
Dims: N frames, K candidates, C = 3 channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cluster.config import from_dict
from cluster.errors import InputError
from trainables.generator.repair.candidates import NAMES, PRIOR, STEEPNESS

MULTIPLE = 8
WIDTH_MULTIPLE = 8
FARTHEST = 8.0
"""Pixels a candidate is moved at most."""
_UNALIGNED = ("shift.", "second_look.")
"""Layers that bundles from before candidates were moved do not have."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Size of the repairing network."""

    widths: tuple[int, ...] = (48, 80, 128)
    """Channels at 1/2, 1/4 and 1/8 of the frame, multiples of 8."""
    blocks: int = 2
    """Residual blocks a level on the way down and up, ≥ 1."""

    def __post_init__(self) -> None:
        if len(self.widths) != 3 or any(w < 8 or w % WIDTH_MULTIPLE for w in self.widths):
            raise ValueError(
                f"network.widths is {list(self.widths)}; give three multiples of {WIDTH_MULTIPLE},"
                " such as [48, 80, 128]"
            )
        if self.blocks < 1:
            raise ValueError(f"network.blocks is {self.blocks}; set it to 1 or above")


class Block(nn.Module):
    """1×1 expand ×2 → 3×3 depthwise → 1×1, residual, without normalisation; small at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 2 * channels
        self.expand = nn.Conv2d(channels, inner, 1)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.project = nn.Conv2d(inner, channels, 1)
        with torch.no_grad():
            self.project.weight.mul_(0.3)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW + self.project(F.silu(self.mix(F.silu(self.expand(x_NCHW)))))


class RepairNetwork(nn.Module):
    """Damaged frames, masks, candidates and confidences → mended frames; any H and W.

    `frame_NCHW` in [-1, 1] and `mask_N1HW` (1 damaged, 0 sound), `candidates_NKCHW` in [-1, 1], `confidence_NKHW` in
    0…1. What the frame holds under the mask is not looked at; sound pixels are the frame's own.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        half, quarter, eighth = config.widths
        channels = 3 + 3 + 1 + 4 * len(NAMES)
        self.register_buffer("prior", torch.tensor(PRIOR).log().view(1, -1, 1, 1), persistent=False)
        self.stem = nn.Conv2d(4 * channels, half, 1)
        self.down_half = _blocks(half, config.blocks)
        self.to_quarter = nn.Conv2d(half, quarter, 3, stride=2, padding=1)
        self.down_quarter = _blocks(quarter, config.blocks)
        self.to_eighth = nn.Conv2d(quarter, eighth, 3, stride=2, padding=1)
        self.middle = _blocks(eighth, 2 * config.blocks)
        self.from_eighth = nn.Conv2d(eighth, quarter, 1)
        self.up_quarter = _blocks(quarter, config.blocks)
        self.from_quarter = nn.Conv2d(quarter, half, 1)
        self.up_half = _blocks(half, config.blocks)
        self.shift = _zeroed(nn.Conv2d(half, 2 * len(NAMES), 1))
        self.second_look = nn.Sequential(
            nn.Conv2d(4 * 3 * len(NAMES), half, 1), _blocks(half, config.blocks), _zeroed(nn.Conv2d(half, half, 1))
        )
        self.head = _zeroed(nn.Conv2d(half, 4 * (len(NAMES) + 3), 1))
        self.to(memory_format=torch.channels_last)

    def forward(
        self, frame_NCHW: Tensor, mask_N1HW: Tensor, candidates_NKCHW: Tensor, confidence_NKHW: Tensor
    ) -> Tensor:
        frames, kinds, channels, height, width = candidates_NKCHW.shape
        if kinds != len(NAMES) or channels != 3 or frame_NCHW.shape != (frames, 3, height, width):
            raise InputError(
                f"repair takes {len(NAMES)} candidates a frame, (N, {len(NAMES)}, 3, H, W), and frames (N, 3, H, W),"
                f" not {tuple(candidates_NKCHW.shape)} and {tuple(frame_NCHW.shape)}"
            )
        logits_NKHW = self.prior + STEEPNESS * (confidence_NKHW + 1e-3).log()
        first = (torch.softmax(logits_NKHW, 1)[:, :, None] * candidates_NKCHW).sum(1)
        sound = frame_NCHW * (1 - mask_N1HW)
        seen = torch.cat([sound, first, mask_N1HW, _apart(candidates_NKCHW, first), confidence_NKHW], 1)
        half = self._features(_folded(seen))
        moved_NKCHW = self._moved(candidates_NKCHW, half)
        half = half + self.second_look(_folded(_apart(moved_NKCHW, first)))
        change = F.pixel_shuffle(self.head(F.silu(half)), 2)[..., :height, :width]
        weights_NKHW = torch.softmax(logits_NKHW + 4 * change[:, 3:], 1)
        mended = (weights_NKHW[:, :, None] * moved_NKCHW).sum(1) + change[:, :3]
        return sound + mended * mask_N1HW

    def _features(self, x_NCHW: Tensor) -> Tensor:
        """The U-Net, from and to half the frame's size."""
        half = self.down_half(self.stem(x_NCHW))
        quarter = self.down_quarter(self.to_quarter(F.silu(half)))
        eighth = self.middle(self.to_eighth(F.silu(quarter)))
        quarter = self.up_quarter(quarter + _double(self.from_eighth(eighth)))
        return self.up_half(half + _double(self.from_quarter(quarter)))

    def _moved(self, candidates_NKCHW: Tensor, half_NCHW: Tensor) -> Tensor:
        """Each candidate along its shift."""
        frames, kinds, _, height, width = candidates_NKCHW.shape
        shift = self.shift(F.silu(half_NCHW))
        shift = F.interpolate(shift, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
        shift = FARTHEST * torch.tanh(shift / FARTHEST)
        to_unit = shift.new_tensor([2 / width, 2 / height])
        x = (torch.arange(width, device=shift.device) * 2 + 1) / width - 1
        y = (torch.arange(height, device=shift.device) * 2 + 1) / height - 1
        here_HW2 = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)
        at = here_HW2 + shift.reshape(frames * kinds, 2, height, width).permute(0, 2, 3, 1) * to_unit
        moved = F.grid_sample(
            candidates_NKCHW.flatten(0, 1), at, mode="bicubic", padding_mode="border", align_corners=False
        )
        return moved.unflatten(0, (frames, kinds))


def upgraded(
    config: dict[str, Any], tensors: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], Mapping[str, np.ndarray]]:
    """Settings and weights of a bundle as they are now. Bundles of before did not move their candidates; the layers
    they lack begin as those of an untrained network, which does not either.
    """
    if "shift.weight" in tensors:
        return config, tensors
    untrained = RepairNetwork(from_dict(NetworkConfig, config, "network.")).state_dict()
    return config, {n: v.numpy() for n, v in untrained.items() if n.startswith(_UNALIGNED)} | dict(tensors)


def _apart(candidates_NKCHW: Tensor, first_NCHW: Tensor) -> Tensor:
    return 3 * (candidates_NKCHW - first_NCHW[:, None]).flatten(1, 2)


def _folded(x_NCHW: Tensor) -> Tensor:
    """2 × 2 pixels into channels, sides carried on to what the network needs."""
    height, width = x_NCHW.shape[-2:]
    pad = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
    x_NCHW = F.pad(x_NCHW, pad, mode="replicate") if any(pad) else x_NCHW
    return F.pixel_unshuffle(x_NCHW, 2).contiguous(memory_format=torch.channels_last)


def _zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(channels) for _ in range(count)))


def _double(x_NCHW: Tensor) -> Tensor:
    return F.interpolate(x_NCHW, scale_factor=2, mode="nearest")
