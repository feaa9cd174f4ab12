"""Points in space as three flat tensors, which is how the distance functions want them.

Axes: x right, y up, z towards the camera; the floor is y = 0. Angles are degrees.
Dims: N points.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Points(NamedTuple):
    """N points or directions, each coordinate a tensor of shape (N,)."""

    x: Tensor
    y: Tensor
    z: Tensor

    def at(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Points:
        """The same points seen from an origin at (x, y, z)."""
        return Points(self.x - x if x else self.x, self.y - y if y else self.y, self.z - z if z else self.z)

    def turned_x(self, degrees: float) -> Points:
        """The points seen from a frame that was turned about the x axis."""
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return Points(self.x, c * self.y + s * self.z, c * self.z - s * self.y)

    def turned_y(self, degrees: float) -> Points:
        """The points seen from a frame that was turned about the vertical axis."""
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return Points(c * self.x - s * self.z, self.y, s * self.x + c * self.z)

    def turned_z(self, degrees: float) -> Points:
        """The points seen from a frame that was turned about the z axis."""
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return Points(c * self.x + s * self.y, c * self.y - s * self.x, self.z)

    def mirrored_x(self) -> Points:
        """Both halves folded onto x ≥ 0: what is modelled once appears left and right."""
        return Points(self.x.abs(), self.y, self.z)

    def mirrored_z(self) -> Points:
        """Both halves folded onto z ≥ 0."""
        return Points(self.x, self.y, self.z.abs())

    def around_y(self, count: int, phase: float = 0.0) -> Points:
        """The circle folded onto one of `count` equal sectors centred on +z (iq's polar repetition)."""
        sector = 2 * math.pi / count
        angle = torch.atan2(self.x, self.z) + math.radians(phase)
        angle = angle - sector * torch.round(angle / sector)
        radius = torch.sqrt(self.x * self.x + self.z * self.z)
        return Points(radius * torch.sin(angle), self.y, radius * torch.cos(angle))

    def along(self, direction: Points, distance: Tensor | float) -> Points:
        """Each point moved by `distance` along its direction."""
        return Points(
            self.x + distance * direction.x, self.y + distance * direction.y, self.z + distance * direction.z
        )

    def only(self, index: Tensor) -> Points:
        """The points chosen by an index tensor."""
        return Points(self.x[index], self.y[index], self.z[index])

    def dot(self, other: Points) -> Tensor:
        """Scalar product, shape (N,)."""
        return self.x * other.x + self.y * other.y + self.z * other.z

    def unit(self) -> Points:
        """Directions of length one."""
        scale = torch.rsqrt(self.dot(self).clamp_min(1e-20))
        return Points(self.x * scale, self.y * scale, self.z * scale)

    def scaled(self, factor: Tensor | float) -> Points:
        """Every coordinate multiplied by `factor`."""
        return Points(self.x * factor, self.y * factor, self.z * factor)


def unit_vector(x: float, y: float, z: float) -> tuple[float, float, float]:
    """(x, y, z) scaled to length one."""
    length = math.sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length


def constant(x: float, y: float, z: float) -> Points:
    """One direction as 0-dimensional tensors, which broadcast against any number of points."""
    return Points(torch.tensor(float(x)), torch.tensor(float(y)), torch.tensor(float(z)))


def grid_points(xs: Tensor, ys: Tensor, zs: Tensor) -> Points:
    """Every combination of three axes, flattened with y slowest, then z, then x."""
    y, z, x = torch.meshgrid(ys, zs, xs, indexing="ij")
    return Points(x.reshape(-1), y.reshape(-1), z.reshape(-1))
