"""Photograph a model on a turntable: T frames of a full turn in the studio.

The camera and the lights stand still, the product turns about the y axis. The paper is lit once a pixel, the product
`SUPERSAMPLE`² times; both meet in display light before the sRGB curve.
Dims: T frames, H height, W width, N points, colours C_3N.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.data.sample import studio
from trainables.data.sample.field import Field
from trainables.data.sample.model import Lamp, Model
from trainables.data.sample.palette import colour, to_srgb
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import length
from trainables.data.sample.shading import environment_share, film, gather, shade

SUPERSAMPLE = 2
CELLS_A_PIXEL = 0.81
"""Resolution of the cached distance field against that of the picture."""
FIELD_OF_VIEW = 24.0
"""Vertical angle of the lens, degrees."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """Size and length of a clip."""

    frames: int = 24
    """Frames a full turn, ≥ 1."""
    pixels: int = 128
    """Height and width, ≥ 16."""

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"shot.frames is {self.frames}; set it to 1 or more")
        if self.pixels < 16:
            raise ValueError(f"shot.pixels is {self.pixels}; set it to 16 or more")


class Camera:
    """A camera framed so that the whole turning product reaches `fill` of the half frame, centred up and down."""

    def __init__(self, heights: Tensor, radii: Tensor, elevation: float, fill: float) -> None:
        """`heights`, `radii`: the discs that the product sweeps, (M,); `elevation` in degrees."""
        self.tilt, self.lens = math.radians(elevation), math.tan(math.radians(FIELD_OF_VIEW / 2))
        angle = torch.linspace(0, 2 * math.pi, 33)
        x, z = (radii[:, None] * wave(angle) for wave in (torch.sin, torch.cos))
        y = heights[:, None].expand_as(x)
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        size = max(radii.max().item(), heights.max().item() / 2)
        self.distance, self.middle = 2 * size / (fill * self.lens), size
        for _ in range(16):  # a contraction: each round leaves about a tenth of the error
            above = y - self.middle
            depth = self.distance - above * s - z * c
            up, across = ((above * c - z * s) / depth / self.lens), (x / depth / self.lens)
            top, bottom = up.max().item(), up.min().item()
            self.middle += (top + bottom) / 2 * self.distance * self.lens / c
            self.distance *= max((top - bottom) / 2, across.max().item()) / fill

    def rays(self, pixels: int) -> tuple[Points, Points]:
        """The eye (0-dimensional) and unit directions of pixels², row by row from the top left."""
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        eye = Points(*(torch.tensor(v) for v in (0.0, self.middle + self.distance * s, self.distance * c)))
        axis = ((torch.arange(pixels) + 0.5) / pixels * 2 - 1) * self.lens
        v, u = torch.meshgrid(-axis, axis, indexing="ij")
        u, v = u.reshape(-1), v.reshape(-1)
        return eye, Points(u, v * c - s, -v * s - c).unit()


class Turntable:
    """Renders one model; `frame(i)` may be asked for in any order."""

    def __init__(self, model: Model, paper: str, shot: Shot) -> None:
        self.model, self.shot = model, shot
        # Paper in a lit room is never as saturated as its swatch.
        self.paper = 0.88 * colour(paper) + 0.035
        # A cell a little larger than a pixel; glass is thin in looks only and needs less.
        cells = max(32, round(shot.pixels * CELLS_A_PIXEL))
        self.solid = Field(model.solid, model.view.reach, cells)
        self.glass = Field(model.glass, model.view.reach, round(cells * 0.7)) if model.panes else None
        fields = [field for field in (self.solid, self.glass) if field]
        heights, radii = (torch.cat(column) for column in zip(*(field.swept() for field in fields), strict=True))
        self.size = max(radii.max().item(), heights.max().item() / 2)
        self.camera = Camera(heights, radii, model.view.elevation, model.view.fill)
        self.eye, self.fine = self.camera.rays(shot.pixels * SUPERSAMPLE)
        self.spot, self.spot_normal = studio.meet_paper(*self.camera.rays(shot.pixels), self.size)
        key = self.spot_normal.dot(studio.direction(studio.KEY)).clamp_min(0) * studio.pool(self.spot, self.size)
        self.paper_key = key * 1.28
        # Only paper near the product can lie in its shadow.
        near = length(self.spot.x, self.spot.z) < 3.2 * self.size
        self.contact = torch.nonzero(near & (self.spot_normal.y > 0.99)).view(-1)

    def frame(self, index: int) -> Tensor:
        """Frame `index` as uint8 (H, W, 3)."""
        degrees = self.model.view.turn + 360.0 * index / self.shot.frames
        pixels, fine = self.shot.pixels, self.shot.pixels * SUPERSAMPLE
        paper = self._paper(degrees).view(3, pixels, pixels)
        light = paper.repeat_interleave(SUPERSAMPLE, 1).repeat_interleave(SUPERSAMPLE, 2).reshape(3, -1).clone()
        eye, rays = self.eye.turned_y(degrees), self.fine.turned_y(degrees)
        hit, depth = self.solid.march(eye, rays, 0.002 * self.size)
        far = torch.full((fine * fine,), torch.inf)
        far[hit] = depth
        light[:, hit] = self._product(eye.along(rays.only(hit), depth), rays.only(hit), degrees)
        if self.glass:
            self._glaze(light, far, eye, rays, degrees)
        display = film(light).view(3, pixels, SUPERSAMPLE, pixels, SUPERSAMPLE).mean((2, 4))
        return (to_srgb(display).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()

    def _paper(self, degrees: float) -> Tensor:
        key, ambient = self.paper_key.clone(), torch.full_like(self.paper_key, 0.36)
        spot = self.spot.only(self.contact).turned_y(degrees)
        towards = studio.direction(studio.KEY).turned_y(degrees)
        up = Points(*(torch.full_like(spot.x, v) for v in (0.0, 1.0, 0.0)))
        shadow = studio.soft_shadow(self.solid, spot, towards, self.size)
        opened = studio.openness(self.solid, spot, up, self.size)
        if self.glass:
            shadow = shadow * (0.6 + 0.4 * studio.soft_shadow(self.glass, spot, towards, self.size))
            opened = opened * (0.6 + 0.4 * studio.openness(self.glass, spot, up, self.size))
        key[self.contact] *= shadow
        ambient[self.contact] *= opened
        light = studio.KEY_COLOUR * key + ambient
        light[:, self.contact] += self._lamps(spot, up, opened)
        return self.paper * light

    def _lamps(self, p: Points, normal: Points, openness: Tensor) -> Tensor:
        total = torch.zeros(3, p.x.shape[0])
        for lamp in self.model.lamps:
            total = total + _lamp_light(lamp, p, normal) * (0.3 + 0.7 * openness)
        return total

    def _product(self, p: Points, rays: Points, degrees: float) -> Tensor:
        normal = self.solid.normals(p, 0.004 * self.size)
        materials = [part.material for part in self.model.parts]
        surface = gather(materials, self.model.owner(p), p, normal, 0.006 * self.size)
        towards = studio.direction(studio.KEY).turned_y(degrees)
        lifted = p.along(normal, 1.6 * self.solid.cell)
        shadow = studio.soft_shadow(self.solid, lifted, towards, self.size)
        openness = studio.openness(self.solid, lifted, normal, self.size)
        mirror = rays.along(surface.normal, -2 * rays.dot(surface.normal))
        blocked = self._unblocked(lifted, mirror, surface.roughness)
        surface.base, lamps = surface.base, self._lamps(p, surface.normal, openness) * surface.base
        surface.normal = surface.normal.turned_y(-degrees)
        view = rays.scaled(-1.0).turned_y(-degrees)
        return shade(surface, view, shadow, openness, blocked, self.paper, p.y / self.size) + lamps

    def _unblocked(self, p: Points, ray: Points, roughness: Tensor) -> Tensor:
        """Share of the mirror cone that clears the product itself, (N,)."""
        width = 0.12 + 0.6 * roughness
        share = torch.ones_like(roughness)
        for reach in (0.08, 0.18, 0.34, 0.6, 1.0):
            share = torch.minimum(share, self.solid.near(p.along(ray, reach * self.size)) / (width * reach * self.size))
        return share.clamp(0, 1)

    def _glaze(self, light: Tensor, far: Tensor, eye: Points, rays: Points, degrees: float) -> None:
        hit, depth = self.glass.march(eye, rays, 0.002 * self.size)
        front = depth < far[hit]
        hit, depth = hit[front], depth[front]
        ray = rays.only(hit)
        p = eye.along(ray, depth)
        normal = self.glass.normals(p, 0.004 * self.size)
        which = torch.stack([pane.shape(p) for pane in self.model.panes]).argmin(0)
        density = torch.tensor([pane.density for pane in self.model.panes])[which]
        tint = torch.cat([colour(pane.tint) for pane in self.model.panes], 1)[:, which]
        facing = -ray.dot(normal).clamp(-1, -0.05)
        taken = 1 - (1 - density) ** (1 / facing).clamp_max(4)
        behind = light[:, hit]
        seen = behind * (1 - taken) + (behind * tint + 0.06 * tint) * taken
        mirror = ray.along(normal, 2 * facing).turned_y(-degrees)
        smooth = torch.full_like(depth, 0.06)
        share = environment_share(torch.tensor(0.05), smooth, facing)
        light[:, hit] = seen * (1 - share) + studio.mirrored_light(mirror, smooth, self.paper) * share


def _lamp_light(lamp: Lamp, p: Points, normal: Points) -> Tensor:
    x, y, z = lamp.position
    to = Points(x - p.x, y - p.y, z - p.z)
    square = to.dot(to).clamp_min(1e-3)
    facing = ((to.dot(normal) / square.sqrt() + 0.2) / 1.2).clamp_min(0)
    return colour(lamp.tint) * (lamp.strength * facing / (square + 0.15))


@torch.inference_mode()
def render(model: Model, paper: str, shot: Shot) -> Tensor:
    """The clip of a model on paper of the given colour: uint8 (T, H, W, 3), T frames of one full turn."""
    table = Turntable(model, paper, shot)
    return torch.stack([table.frame(i) for i in range(shot.frames)])
