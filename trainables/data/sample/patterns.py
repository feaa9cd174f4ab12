"""Patterns: masks in [0, 1] over surface coordinates, and paints that mix colours by them.

A *chart* maps points to surface coordinates (u, v) in model units. A *mask* maps points to [0, 1]. A *paint* maps
points to linear RGB. Edges are softened over `SOFT` so that they do not crawl as the product turns.
Dims: N points, colours C_3N.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from trainables.data.sample.noise import cells, fractal, noise
from trainables.data.sample.palette import colour
from trainables.data.sample.points import Points

Chart = Callable[[Points], tuple[Tensor, Tensor]]
Mask = Callable[[Points], Tensor]
Paint = Callable[[Points], Tensor]

SOFT = 0.012
"""Width of a pattern's edge in model units; about one pixel of a 128-pixel frame."""


def step(x: Tensor, soft: float = SOFT) -> Tensor:
    """0 below zero, 1 above, a smooth ramp of width `soft` between."""
    t = (x / soft + 0.5).clamp(0, 1)
    return t * t * (3 - 2 * t)


def wrap(radius: float = 1.0) -> Chart:
    """Around the y axis: u is the arc length at `radius`, v the height."""
    return lambda p: (torch.atan2(p.x, p.z) * radius, p.y)


def front(p: Points) -> tuple[Tensor, Tensor]:
    """Seen from the front: u = x, v = y."""
    return p.x, p.y


def side(p: Points) -> tuple[Tensor, Tensor]:
    """Seen from the side: u = z, v = y."""
    return p.z, p.y


def around_box(p: Points) -> tuple[Tensor, Tensor]:
    """Around something boxy: u = x + z runs on from the front to the sides, v = y."""
    return p.x + p.z, p.y


def above(p: Points) -> tuple[Tensor, Tensor]:
    """Seen from above: u = x, v = z."""
    return p.x, p.z


def plain(name: str) -> Paint:
    """One colour everywhere."""
    tone = colour(name)
    return lambda p: tone.expand(3, p.x.shape[0])


def _paint(source: str | Paint) -> Paint:
    return plain(source) if isinstance(source, str) else source


def mix(ground: str | Paint, figure: str | Paint, mask: Mask) -> Paint:
    """`ground` where the mask is 0, `figure` where it is 1. Colour names or paints."""
    below, over = _paint(ground), _paint(figure)

    def paint(p: Points) -> Tensor:
        base = below(p)
        return base + (over(p) - base) * mask(p)

    return paint


def stripes(chart: Chart, period: float, share: float = 0.5, slant: float = 0.0, upright: bool = False) -> Mask:
    """Even stripes: level ones by default, `upright` ones along v; `slant` shears them."""

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        c = (u + slant * v if upright else v + slant * u) / period
        return step((share / 2 - (c - torch.round(c)).abs()) * period)

    return mask


def bands(edges: list[tuple[float, float]]) -> Mask:
    """Level bands between the given heights."""

    def mask(p: Points) -> Tensor:
        inside = torch.zeros_like(p.y)
        for low, high in edges:
            inside = torch.maximum(inside, torch.minimum(step(p.y - low), step(high - p.y)))
        return inside

    return mask


def zigzag(chart: Chart, period: float, height: float, share: float = 0.5, rise: float = 0.5) -> Mask:
    """Chevrons: stripes of spacing `height` that rise and fall `rise`·period over `period` of u."""

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        c = (v + ((u / period - torch.round(u / period)).abs() - 0.25) * 2 * rise * period) / height
        return step((share / 2 - (c - torch.round(c)).abs()) * height)

    return mask


def waves(chart: Chart, period: float, height: float, share: float = 0.5, swing: float = 0.3) -> Mask:
    """Stripes that undulate."""

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        c = (v + swing * height * torch.sin(u * (2 * math.pi / period))) / height
        return step((share / 2 - (c - torch.round(c)).abs()) * height)

    return mask


def dots(chart: Chart, spacing: float, radius: float, around: int = 0, chart_radius: float = 1.0) -> Mask:
    """Round dots on a staggered grid. `around`: a whole number of dots around a `wrap` chart of `chart_radius`."""
    pitch = 2 * math.pi * chart_radius / around if around else spacing

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        row = torch.round(v / spacing)
        u = u / pitch + 0.5 * torch.remainder(row, 2)
        du, dv = (u - torch.round(u)) * pitch, v - row * spacing
        return step(radius - torch.sqrt(du * du + dv * dv))

    return mask


def checks(chart: Chart, width: float, height: float) -> Mask:
    """A chequerboard."""

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        a, b = u / width, v / height
        a, b = (a - torch.round(a)).abs() - 0.25, (b - torch.round(b)).abs() - 0.25
        first, second = step(a * width), step(b * height)
        return first + second - 2 * first * second

    return mask


def gingham(chart: Chart, pitch: float) -> Mask:
    """Woven checks: half tone where one stripe lies, full tone where two cross."""

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        a, b = u / pitch, v / pitch
        across, along = ((0.25 - (c - torch.round(c)).abs()) * pitch for c in (a, b))
        return (step(across) + step(along)) / 2

    return mask


def diamonds(chart: Chart, width: float, height: float, line: float) -> Mask:
    """A lattice of slanted lines, as in quilting or trellis prints."""

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        a, b = u / width + v / height, u / width - v / height
        size = min(width, height) * 0.7
        gap = torch.minimum((a - torch.round(a)).abs(), (b - torch.round(b)).abs()) * size
        return step(line / 2 - gap)

    return mask


def petals(chart: Chart, pitch: float, count: int = 5, size: float = 0.4) -> Mask:
    """Small flowers on a staggered grid: `count` petals, radius `size`·pitch."""

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        row = torch.round(v / pitch)
        u = u / pitch + 0.5 * torch.remainder(row, 2)
        du, dv = u - torch.round(u), v / pitch - row
        radius, angle = torch.sqrt(du * du + dv * dv), torch.atan2(du, dv)
        edge = size * (0.62 + 0.38 * torch.cos(count * angle))
        return step((edge - radius) * pitch) * step((radius - 0.28 * size) * pitch)

    return mask


def scales(chart: Chart, pitch: float, line: float) -> Mask:
    """Fish-scale (seigaiha) lines: nested arcs in staggered rows."""

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        best = torch.zeros_like(u)
        covered = torch.zeros_like(u)
        base = torch.floor(v / (pitch / 2))
        for back in (-1, 0, 1):  # lower rows lie over the upper ones
            row = base + back
            du = u / pitch + 0.5 * torch.remainder(row, 2)
            du, dv = (du - torch.round(du)) * pitch, v - row * (pitch / 2)
            radius = torch.sqrt(du * du + dv * dv)
            here = step(pitch / 2 - radius) * (1 - covered)
            outer, inner = (step(line / 2 - (radius - pitch * at).abs()) for at in (0.47, 0.27))
            rings = torch.maximum(outer, inner)
            best, covered = torch.maximum(best, rings * here), torch.maximum(covered, here)
        return best

    return mask


def letters(chart: Chart, height: float, low: float, seed: int, rows: int = 1) -> Mask:
    """Rows of letter-like blocks from v = `low` upwards: 3 × 5 glyph cells, some lit, with gaps between glyphs."""

    def mask(p: Points) -> Tensor:
        u, v = chart(p)
        size = height / 5
        line = torch.floor((v - low) / (height * 1.6))
        gx, gy = torch.floor(u / size), torch.floor((v - low - line * height * 1.6) / size)
        glyph, column = torch.floor(gx / 4), torch.remainder(gx, 4)
        lit = noise(Points(glyph * 7.1 + column * 3.3 + 0.5, gy * 5.7 + 0.5, line * 9.3 + 0.5), 1.37, seed) > 0.4
        page = (gy >= 0) & (gy < 5) & (line >= 0) & (line < rows) & (column < 3)
        return (lit & page).float()

    return mask


def marble(scale: float, seed: int, width: float = 0.09) -> Mask:
    """Veins: the zero lines of noise warped by noise, at two scales."""

    def mask(p: Points) -> Tensor:
        bend = fractal(p, scale * 0.7, seed, 3)
        q = Points(p.x + 1.3 * (bend - 0.5), p.y + 1.1 * bend, p.z - 0.9 * bend)
        broad = (fractal(q, scale, seed + 11, 4) - 0.5) / width
        thin = (fractal(q, scale * 2.1, seed + 23, 3) - 0.5) / (0.4 * width)
        return (torch.exp(-3 * broad**2) + 0.5 * torch.exp(-3 * thin**2)).clamp_max(1)

    return mask


def grain(scale: float, seed: int, axis: str = "y") -> Mask:
    """Wood: growth rings around a tilted, wobbling trunk axis, with fine fibres."""

    def mask(p: Points) -> Tensor:
        along = getattr(p, axis)
        a, b = (getattr(p, name) for name in "xyz" if name != axis)
        stretched = Points(a, b, along * 0.18)
        wobble = fractal(stretched, 1.6, seed, 3)
        radius = torch.sqrt((a + 0.9) ** 2 + (b + 0.55) ** 2) + 0.05 * along + 0.42 * wobble
        ring = torch.remainder(radius * scale, 1.0)
        fibres = noise(Points(a * 5, b * 5, along * 0.45), 4.0, seed + 5)
        return (ring**2.2 * 0.75 + 0.4 * (fibres - 0.35)).clamp(0, 1)

    return mask


def speckle(scale: float, seed: int, size: float = 0.22, share: float = 0.5) -> Mask:
    """Flecks of glaze: a spot in a `share` of random cells, of radius up to `size` cells."""

    def mask(p: Points) -> Tensor:
        first, _, tag = cells(p, scale, seed)
        radius = size * (0.45 + 0.55 * torch.remainder(tag * 17.0, 1.0))
        return torch.where(tag < share, step(radius - first, 0.12), torch.zeros_like(first))

    return mask


def terrazzo(ground: str, chips: tuple[str, ...], scale: float, seed: int) -> Paint:
    """Stone chips of several colours set in `ground`: Worley cells shrunk by their borders."""
    tones = torch.stack([colour(name).view(3) for name in chips])
    base = colour(ground)

    def paint(p: Points) -> Tensor:
        first, second, tag = cells(p, scale, seed)
        chip = tones[(tag * len(chips)).long().clamp_max(len(chips) - 1)].T
        share = step(second - first - 0.16 - 0.25 * torch.remainder(tag * 31.0, 1.0), 0.1)
        return base + (chip - base) * share

    return paint


def fade(low: float, high: float) -> Mask:
    """0 below the height `low`, 1 above `high`, smooth between: an ombré glaze."""

    def mask(p: Points) -> Tensor:
        t = ((p.y - low) / (high - low)).clamp(0, 1)
        return t * t * (3 - 2 * t)

    return mask


def dripped(level: float, swing: float, seed: int) -> Mask:
    """1 above a wavering line around `level`, with runs of glaze below it."""

    def mask(p: Points) -> Tensor:
        angle = torch.atan2(p.x, p.z)
        ring = Points(torch.cos(angle) * 1.3, torch.zeros_like(angle), torch.sin(angle) * 1.3)
        runs = noise(ring, 2.6, seed) ** 2 + 0.35 * noise(ring, 6.0, seed + 3)
        return step(p.y - (level - swing * runs), 0.02)

    return mask


def mottle(scale: float, seed: int, contrast: float = 1.0) -> Mask:
    """Cloudy variation, as in reactive glaze, patina or tanned hide."""
    return lambda p: ((fractal(p, scale, seed, 4) - 0.5) * 2.2 * contrast + 0.5).clamp(0, 1)


def pebbled(scale: float, seed: int) -> Mask:
    """Fine even bumps, as on hide or woven cloth; turned off the axes so that no lattice shows."""
    return lambda p: noise(p.turned_y(31).turned_x(47), scale, seed)


def either(*masks: Mask) -> Mask:
    """The stronger of several masks."""
    return lambda p: torch.stack([mask(p) for mask in masks]).amax(0)


def both(*masks: Mask) -> Mask:
    """The weaker of several masks."""
    return lambda p: torch.stack([mask(p) for mask in masks]).amin(0)


def inside(distance: Callable[[Points], Tensor]) -> Mask:
    """1 inside a distance function: paints a region of any shape."""
    return lambda p: step(-distance(p))
