"""Smooth warps of pictures, and the warp that lays one silhouette onto another.

A grid (N, H, W, 2) says for every pixel where to read, x right and y down, −1…1 from edge to edge.
Dims: N pictures, C channels, H height, W width, K knots a side.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

KNOTS = 7
COARSE = 48
"""Side at which silhouettes are laid onto each other, pixels."""
STEPS = 36


def identity(size: int) -> Tensor:
    """Grid (1, H, W, 2) that changes nothing."""
    line = (torch.arange(size) + 0.5) * (2 / size) - 1
    v, u = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([u, v], -1)[None]


def read(pictures_NCHW: Tensor, grid_NHWC: Tensor, mode: str = "bicubic") -> Tensor:
    """Pictures read at a grid; beyond their edges the edge goes on."""
    return F.grid_sample(pictures_NCHW, grid_NHWC, mode=mode, padding_mode="border", align_corners=False)


def random_grid(
    rng: np.random.Generator, size: int, *, turn: float, zoom: float, stretch: float, shift: float, bend: float
) -> Tensor:
    """Mirroring half the time, a turn (largest, radians), zoom and stretch (largest, shares), shift (largest, −1…1
    units) and a smooth bend (deviation, −1…1 units): (1, H, W, 2).
    """
    angle, scale = rng.uniform(-turn, turn), np.exp(rng.uniform(-zoom, zoom))
    wide = np.exp(rng.uniform(-stretch, stretch))
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([wide, 1 / wide]) / scale
    if rng.random() < 0.5:
        matrix = matrix @ np.diag([-1.0, 1.0])
    move = rng.uniform(-shift, shift, 2)
    knots = torch.from_numpy(rng.normal(0, bend, (1, 2, 4, 4)).astype(np.float32))
    bent = F.interpolate(knots, (size, size), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    grid = identity(size) @ torch.from_numpy(matrix.T.astype(np.float32)) + torch.from_numpy(move.astype(np.float32))
    return grid + bent


def signed_distance(mattes_NHW: np.ndarray) -> np.ndarray:
    """Pixels to the contour, above 0 inside: float32 (N, H, W)."""
    fields = []
    for matte in mattes_NHW:
        solid = matte > 0.5
        inside = ndimage.distance_transform_edt(solid) - 0.5
        outside = ndimage.distance_transform_edt(~solid) - 0.5
        fields.append(np.where(solid, inside, -outside))
    return np.stack(fields).astype(np.float32)


def boxes(mattes_NHW: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and half size (N, 2) of what the mattes hold, −1…1 units, thin ends left out."""
    found = []
    for along in (1, 2):
        profile = mattes_NHW.sum(along).cumsum(-1)
        profile = profile / profile[:, -1:].clamp(min=1e-3)
        size = profile.shape[-1]
        low, high = ((profile < share).sum(-1) / size * 2 - 1 for share in (0.03, 0.97))
        found.append((low, high))
    low, high = (torch.stack([found[0][i], found[1][i]], -1) for i in (0, 1))
    return (low + high) / 2, ((high - low) / 2).clamp(min=0.05)


def fit_boxes(target_NHW: Tensor, source_NHW: Tensor, size: int) -> Tensor:
    """Grid (N, size, size, 2) that lays the source's box onto the target's."""
    (centre_t, half_t), (centre_s, half_s) = boxes(target_NHW), boxes(source_NHW)
    at = (identity(size) - centre_t[:, None, None]) / half_t[:, None, None]
    return at * half_s[:, None, None] + centre_s[:, None, None]


def lay_onto(target_NHW: Tensor, source_NHW: Tensor, size: int, *, stiffness: float = 0.3, calm: float = 0.0) -> Tensor:
    """Grid (N, size, size, 2) that reads the source where the target has its silhouette: boxes first, then a smooth
    bend found by gradient descent. `stiffness` weighs its bending, `calm` its change between neighbours in N (frames).
    """
    target, source = (
        F.interpolate(mattes[:, None].float(), (COARSE, COARSE), mode="bilinear", antialias=True, align_corners=False)
        for mattes in (target_NHW, source_NHW)
    )
    base = fit_boxes(target[:, 0], source[:, 0], COARSE)
    knots = torch.zeros(len(target), 2, KNOTS, KNOTS)
    momentum, square = torch.zeros_like(knots), torch.zeros_like(knots)
    with torch.enable_grad():
        for step in range(STEPS):
            if step % (STEPS // 2) == 0:
                radius = 4 if step == 0 else 1
                blurred_t, blurred_s = _blur(target, radius), _blur(source, radius)
            knots.requires_grad_(True)
            bend = F.interpolate(knots, (COARSE, COARSE), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
            miss = (read(blurred_s, base + bend, "bilinear") - blurred_t).square().mean((1, 2, 3)).sum()
            rough = sum(knots.diff(dim=along).square().mean((1, 2, 3)).sum() for along in (-1, -2))
            loss = miss + stiffness * rough
            if calm and len(knots) > 1:
                loss = loss + calm * (knots[1:] - knots[:-1]).square().mean((1, 2, 3)).sum()
            (slope,) = torch.autograd.grad(loss, knots)
            momentum = 0.8 * momentum + 0.2 * slope
            square = 0.95 * square + 0.05 * slope.square()
            share = min(1.0, 2 * (1 - step / STEPS))
            correction = (1 - 0.8 ** (step + 1)) / (1 - 0.95 ** (step + 1)) ** 0.5
            knots = knots.detach() - 0.03 * share * momentum / (correction * (square.sqrt() + 1e-6))
    bend = F.interpolate(knots, (size, size), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    return fit_boxes(target[:, 0], source[:, 0], size) + bend


def spread(pictures_NCHW: Tensor, weight_N1HW: Tensor) -> Tensor:
    """Colours of the weighted pixels carried on over the rest, softer the farther (pull–push)."""
    return _pull_push(pictures_NCHW * weight_N1HW, weight_N1HW)


def _pull_push(weighted: Tensor, weight: Tensor) -> Tensor:
    if weight.shape[-1] <= 2:
        mean = weighted.sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp(min=1e-4)
        return mean.expand_as(weighted)
    half = _pull_push(F.avg_pool2d(weighted, 2), F.avg_pool2d(weight, 2))
    far = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
    return weighted + far * (1 - weight.clamp(0, 1))


def _blur(maps_N1HW: Tensor, radius: int) -> Tensor:
    for _ in range(2):
        maps_N1HW = F.avg_pool2d(F.pad(maps_N1HW, (radius,) * 4, mode="replicate"), 2 * radius + 1, stride=1)
    return maps_N1HW
