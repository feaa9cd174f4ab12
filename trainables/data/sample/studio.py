"""The studio: a seamless paper sweep, a soft key light, a fill, a rim light and softboxes to be mirrored.

Directions are in the studio's frame (x right, y up, z towards the camera), lengths in units of the product's size.
Dims: N points, colours C_3N.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.data.sample.field import Field
from trainables.data.sample.points import Points, constant, unit_vector
from trainables.data.sample.sdf import length

KEY = unit_vector(-0.62, 0.95, 0.52)
FILL = unit_vector(0.85, 0.35, 0.45)
RIM = unit_vector(0.45, 0.45, -0.85)
KEY_COLOUR = torch.tensor([[1.02], [1.0], [0.95]]) * 0.86
FILL_COLOUR = torch.tensor([[0.96], [0.99], [1.05]]) * 0.2
RIM_COLOUR = torch.tensor([[1.0], [1.0], [1.02]]) * 0.28
SKY_COLOUR = torch.tensor([[0.98], [1.0], [1.03]]) * 0.40
SWEEP_BACK, SWEEP_RADIUS = 2.2, 3.6
"""Where the paper leaves the floor behind the product, and the radius of its bend."""


@dataclass(frozen=True)
class Softbox:
    """A bright rectangle far away in direction `towards`, `half` its half sizes in the plane at distance one."""

    towards: tuple[float, float, float]
    half: tuple[float, float]
    strength: float


SOFTBOXES = (
    Softbox(KEY, (0.55, 0.42), 5.0),
    # Strips that stand on the floor: upright walls seen from above mirror what lies below the horizon.
    Softbox(unit_vector(-0.80, -0.12, 0.62), (0.13, 1.8), 3.6),
    Softbox(unit_vector(0.95, -0.05, 0.10), (0.10, 1.8), 3.0),
    Softbox(unit_vector(0.2, 1.0, -0.45), (0.7, 0.3), 2.2),
)


def mirrored_light(ray: Points, roughness: Tensor, paper: Tensor) -> Tensor:
    """Light that arrives from direction `ray`, blurred by roughness, as C_3N. `paper`: its linear colour, (3, 1)."""
    blur = 0.03 + 1.3 * roughness * roughness
    up = ray.y
    height = ((up + 0.15 + blur) / (0.3 + 2 * blur)).clamp(0, 1)
    # A dim room with a brighter ceiling; below the horizon lies the lit paper.
    room = 0.16 + 0.50 * (up * 0.5 + 0.5) ** 2
    total = room * height * torch.tensor([[0.97], [1.0], [1.03]]) + (1 - height) * paper * 0.62
    for lamp in SOFTBOXES:
        cx, cy, cz = lamp.towards
        ux, uz = unit_vector(cz, 0, -cx)[0], unit_vector(cz, 0, -cx)[2]
        wx, wy, wz = cy * uz, cz * ux - cx * uz, -cy * ux
        facing = (ray.x * cx + ray.y * cy + ray.z * cz)
        safe = facing.clamp_min(0.05)
        a = (ray.x * ux + ray.z * uz).abs() / safe
        b = (ray.x * wx + ray.y * wy + ray.z * wz).abs() / safe
        edge_a, edge_b = ((half + blur - c) / (2 * blur) for half, c in zip(lamp.half, (a, b), strict=True))
        edges = edge_a.clamp(0, 1) * edge_b.clamp(0, 1)
        spread = lamp.half[0] * lamp.half[1] / ((lamp.half[0] + 0.7 * blur) * (lamp.half[1] + 0.7 * blur))
        total = total + lamp.strength * edges * spread * (facing > 0.05)
    return total


def soft_shadow(
    field: Field, p: Points, towards: Points, size: float, hardness: float = 5.0, steps: int = 20
) -> Tensor:
    """Share of a wide light that reaches each point (iq, "Soft shadows in raymarched SDFs"), (N,) in [0, 1]."""
    t = torch.full_like(p.x, 0.02 * size)
    share = torch.ones_like(t)
    for _ in range(steps):
        gap = field.near(p.along(towards, t))
        share = torch.minimum(share, hardness * gap / t)
        t = t + gap.clamp(0.025 * size, 0.22 * size)
    share = share.clamp(-1, 1)
    return 0.25 * (1 + share) ** 2 * (2 - share)


_CONES = ((0.0, 0.0), (0.87, 0.0), (0.87, 72.0), (0.87, 144.0), (0.87, 216.0), (0.87, 288.0))
"""Directions of the occlusion cones: sine of the tilt, and turn in degrees."""
_REACHES = (0.05, 0.11, 0.22, 0.42)
"""Where along a cone the distance is looked up, in product sizes."""


def openness(field: Field, p: Points, normal: Points, size: float) -> Tensor:
    """Ambient occlusion by six cones (after Wright 2015, "Dynamic occlusion with signed distance fields").

    Returns the share of the hemisphere about the normal that is open, (N,) in [0, 1]. The floor counts as solid.
    """
    # Branchless tangent frame (Duff et al. 2017, "Building an orthonormal basis, revisited").
    sign = torch.where(normal.z >= 0, 1.0, -1.0)
    a = -1 / (sign + normal.z)
    b = normal.x * normal.y * a
    tangent = Points(1 + sign * normal.x**2 * a, sign * b, -sign * normal.x)
    binormal = Points(b, sign + normal.y**2 * a, -normal.y)
    total, weights = torch.zeros_like(p.x), 0.0
    for tilt, degrees in _CONES:
        angle = torch.deg2rad(torch.tensor(degrees))
        rise = (1 - tilt * tilt) ** 0.5
        c, s = tilt * torch.cos(angle).item(), tilt * torch.sin(angle).item()
        ray = Points(*(rise * n + c * t + s * q for n, t, q in zip(normal, tangent, binormal, strict=True)))
        share = torch.ones_like(p.x)
        for reach in _REACHES:
            q = p.along(ray, reach * size)
            gap = torch.minimum(field.near(q), q.y)
            share = torch.minimum(share, gap / (0.55 * reach * size))
        total = total + rise * share.clamp(0, 1)
        weights += rise
    return total / weights


def meet_paper(origin: Points, ray: Points, size: float) -> tuple[Points, Points]:
    """Where rays from inside the sweep meet the paper, and its normals there: floor, quarter-round bend, wall."""
    back, bend = -SWEEP_BACK * size, SWEEP_RADIUS * size
    floor_t = torch.where(ray.y < -1e-6, -origin.y / ray.y.clamp_max(-1e-6), torch.inf)
    on_floor = origin.z + floor_t * ray.z > back
    oy, oz = origin.y - bend, origin.z - back
    a = ray.y**2 + ray.z**2
    half_b = oy * ray.y + oz * ray.z
    bend_t = (-half_b + torch.sqrt((half_b**2 - a * (oy**2 + oz**2 - bend**2)).clamp_min(0))) / a
    wall_t = (back - bend - origin.z) / ray.z.clamp_max(-1e-6)
    on_wall = ~on_floor & (origin.y + bend_t * ray.y > bend)
    t = torch.where(on_floor, floor_t, torch.where(on_wall, wall_t, bend_t))
    spot = origin.along(ray, t)
    flat, upright = torch.ones_like(t), torch.zeros_like(t)
    ny = torch.where(on_floor, flat, torch.where(on_wall, upright, (bend - spot.y) / bend))
    nz = torch.where(on_floor, upright, torch.where(on_wall, flat, (back - spot.z) / bend))
    return spot, Points(upright, ny, nz)


def pool(spot: Points, size: float) -> Tensor:
    """Fall-off of the key light away from the product, (N,) in (0, 1]: gives the paper its gradient."""
    far = length(spot.x + 0.3 * size, spot.y * 0.8, spot.z - 0.2 * size) / (5.2 * size)
    return 1 / (1 + far**2.4)


def direction(vector: tuple[float, float, float]) -> Points:
    """A light's direction as broadcastable points."""
    return constant(*vector)
