"""A distance function with a cached coarse copy, so that most of a ray costs a table look-up.

The copy is a regular grid over the object's box. It skips empty space (its value less the interpolation error is a
safe step), and it feeds everything that is smooth anyway: ambient occlusion, soft shadow, blocked reflections. Hits
and normals always come from the exact function.
Dims: N points.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.data.sample.points import Points, grid_points
from trainables.data.sample.sdf import Distance, length

SCOUT_CELLS = 56
"""Cells a side of the first, coarse pass that finds the object's box."""


class Field:
    """`exact` cached on a grid of about `cells` cells along its longest side."""

    def __init__(self, exact: Distance, reach: float, cells: int) -> None:
        """`reach`: the object lies within |x|, |z| ≤ reach and 0 ≤ y ≤ 2·reach. Raises ValueError if it is empty."""
        self.exact = exact
        scout = torch.linspace(-reach, reach, SCOUT_CELLS)
        heights = torch.linspace(0, 2 * reach, SCOUT_CELLS)
        step = 2 * reach / (SCOUT_CELLS - 1)
        inside = exact(grid_points(scout, heights, scout)).view(SCOUT_CELLS, SCOUT_CELLS, SCOUT_CELLS) < step
        if not inside.any():
            raise ValueError(f"nothing lies within reach {reach}; give the model a larger View.reach")
        spans = [torch.nonzero(inside.any(dim=others[0]).any(dim=others[1])) for others in ((1, 1), (0, 0), (0, 1))]
        (y0, y1), (x0, x1), (z0, z1) = ((float(s.min()), float(s.max())) for s in spans)
        pad = 1.5 * step
        self.low = (scout[0].item() + x0 * step - pad, y0 * step - pad, scout[0].item() + z0 * step - pad)
        self.high = (scout[0].item() + x1 * step + pad, y1 * step + pad, scout[0].item() + z1 * step + pad)
        self.cell = max(high - low for low, high in zip(self.low, self.high, strict=True)) / cells
        counts = [max(8, round((high - low) / self.cell) + 1) for low, high in zip(self.low, self.high, strict=True)]
        self.shape = (counts[0], counts[1], counts[2])
        xs, ys, zs = self._axes()
        self.values = exact(grid_points(xs, ys, zs)).view(counts[1], counts[2], counts[0])
        self._make_atlas()

    def _axes(self) -> tuple[Tensor, Tensor, Tensor]:
        x, y, z = (torch.linspace(*ends) for ends in zip(self.low, self.high, self.shape, strict=True))
        return x, y, z

    def _make_atlas(self) -> None:
        # One image of stacked x-z slices with two channels, a slice and the one above it: a 3-D look-up is then one
        # 2-D look-up, which torch does ten times as fast.
        ny, nz, nx = self.values.shape
        above = torch.cat((self.values[1:], self.values[-1:]))
        self.atlas = torch.stack((self.values, above)).reshape(1, 2, ny * nz, nx).contiguous()

    def swept(self) -> tuple[Tensor, Tensor]:
        """What a full turn about the y axis sweeps: heights of the occupied slices and the radius of each, (M,)."""
        xs, ys, zs = self._axes()
        from_axis = length(xs[None, :], zs[:, None])
        inside = self.values < 0
        radii = torch.where(inside, from_axis, torch.zeros(())).amax((1, 2))
        occupied = inside.any(2).any(1)
        return ys[occupied], radii[occupied]

    def near(self, p: Points) -> Tensor:
        """Distance from the grid, trilinear; outside the box an upper bound. Shape (N,)."""
        nx, ny, nz = self.shape
        fx, fy, fz = (
            (c - low) / (high - low)
            for c, low, high in zip(p, self.low, self.high, strict=True)
        )
        beyond = length(*(
            ((c - 0.5).abs() - 0.5).clamp_min(0) * (high - low)
            for c, low, high in zip((fx, fy, fz), self.low, self.high, strict=True)
        ))
        gx, gy, gz = fx.clamp(0, 1), fy.clamp(0, 1) * (ny - 1), fz.clamp(0, 1) * (nz - 1)
        slice_y = gy.floor().clamp_max(ny - 2)
        rows = ny * nz - 1
        where = torch.stack((gx * 2 - 1, (slice_y * nz + gz) * (2 / rows) - 1), -1).view(1, -1, 1, 2)
        pair = F.grid_sample(self.atlas, where, mode="bilinear", padding_mode="border", align_corners=True)
        lower, upper = pair.view(2, -1)
        return lower + (upper - lower) * (gy - slice_y) + beyond

    def normals(self, p: Points, size: float) -> Points:
        """Unit normals of the exact function by central tetrahedron differences over `size`."""
        total = [0.0, 0.0, 0.0]
        for sx, sy, sz in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
            d = self.exact(Points(p.x + sx * size, p.y + sy * size, p.z + sz * size))
            total = [t + s * d for t, s in zip(total, (sx, sy, sz), strict=True)]
        return Points(*total).unit()

    def box_span(self, origin: Points, ray: Points) -> tuple[Tensor, Tensor]:
        """Ray parameters at which the box is entered and left (slab method); entered > left means a miss."""
        enter, leave = torch.zeros_like(ray.x), torch.full_like(ray.x, torch.inf)
        for o, d, low, high in zip(origin, ray, self.low, self.high, strict=True):
            inverse = 1 / torch.where(d.abs() < 1e-9, torch.full_like(d, 1e-9), d)
            a, b = (low - o) * inverse, (high - o) * inverse
            enter, leave = torch.maximum(enter, torch.minimum(a, b)), torch.minimum(leave, torch.maximum(a, b))
        return enter, leave

    def march(self, origin: Points, ray: Points, precision: float, steps: int = 64) -> tuple[Tensor, Tensor]:
        """Sphere tracing (Hart 1996): indices of the rays that hit, and their distances along the ray.

        `origin` holds one point for all rays or one a ray. Rays that leave the box or hit are dropped from the work.
        The tolerance starts at `precision` and grows with the steps, so that rays that graze a silhouette settle.
        """
        enter, leave = self.box_span(origin, ray)
        active = torch.nonzero(enter < leave).view(-1)
        rays, t, leave = ray.only(active), enter[active], leave[active]
        starts = origin.only(active) if origin.x.dim() else origin
        hits: list[Tensor] = []
        depths: list[Tensor] = []
        for step in range(steps):
            tolerance = precision * (1 + (step / 16) ** 2)
            p = starts.along(rays, t)
            gap = self.near(p) - 0.6 * self.cell
            close = torch.nonzero(gap < self.cell).view(-1)
            if len(close):
                exact = self.exact(p.only(close))
                gap[close] = exact
                done = close[exact < tolerance]
                hits.append(active[done])
                depths.append(t[done])
                gap[done] = torch.inf
            t = t + gap * 0.95
            keep = torch.nonzero(t < leave).view(-1)
            if not len(keep):
                break
            active, rays, t, leave = active[keep], rays.only(keep), t[keep], leave[keep]
            starts = starts.only(keep) if starts.x.dim() else starts
        return torch.cat(hits) if hits else active[:0], torch.cat(depths) if depths else t[:0]
