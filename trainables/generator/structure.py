"""SSIM as a loss can use it. Dims: N frames, H height, W width; pixels in [-1, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.metrics.image import LUMA

RADIUS, SIGMA = 5, 1.5
"""Of SSIM's Gaussian window, pixels."""


def ssim_map(x_N3HW: Tensor, y_N3HW: Tensor) -> Tensor:
    """SSIM of luma (Wang et al. 2004: K 0.01 and 0.03) where the 11 × 11 window fits, (N, 1, H − 10, W − 10)."""
    weights = x_N3HW.new_tensor(LUMA).view(1, 3, 1, 1)
    x, y = (((picture * weights).sum(1, keepdim=True) + 1) / 2 for picture in (x_N3HW, y_N3HW))
    at = torch.arange(-RADIUS, RADIUS + 1, device=x.device, dtype=x.dtype)
    line = torch.softmax(-at.square() / (2 * SIGMA**2), 0)
    moments = torch.cat([x, y, x * x, y * y, x * y], 1)
    for kernel in (line.view(1, 1, 1, -1), line.view(1, 1, -1, 1)):
        moments = F.conv2d(moments, kernel.expand(5, -1, -1, -1), groups=5)
    mean_x, mean_y, square_x, square_y, product = moments.split(1, 1)
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * mean_x * mean_y + c1) * (2 * (product - mean_x * mean_y) + c2)
    likeness = likeness / (mean_x**2 + mean_y**2 + c1)
    return likeness / (square_x - mean_x**2 + square_y - mean_y**2 + c2)
