"""What the network sees of a frame: itself, its detail, what its neighbours would change, and how many those are.

Detail and change are small beside the picture and carry all there is to learn, so they come as channels of their own,
amplified.
Dims: T frames, C channels, H height, W width (of the output).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.generator.enhance.neighbours import MEMORY

CHANNELS = 10
"""RGB of the frame, of its detail, of the change; weight."""
GAIN = 8.0
"""Of detail and change."""
_DETAIL = 1.0
"""Deviation of the Gaussian that is taken off, pixels of the source."""


def evidence(frames_THWC: np.ndarray, merged_THWC: np.ndarray, weight_THW: np.ndarray, scale: int) -> Tensor:
    """Frames 0…255 with what `merge_neighbours` gives for them → float32 (T, 10, scale·H, scale·W), upscaled by bicubic
    interpolation. The first three channels, in [-1, 1], are what the network corrects.
    """
    frames = frames_THWC.astype(np.float32)
    detail = np.stack([frame - cv2.GaussianBlur(frame, (0, 0), _DETAIL) for frame in frames])
    change = merged_THWC - frames
    weight = weight_THW[..., None] / MEMORY - 1
    seen_THWC = np.concatenate([frames / 127.5 - 1, GAIN / 127.5 * detail, GAIN / 127.5 * change, weight], -1)
    seen = torch.from_numpy(seen_THWC).permute(0, 3, 1, 2).contiguous()
    if scale > 1:
        seen = F.interpolate(seen, scale_factor=scale, mode="bicubic", align_corners=False)
    seen[:, :3].clamp_(-1, 1)
    return seen
