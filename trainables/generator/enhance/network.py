"""One network for both scales: a small U-Net over space whose blocks look at neighbouring frames by shifting channels.

Frames come in at the size they shall leave with (for ×2: after bicubic upscaling). They are folded 2 × 2 into
channels, so that the work is done at half that size: for ×2 at the source's own resolution. The network adds a
correction to its input; its last convolution begins at zero, so an untrained network is bicubic upscaling.
The faithful part minimises error. The vivid part reads its features and adds what makes the picture look sharp.
Dims: B clips, N = B·T frames, C channels, T frames of a clip, H height, W width (of the output, multiples of 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FOLD = 2
MULTIPLE = 8
"""Sides of the frames must be multiples of this: folded by 2, halved twice."""
_CHANNELS = 3 * FOLD**2
_SLOPE = 0.1


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Size of the enhancement network."""

    widths: tuple[int, int, int] = (24, 48, 80)
    """Channels at 1/2, 1/4 and 1/8 of the output's size, multiples of 8."""
    blocks: int = 2
    """Residual blocks at each level and way, the coarsest has twice as many, ≥ 1."""
    vivid_blocks: int = 3
    """Residual blocks of the vivid part, ≥ 1."""

    def __post_init__(self) -> None:
        if len(self.widths) != 3 or any(width < 8 or width % 8 for width in self.widths):
            raise ValueError(f"network.widths is {self.widths}; give three multiples of 8")
        for name in ("blocks", "vivid_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"network.{name} is {getattr(self, name)}; set it to 1 or above")


class Block(nn.Module):
    """x + conv(act(conv(x))); a `temporal` one reads a quarter of its channels from the frame before and a quarter
    from the one after.
    """

    def __init__(self, width: int, *, temporal: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.temporal = temporal
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x_NCHW: Tensor, frames: int) -> Tensor:
        seen = _shift(x_NCHW, frames) if self.temporal and frames > 1 else x_NCHW
        return x_NCHW + self.second(F.leaky_relu(self.first(seen), _SLOPE))


class Stage(nn.ModuleList):
    """Blocks of one width, the first of them temporal."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__(Block(width, temporal=index == 0) for index in range(blocks))

    def forward(self, x_NCHW: Tensor, frames: int) -> Tensor:
        for block in self:
            x_NCHW = block(x_NCHW, frames)
        return x_NCHW


class FaithfulPart(nn.Module):
    """Frames (N, 3, H, W) in [-1, 1] and their scales (N,), 1 or 2 → enhanced frames and features at half the size."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.widths
        self.stem = nn.Conv2d(_CHANNELS + 1, fine, 3, padding=1)
        self.encode_fine = Stage(fine, config.blocks)
        self.down_fine = nn.Conv2d(fine, middle, 2, stride=2)
        self.encode_middle = Stage(middle, config.blocks)
        self.down_middle = nn.Conv2d(middle, coarse, 2, stride=2)
        self.coarse = Stage(coarse, 2 * config.blocks)
        self.up_middle = nn.Conv2d(coarse, 4 * middle, 1)
        self.decode_middle = Stage(middle, config.blocks)
        self.up_fine = nn.Conv2d(middle, 4 * fine, 1)
        self.decode_fine = Stage(fine, config.blocks)
        self.head = _head(fine)
        self.to(memory_format=torch.channels_last)

    def forward(self, frames_NCHW: Tensor, scale_N: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        folded = F.pixel_unshuffle(frames_NCHW, FOLD)
        told = (scale_N.to(folded) - 1).view(-1, 1, 1, 1).expand(-1, 1, *folded.shape[-2:])
        x = self.stem(torch.cat([folded, told], 1).contiguous(memory_format=torch.channels_last))
        fine = self.encode_fine(x, frames)
        middle = self.encode_middle(self.down_fine(fine), frames)
        coarse = self.coarse(self.down_middle(middle), frames)
        middle = self.decode_middle(middle + F.pixel_shuffle(self.up_middle(coarse), 2), frames)
        fine = self.decode_fine(fine + F.pixel_shuffle(self.up_fine(middle), 2), frames)
        return frames_NCHW + F.pixel_shuffle(self.head(fine), FOLD), fine


class VividPart(nn.Module):
    """Features of the faithful part → what is added to its frames."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.blocks = Stage(config.widths[0], config.vivid_blocks)
        self.head = _head(config.widths[0])
        self.to(memory_format=torch.channels_last)

    def forward(self, features_NCHW: Tensor, frames: int) -> Tensor:
        return F.pixel_shuffle(self.head(self.blocks(features_NCHW, frames)), FOLD)


class EnhanceNetwork(nn.Module):
    """Both parts."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.faithful, self.vivid = FaithfulPart(config), VividPart(config)

    @property
    def reach(self) -> int:
        """Frames to each side that an output frame depends on."""
        return sum(isinstance(module, Block) and module.temporal for module in self.modules())

    def forward(self, clip_BCTHW: Tensor, scale_B: Tensor, vividness: float = 0.0) -> Tensor:
        """Clips in [-1, 1] at their final size and the scales they came by, (B,) of 1 or 2 → enhanced clips, same
        shape. `vividness` 0…1: how much of the vivid part is added.
        """
        clips, frames = clip_BCTHW.shape[0], clip_BCTHW.shape[2]
        scale_N = scale_B.repeat_interleave(frames)
        enhanced, features = self.faithful(clip_BCTHW.transpose(1, 2).flatten(0, 1), scale_N, frames)
        if vividness > 0:
            enhanced = enhanced + vividness * self.vivid(features, frames)
        return enhanced.unflatten(0, (clips, frames)).transpose(1, 2)


def _head(width: int) -> nn.Conv2d:
    head = nn.Conv2d(width, _CHANNELS, 3, padding=1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _shift(x_NCHW: Tensor, frames: int) -> Tensor:
    """A quarter of the channels from the frame before, a quarter from the one after; the ends see themselves."""
    x = x_NCHW.unflatten(0, (-1, frames))
    quarter = x.shape[2] // 4
    before, after, own = x[:, :, :quarter], x[:, :, quarter : 2 * quarter], x[:, :, 2 * quarter :]
    before = torch.cat([before[:, :1], before[:, :-1]], 1)
    after = torch.cat([after[:, 1:], after[:, -1:]], 1)
    return torch.cat([before, after, own], 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
