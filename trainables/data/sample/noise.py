"""Deterministic procedural noise: value noise on a random lattice, its fractal sum, and random cells.

Dims: N points.
"""

from __future__ import annotations

import functools
import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.data.sample.points import Points

PERIOD = 32
"""Lattice points after which the noise repeats."""


@functools.cache
def _lattice(seed: int, channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(channels, PERIOD, PERIOD, PERIOD, generator=generator)


@functools.cache
def _padded(seed: int) -> Tensor:
    return F.pad(_lattice(seed, 1)[None], (0, 1, 0, 1, 0, 1), mode="circular")


def noise(p: Points, scale: float, seed: int) -> Tensor:
    """Value noise in [0, 1] with features of size 1/scale (Perlin's quintic fade between lattice values), (N,)."""
    cells = []
    for c in p:
        c = torch.remainder(c * scale, PERIOD)
        whole = c.floor()
        f = c - whole
        cells.append((whole + f * f * f * (f * (f * 6 - 15) + 10)) * (2 / PERIOD) - 1)
    where = torch.stack(cells, -1).view(1, -1, 1, 1, 3)
    return F.grid_sample(_padded(seed), where, mode="bilinear", align_corners=True).view(-1)


def fractal(p: Points, scale: float, seed: int, octaves: int = 4) -> Tensor:
    """Fractional Brownian motion: `octaves` of noise, each twice as fine and half as strong, in [0, 1]."""
    total, weight = torch.zeros_like(p.x), 0.0
    for octave in range(octaves):
        gain = 0.5**octave
        # Turning each octave keeps the lattice directions from showing.
        total = total + gain * noise(p.turned_y(37 * octave).turned_x(51 * octave), scale * 2**octave, seed + octave)
        weight += gain
    return total / weight


def cells(p: Points, scale: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Worley's cells: distance to the nearest of one random point a unit cell, to the second, and a random tag.

    Distances are in units of 1/scale; the tag in [0, 1) is constant within a cell. Each of shape (N,).
    """
    lattice = _lattice(seed, 4).view(4, -1)
    q = [c * scale for c in p]
    base = [c.floor() for c in q]
    first = torch.full_like(p.x, torch.inf)
    second, tag = first.clone(), torch.zeros_like(p.x)
    for offset in itertools.product((-1, 0, 1), repeat=3):
        corner = [b + o for b, o in zip(base, offset, strict=True)]
        ix, iy, iz = (torch.remainder(c, PERIOD).long() for c in corner)
        jitter = lattice.index_select(1, (iz * PERIOD + iy) * PERIOD + ix)
        gap = sum((c + j - v) ** 2 for c, j, v in zip(corner, jitter[:3], q, strict=True))
        nearer = gap < first
        second = torch.where(nearer, first, torch.minimum(second, gap))
        first, tag = torch.where(nearer, gap, first), torch.where(nearer, jitter[3], tag)
    return first.sqrt(), second.sqrt(), tag
