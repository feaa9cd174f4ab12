"""The restyling network: palette skip + encoder → style-modulated decoder whose residual is zero at first.

Frames are processed one by one and every clip-wide number comes from `clip_statistics`, so equal frames give equal
pictures and a clip may be cut into windows without a seam.
Dims: B batch, C = 3 channels, T frames, H height, W width, S style code, D clip statistics, Z modulation,
N frames of a batch (B·T), I channels inside a block, K brushes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cluster.errors import InputError
from trainables.data.style_code import CODE_DIM
from trainables.generator.restyle.brushes import BACKDROP_STATISTICS, BRUSHES, STRIPES, Brushes, backdrop_statistics
from trainables.generator.restyle.palette import STATISTICS, Grading, Oklab, PaletteSkip, clip_statistics
from trainables.generator.restyle.presets import PRESETS, STRIPED, preset_codes

MULTIPLE = 8
WIDTH_MULTIPLE = 8
PAIR = 6
"""Channels of a frame beside its graded self."""
FOLD = 2
"""Pixels that the first convolution takes as one, each way."""
Convolve = Callable[[Tensor, Tensor], Tensor]
"""`RestyleNetwork.residual`, or what gives the same another way."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Size of the restyling network."""

    widths: tuple[int, ...] = (16, 64, 128)
    """Channels at 1/2, 1/4 and 1/8 of the frame, multiples of 8."""
    blocks: int = 4
    """Residual blocks at 1/8, ≥ 1."""
    modulation: int = 64
    """Numbers that carry the style through the network, ≥ 8."""
    palette_hidden: int = 64
    """Width of the palette skip's small network, ≥ 8."""
    moderation: float = 0.9
    """Share of the way the palette skip goes towards the style's palette before training, 0…1."""

    def __post_init__(self) -> None:
        if len(self.widths) != 3 or any(w < 8 or w % WIDTH_MULTIPLE for w in self.widths):
            raise ValueError(
                f"network.widths is {list(self.widths)}; give three multiples of {WIDTH_MULTIPLE},"
                " such as [16, 64, 128]"
            )
        for name, least in (("blocks", 1), ("modulation", 8), ("palette_hidden", 8)):
            if getattr(self, name) < least:
                raise ValueError(f"network.{name} is {getattr(self, name)}; set it to {least} or above")
        if not 0 <= self.moderation <= 1:
            raise ValueError(f"network.moderation is {self.moderation}; set it between 0 and 1")


class Stem(nn.Conv2d):
    """Frames beside their graded selves (N, 6, H, W) → (N, channels, H/2, W/2).

    A 3×3 convolution of pixels folded 2×2 into channels, the outermost fold once more around it; in one step, as a
    6×6 convolution of every other pixel, for folding the pixels costs as much as convolving them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(PAIR * FOLD**2, channels, 3)

    def forward(self, pair_NCHW: Tensor) -> Tensor:
        x = pair_NCHW.contiguous(memory_format=torch.channels_last)
        x = torch.cat([x[..., :FOLD], x, x[..., -FOLD:]], -1)
        x = torch.cat([x[..., :FOLD, :], x, x[..., -FOLD:, :]], -2)
        folded = self.weight.view(self.out_channels, PAIR, FOLD, FOLD, *self.kernel_size)
        weight = folded.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
        return F.conv2d(x, weight.contiguous(memory_format=torch.channels_last), self.bias, stride=FOLD)


class StyleBlock(nn.Module):
    """1×1 expand ×2 → style scale and shift → 3×3 depthwise → 1×1, residual, without normalisation.

    Depthwise because a CPU runs a 3×3 in groups of 16 channels three times slower, forward and backward.
    """

    def __init__(self, channels: int, modulation: int) -> None:
        super().__init__()
        inner = 2 * channels
        self.expand = nn.Conv2d(channels, inner, 1)
        self.style = nn.Linear(modulation, 2 * inner)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, padding_mode="replicate", groups=inner)
        self.project = nn.Conv2d(inner, channels, 1)
        nn.init.normal_(self.style.weight, std=0.5 / modulation**0.5)
        nn.init.zeros_(self.style.bias)
        with torch.no_grad():
            self.project.weight.mul_(0.3)

    def forward(self, x_NCHW: Tensor, z_NZ: Tensor) -> Tensor:
        """`z_NZ` has a row a frame, or one row for all."""
        scale_NI, shift_NI = self.style(z_NZ).chunk(2, 1)
        if len(z_NZ) == 1:
            # One style: scale and shift go into the weights, which spares two passes over the largest tensors.
            scale_I = 1 + scale_NI[0]
            weight, bias = self.expand.weight * scale_I.view(-1, 1, 1, 1), self.expand.bias * scale_I + shift_NI[0]
            inner = F.conv2d(x_NCHW, weight, bias)
        else:
            inner = self.expand(x_NCHW) * (1 + scale_NI[:, :, None, None]) + shift_NI[:, :, None, None]
        return x_NCHW + self.project(F.relu(self.mix(F.relu(inner, inplace=True)), inplace=True))


class Prepared(NamedTuple):
    """One style on one clip, for as many windows of frames as the clip has."""

    grading: Grading
    z_BZ: Tensor
    colour_B3K: Tensor
    """What each brush lays on, RGB."""
    source_BD: Tensor
    """`RestyleNetwork.statistics`."""


class RestyleNetwork(nn.Module):
    """Clip (B, 3, T, H, W) in [-1, 1] and style code (B, S) → restyled clip of the same shape; any H and W ≥ 16."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        half, quarter, eighth = config.widths
        z = config.modulation
        condition = CODE_DIM + len(PRESETS) + STATISTICS + BACKDROP_STATISTICS
        self.register_buffer("anchors", torch.from_numpy(np.stack([preset_codes()[name] for name in PRESETS])))
        self.palette = PaletteSkip(condition, hidden=config.palette_hidden, moderation=config.moderation)
        self.embed = nn.Sequential(nn.Linear(condition, 2 * z), nn.SiLU(), nn.Linear(2 * z, z), nn.SiLU())
        self.stem = Stem(half)
        self.down_quarter = nn.Conv2d(half, quarter, 3, stride=2, padding=1, padding_mode="replicate")
        self.block_quarter = StyleBlock(quarter, z)
        self.down_eighth = nn.Conv2d(quarter, eighth, 3, stride=2, padding=1, padding_mode="replicate")
        self.blocks_eighth = nn.ModuleList(StyleBlock(eighth, z) for _ in range(config.blocks))
        self.up_quarter = nn.Conv2d(eighth, quarter, 1)
        self.decode_quarter = StyleBlock(quarter, z)
        self.up_half = nn.Conv2d(quarter, half, 1)
        self.decode_half = StyleBlock(half, z)
        self.head = nn.Conv2d(half, 3 + BRUSHES, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.brushes = Brushes()
        self.lay_on, self.lay_on_near = nn.Linear(z, 3 * BRUSHES), nn.Linear(len(PRESETS), 3 * BRUSHES)
        for layer in (self.lay_on, self.lay_on_near):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        stripes = torch.zeros(BRUSHES)
        stripes[STRIPES] = 1
        self.register_buffer("stripes", stripes, persistent=False)
        self.to(memory_format=torch.channels_last)

    def statistics(self, clip_BCTHW: Tensor) -> Tensor:
        """Clip-wide numbers of palette and backdrop (B, 15); a clip that is restyled in windows is measured once."""
        step = thinning(*clip_BCTHW.shape[-2:])
        few = clip_BCTHW[..., ::step, ::step].float()
        oklab: Oklab = self.palette.oklab
        palette_B9 = clip_statistics(oklab.from_rgb(few.reshape(len(few), 3, -1)))
        return torch.cat([palette_B9, backdrop_statistics(few)], -1)

    def forward(self, clip_BCTHW: Tensor, code_BS: Tensor) -> Tensor:
        batch, channels = clip_BCTHW.shape[:2]
        if channels != 3 or code_BS.shape != (batch, CODE_DIM):
            raise InputError(
                f"restyling takes clips (B, 3, T, H, W) and codes (B, {CODE_DIM}),"
                f" not {tuple(clip_BCTHW.shape)}, {tuple(code_BS.shape)}"
            )
        return self.paint(clip_BCTHW, self.prepare(code_BS, self.statistics(clip_BCTHW)))

    def prepare(self, code_BS: Tensor, source_BD: Tensor) -> Prepared:
        """All that does not depend on single frames, for clips with these `statistics`."""
        with torch.autocast(code_BS.device.type, enabled=False):
            code_BS = code_BS.float()
            near_BP = nearness(code_BS, self.anchors)
            condition_BX = torch.cat([0.3 * code_BS, near_BP, (source_BD - 0.3) / 0.3], -1)
            grading = self.palette(code_BS, source_BD[:, :STATISTICS], condition_BX)
        z_BZ = self.embed(condition_BX)
        # Stripes only near the preset that has them: on a plain backdrop even a trace is seen in any other look.
        striped_B1K = 1 - self.stripes * (1 - near_BP[:, STRIPED, None, None])
        colour_B3K = self.lay_on(z_BZ).reshape(-1, 3, BRUSHES) * (1 - self.stripes)
        colour_B3K = colour_B3K + 4 * striped_B1K * self.lay_on_near(near_BP).reshape(-1, 3, BRUSHES)
        return Prepared(grading, z_BZ, colour_B3K, source_BD)

    def paint(self, clip_BCTHW: Tensor, prepared: Prepared, convolve: Convolve | None = None) -> Tensor:
        """Restyle clips (B, 3, T, H, W), or a window of them in time; `convolve` takes the place of `residual`."""
        batch, _, frames, height, width = clip_BCTHW.shape
        with torch.autocast(clip_BCTHW.device.type, enabled=False):
            clip_BCTHW = clip_BCTHW.float()
            graded = prepared.grading(clip_BCTHW)
        z_NZ = prepared.z_BZ if batch == 1 else prepared.z_BZ.repeat_interleave(frames, 0)
        pair_NCHW = _frames(torch.cat([clip_BCTHW, graded], 1))
        if any(pad := (0, -width % MULTIPLE, 0, -height % MULTIPLE)):
            pair_NCHW = F.pad(pair_NCHW, pad, mode="replicate")
        residual = (convolve or self.residual)(pair_NCHW, z_NZ)[..., :height, :width]
        maps = self.brushes(_frames(clip_BCTHW), prepared.source_BD.repeat_interleave(frames, 0))
        # Gates only scale what the style lays on, so that no look can wear another one's brushes.
        gated = torch.addcmul(maps, maps, residual[:, 3:]).flatten(2)
        worn = (prepared.colour_B3K.repeat_interleave(frames, 0) @ gated).reshape(-1, 3, height, width)
        painted = _frames(graded) + residual[:, :3] + worn
        painted_BCTHW = painted.reshape(batch, frames, 3, height, width).transpose(1, 2)
        # Cut off only where pictures leave: overshoot must keep its gradient while training.
        return painted_BCTHW if self.training else painted_BCTHW.clamp(-1, 1)

    def residual(self, pair_NCHW: Tensor, z_NZ: Tensor) -> Tensor:
        """What is laid on and the brushes' gates, (N, 3 + K, H, W), of frames beside their graded selves (N, 6, H, W).
        All convolutions are here.

        None of them is told where on the screen it is, nor by zeros beyond the border: from that they learn to draw
        bands along the edges of plain backdrops. What depends on the place, brushes lay on.
        """
        half = self.stem(pair_NCHW)
        quarter = self.block_quarter(self.down_quarter(F.relu(half)), z_NZ)
        eighth = self.down_eighth(F.relu(quarter))
        for block in self.blocks_eighth:
            eighth = block(eighth, z_NZ)
        quarter = self.decode_quarter(quarter + _double(self.up_quarter(eighth)), z_NZ)
        half = self.decode_half(half + _double(self.up_half(quarter)), z_NZ)
        # Smooth between the half-size pixels: what is finer comes from the frame and the brushes, never as a lattice.
        head = self.head(F.relu(half)).float()  # here, where it is a quarter as large as in the end
        return F.interpolate(head, scale_factor=2, mode="bilinear", align_corners=False)


def upgraded(
    settings: dict[str, Any], tensors: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], Mapping[str, np.ndarray]]:
    """Settings and weights of a bundle as they are now. The first convolution of before was told where it is as well,
    in three last channels: across and down in -1…1, and the squared distance from the centre less 1. Their means over
    the screen, 0, 0 and -1/3, go into its bias.
    """
    weight = tensors.get("stem.weight")
    if weight is None or weight.shape[1] != PAIR * FOLD**2 + 3:
        return settings, tensors
    distance = weight[:, -1].astype(np.float32).sum((1, 2))
    bias = tensors["stem.bias"] - (distance / 3).astype(weight.dtype)
    return settings, dict(tensors) | {"stem.weight": weight[:, :-3], "stem.bias": bias}


def thinning(height: int, width: int) -> int:
    """Every how many-th pixel is enough for a clip's statistics; what is so thinned is not thinned again."""
    return max(1, min(height, width) // 48)


def nearness(code_BS: Tensor, anchors_PS: Tensor) -> Tensor:
    """How near each style code is to each anchor (B, P): shares that fade to nothing far from all of them. With the
    presets as anchors their looks are told apart from the first step on, and a blend lies between.
    """
    square_BP = (code_BS[:, None] - anchors_PS).square().sum(-1)
    reach = torch.exp(-square_BP.amin(1, keepdim=True) / (2 * 8.0**2))
    return torch.softmax(-square_BP / (2 * 2.0**2), 1) * reach


def _frames(clip_BCTHW: Tensor) -> Tensor:
    return clip_BCTHW.transpose(1, 2).flatten(0, 1)


def _double(x_NCHW: Tensor) -> Tensor:
    return F.interpolate(x_NCHW, scale_factor=2, mode="nearest")
