"""Signed distance functions: negative inside, positive outside, in the units of the points.

Formulas follow Inigo Quilez, "Distance functions" (iquilezles.org/articles/distfunctions), "2D distance functions"
(…/distfunctions2d), "Smooth minimum" (…/smin) and "Rounding and onion" in the first. All take `Points` of N points
and return shape (N,). Shapes are centred on the origin unless said otherwise: place them with `Points.at`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from trainables.data.sample.points import Points

Distance = Callable[[Points], Tensor]
Vector = tuple[float, float, float]


def length(*parts: Tensor) -> Tensor:
    """Euclidean norm of coordinates given one by one."""
    return torch.sqrt(functools.reduce(torch.add, (part * part for part in parts)))


def sphere(p: Points, radius: float) -> Tensor:
    """Exact distance to a sphere."""
    return length(p.x, p.y, p.z) - radius


def ellipsoid(p: Points, radii: Vector) -> Tensor:
    """iq's first-order bound |p/r|·(|p/r| − 1)/|p/r²|; exact on the surface."""
    rx, ry, rz = radii
    k0 = length(p.x / rx, p.y / ry, p.z / rz)
    k1 = length(p.x / rx**2, p.y / ry**2, p.z / rz**2).clamp_min(1e-6)
    return torch.where(k0 < 0.05, torch.full_like(k0, -0.9 * min(radii)), k0 * (k0 - 1.0) / k1)


def box(p: Points, half: Vector, rounding: float = 0.0) -> Tensor:
    """Box of half sizes `half` (rounding included) with rounded edges; exact."""
    qx, qy, qz = p.x.abs() - (half[0] - rounding), p.y.abs() - (half[1] - rounding), p.z.abs() - (half[2] - rounding)
    outside = length(qx.clamp_min(0), qy.clamp_min(0), qz.clamp_min(0))
    inside = torch.maximum(qx, torch.maximum(qy, qz)).clamp_max(0)
    return outside + inside - rounding


def slab(lateral: Tensor, axial: Tensor, half_height: float, rounding: float = 0.0) -> Tensor:
    """A 2-D distance extruded along a third axis: `lateral` is the 2-D distance, `axial` the coordinate; exact."""
    across, along = lateral + rounding, axial.abs() - (half_height - rounding)
    return torch.maximum(across, along).clamp_max(0) + length(across.clamp_min(0), along.clamp_min(0)) - rounding


def cylinder(p: Points, radius: float, half_height: float, rounding: float = 0.0) -> Tensor:
    """Upright cylinder; exact."""
    return slab(length(p.x, p.z) - radius, p.y, half_height, rounding)


def disc_z(p: Points, radius: float, half_depth: float, rounding: float = 0.0) -> Tensor:
    """Cylinder whose axis is z, like a dial facing the camera; exact."""
    return slab(length(p.x, p.y) - radius, p.z, half_depth, rounding)


def disc_x(p: Points, radius: float, half_depth: float, rounding: float = 0.0) -> Tensor:
    """Cylinder whose axis is x, like a wheel on its axle; exact."""
    return slab(length(p.y, p.z) - radius, p.x, half_depth, rounding)


def cone(p: Points, bottom: float, top: float, half_height: float, rounding: float = 0.0) -> Tensor:
    """Upright capped cone with the given end radii (iq's sdCappedCone); exact."""
    r1, r2, h = bottom - rounding, top - rounding, half_height - rounding
    qx, qy = length(p.x, p.z), p.y
    cap_x = qx - torch.minimum(qx, torch.where(qy < 0, torch.full_like(qx, r1), torch.full_like(qx, r2)))
    cap_y = qy.abs() - h
    k2x, k2y = r2 - r1, 2.0 * h
    t = (((r2 - qx) * k2x + (h - qy) * k2y) / (k2x * k2x + k2y * k2y)).clamp(0, 1)
    side_x, side_y = qx - r2 + k2x * t, qy - h + k2y * t
    sign = torch.where((side_x < 0) & (cap_y < 0), -1.0, 1.0)
    square = torch.minimum(cap_x * cap_x + cap_y * cap_y, side_x * side_x + side_y * side_y)
    return sign * torch.sqrt(square) - rounding


def torus(p: Points, ring: float, tube: float) -> Tensor:
    """Torus lying flat: its axis is y; exact."""
    return length(length(p.x, p.z) - ring, p.y) - tube


def torus_z(p: Points, ring: float, tube: float) -> Tensor:
    """Torus standing up: its axis is z; exact."""
    return length(length(p.x, p.y) - ring, p.z) - tube


def torus_x(p: Points, ring: float, tube: float) -> Tensor:
    """Torus standing up with its axis along x; exact."""
    return length(length(p.z, p.y) - ring, p.x) - tube


def arc(p: Points, ring: float, tube: float, half_angle: float) -> Tensor:
    """Part of a standing torus (axis z), `half_angle` degrees to both sides of +y (iq's sdCappedTorus); exact."""
    sc, cc = math.sin(math.radians(half_angle)), math.cos(math.radians(half_angle))
    x = p.x.abs()
    k = torch.where(cc * x > sc * p.y, x * sc + p.y * cc, length(x, p.y))
    square = x * x + p.y * p.y + p.z * p.z + ring * ring - 2.0 * ring * k
    return torch.sqrt(square.clamp_min(0)) - tube


def capsule(p: Points, a: Vector, b: Vector, radius: float) -> Tensor:
    """All points within `radius` of the segment a–b; exact."""
    return rod(p, a, b, radius, radius)


def rod(p: Points, a: Vector, b: Vector, start: float, end: float) -> Tensor:
    """A segment whose radius runs linearly from `start` to `end`; a bound, exact where both are equal."""
    bax, bay, baz = (j - i for i, j in zip(a, b, strict=True))
    pax, pay, paz = p.x - a[0], p.y - a[1], p.z - a[2]
    h = ((pax * bax + pay * bay + paz * baz) / (bax * bax + bay * bay + baz * baz)).clamp(0, 1)
    gap = length(pax - h * bax, pay - h * bay, paz - h * baz)
    return gap - (start + (end - start) * h)


def path(p: Points, corners: list[Vector], radius: float, end_radius: float | None = None) -> Tensor:
    """A tube along a polyline, tapering to `end_radius`; joints are rounded."""
    last, steps = radius if end_radius is None else end_radius, len(corners) - 1
    radii = [radius + (last - radius) * i / steps for i in range(len(corners))]
    segments = (rod(p, corners[i], corners[i + 1], radii[i], radii[i + 1]) for i in range(steps))
    return functools.reduce(torch.minimum, segments)


def bezier_corners(points: list[Vector], count: int = 10) -> list[Vector]:
    """`count` + 1 points on the Bézier curve of the given control points (de Casteljau)."""

    def at(t: float) -> Vector:
        level = points
        while len(level) > 1:
            pairs = itertools.pairwise(level)
            level = [tuple(u + (v - u) * t for u, v in zip(a, b, strict=True)) for a, b in pairs]
        return level[0]

    return [at(i / count) for i in range(count + 1)]


def union(*distances: Tensor) -> Tensor:
    """Whichever is nearest."""
    return functools.reduce(torch.minimum, distances)


def common(*distances: Tensor) -> Tensor:
    """Only what all share (a bound)."""
    return functools.reduce(torch.maximum, distances)


def cut(distance: Tensor, *tools: Tensor) -> Tensor:
    """The first without the others (a bound)."""
    return functools.reduce(lambda left, tool: torch.maximum(left, -tool), tools, distance)


def smooth_union(a: Tensor, b: Tensor, k: float) -> Tensor:
    """iq's quadratic smooth minimum: blends over a zone of width k, never above min(a, b)."""
    h = (k - (a - b).abs()).clamp_min(0) / k
    return torch.minimum(a, b) - h * h * (k / 4)


def smooth_common(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Intersection with its edge rounded over a zone of width k."""
    return -smooth_union(-a, -b, k)


def smooth_cut(a: Tensor, tool: Tensor, k: float) -> Tensor:
    """`a` without `tool`, the edge rounded over a zone of width k."""
    return -smooth_union(-a, tool, k)


def shell(distance: Tensor, thickness: float) -> Tensor:
    """The surface thickened to both sides by half of `thickness` (iq's onion)."""
    return distance.abs() - thickness / 2
