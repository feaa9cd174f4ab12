"""Shapes from a drawn outline: turned on the lathe (`Lathe`) or cut out of a plate (`Plate`).

The 2-D distance to the outline is tabulated once, finely, so that a curve of hundreds of corners costs as much as a
circle. Between the table's nodes the distance is bilinear; outside the table it grows with the distance to it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.data.sample.points import Points
from trainables.data.sample.sdf import length, slab

Corner = tuple[float, float]

CELL, MARGIN = 0.006, 0.12
"""Spacing of the tables and how far they reach beyond the outline, model units."""


def smooth_curve(corners: list[Corner], closed: bool = False, steps: int = 12) -> list[Corner]:
    """A Catmull–Rom spline through the corners (tension ½), `steps` points a span."""
    n = len(corners)
    out: list[Corner] = []
    for i in range(n if closed else n - 1):
        quad = [corners[j % n] if closed else corners[min(max(j, 0), n - 1)] for j in (i - 1, i, i + 1, i + 2)]
        for s in range(steps):
            t = s / steps
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3)
            out.append(tuple(sum(w * c[axis] for w, c in zip(weights, quad, strict=True)) / 2 for axis in (0, 1)))
    return out if closed else [*out, corners[-1]]


def rounded(corners: list[Corner], radius: float, steps: int = 6) -> list[Corner]:
    """A closed polygon with each corner replaced by a quadratic curve that starts `radius` before it."""
    out: list[Corner] = []
    for before, corner, after in zip([corners[-1], *corners[:-1]], corners, [*corners[1:], corners[0]], strict=True):
        ends = []
        for other in (before, after):
            gap = math.dist(corner, other)
            reach = min(radius, gap / 2) / gap
            ends.append((corner[0] + (other[0] - corner[0]) * reach, corner[1] + (other[1] - corner[1]) * reach))
        for s in range(steps + 1):
            t = s / steps
            w = ((1 - t) ** 2, 2 * t * (1 - t), t * t)
            out.append(tuple(w[0] * ends[0][k] + w[1] * corner[k] + w[2] * ends[1][k] for k in (0, 1)))
    return out


def polygon_distance(u: Tensor, v: Tensor, corners: Sequence[Corner], lathe: bool = False) -> Tensor:
    """Exact signed distance to a closed polygon (iq's sdPolygon), shapes as `u`.

    With `lathe`, edges on u = 0 bound the inside but are no surface: the solid goes on in its mirror image.
    """
    square = torch.full_like(u, math.inf)
    sign = torch.ones_like(u)
    for (bu, bv), (au, av) in zip(corners, [corners[-1], *corners[:-1]], strict=True):
        eu, ev = au - bu, av - bv
        if eu == 0 and ev == 0:
            continue
        wu, wv = u - bu, v - bv
        if not (lathe and au == bu == 0):
            t = ((wu * eu + wv * ev) / (eu * eu + ev * ev)).clamp(0, 1)
            square = torch.minimum(square, (wu - eu * t) ** 2 + (wv - ev * t) ** 2)
        above, below, left = v >= bv, v < av, eu * wv > ev * wu
        sign = torch.where((above & below & left) | ~(above | below | left), -sign, sign)
    return sign * torch.sqrt(square)


@functools.lru_cache(maxsize=32)
def _table(corners: tuple[Corner, ...], low: Corner, high: Corner, lathe: bool) -> Tensor:
    across, along = (max(32, round((top - bottom) / CELL) + 1) for bottom, top in zip(low, high, strict=True))
    axes = torch.linspace(low[1], high[1], along), torch.linspace(low[0], high[0], across)
    v, u = torch.meshgrid(*axes, indexing="ij")
    return polygon_distance(u.reshape(-1), v.reshape(-1), corners, lathe).reshape(1, 1, along, across)


class Outline:
    """The tabulated distance to a closed outline in the (u, v) plane; with `lathe` only u ≥ 0 is asked for."""

    def __init__(self, corners: list[Corner], lathe: bool = False) -> None:
        us, vs = [c[0] for c in corners], [c[1] for c in corners]
        low = (0.0 if lathe else min(us) - MARGIN, min(vs) - MARGIN)
        high = (max(us) + MARGIN, max(vs) + MARGIN)
        self.centre = tuple((bottom + top) / 2 for bottom, top in zip(low, high, strict=True))
        self.half = tuple((top - bottom) / 2 for bottom, top in zip(low, high, strict=True))
        self.table = _table(tuple(corners), low, high, lathe)

    def distance(self, u: Tensor, v: Tensor) -> Tensor:
        """Signed distance at (u, v), shape (N,)."""
        u, v = (u - self.centre[0]) / self.half[0], (v - self.centre[1]) / self.half[1]
        cell = torch.stack((u, v), -1).view(1, -1, 1, 2)
        near = F.grid_sample(self.table, cell, mode="bilinear", padding_mode="border", align_corners=True).view(-1)
        beyond = length((u.abs() - 1).clamp_min(0) * self.half[0], (v.abs() - 1).clamp_min(0) * self.half[1])
        return near + beyond


class Lathe:
    """A solid of revolution about y: `profile` runs (radius, height) from the axis at the bottom to the axis on top."""

    def __init__(self, profile: list[Corner]) -> None:
        self.outline = Outline(profile, lathe=True)

    def __call__(self, p: Points) -> Tensor:
        return self.outline.distance(length(p.x, p.z), p.y)


class Plate:
    """An outline cut from a plate: (u, v) are the two axes named, the third is the plate's thickness."""

    def __init__(self, corners: list[Corner], axes: str, half_depth: float, rounding: float = 0.0) -> None:
        self.outline = Outline(corners)
        self.axes, self.half_depth, self.rounding = axes, half_depth, rounding
        (self.across,) = set("xyz") - set(axes)

    def __call__(self, p: Points) -> Tensor:
        lateral = self.outline.distance(getattr(p, self.axes[0]), getattr(p, self.axes[1]))
        return slab(lateral, getattr(p, self.across), self.half_depth, self.rounding)


def _subdivided(corners: list[Corner], longest: float) -> list[Corner]:
    out = [corners[0]]
    for (au, av), (bu, bv) in zip(corners[:-1], corners[1:], strict=True):
        pieces = max(1, math.ceil(math.dist((au, av), (bu, bv)) / longest))
        out += [(au + (bu - au) * i / pieces, av + (bv - av) * i / pieces) for i in range(1, pieces + 1)]
    return out


def vessel(outer: list[Corner], wall: float, floor: float) -> list[Corner]:
    """A hollow profile from an outer one (bottom to rim): walls `wall` thick, a rounded rim, a floor `floor` thick.

    The inside follows the outer curve moved inwards along its normals, from points close enough to reach the floor.
    """
    outer = _subdivided(outer, 0.06)
    inner: list[Corner] = []
    for i, (r, h) in enumerate(outer):
        a, b = outer[max(i - 1, 0)], outer[min(i + 1, len(outer) - 1)]
        dr, dh = b[0] - a[0], b[1] - a[1]
        size = math.hypot(dr, dh) or 1.0
        moved = (r - wall * dh / size, h + wall * dr / size)
        if moved[1] > floor and moved[0] > 0.01:
            inner.append(moved)
    rim, lip = outer[-1], inner[-1]
    top = (max(rim[1], lip[1])) + wall * 0.35
    middle = ((rim[0] + lip[0]) / 2, top)
    return [(0.0, outer[0][1]), *outer, middle, *reversed(inner), (inner[0][0] * 0.92, floor), (0.0, floor)]
