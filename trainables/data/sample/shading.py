"""How lit surfaces look: diffuse light, mirrored light, cloth sheen, bumps, and the film curve.

Dims: N points, colours C_3N.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.data.sample import studio
from trainables.data.sample.materials import Material
from trainables.data.sample.patterns import Mask
from trainables.data.sample.points import Points


@dataclass
class Surface:
    """Material values gathered at N hits: `base` C_3N, the others (N,)."""

    base: Tensor
    roughness: Tensor
    metallic: Tensor
    coat: Tensor
    sheen: Tensor
    glow: Tensor
    normal: Points


def bumped(bump: Mask, depth: float, p: Points, normal: Points, size: float) -> Points:
    """Normals tilted against the slope of a height field (Blinn 1978), by differences over `size`."""
    middle = bump(p)
    slope = Points(
        bump(Points(p.x + size, p.y, p.z)) - middle,
        bump(Points(p.x, p.y + size, p.z)) - middle,
        bump(Points(p.x, p.y, p.z + size)) - middle,
    ).scaled(depth / size)
    across = slope.along(normal, -slope.dot(normal))
    return normal.along(across, -1.0).unit()


def gather(materials: list[Material], owner: Tensor, p: Points, normal: Points, size: float) -> Surface:
    """Evaluate each point's own material; `p` and `normal` in the product's frame."""
    n = p.x.shape[0]
    base = torch.zeros(3, n)
    values = {name: torch.zeros(n) for name in ("roughness", "metallic", "coat", "sheen", "glow")}
    tilted = Points(*(c.clone() for c in normal))
    for index, material in enumerate(materials):
        mine = torch.nonzero(owner == index).view(-1)
        if not len(mine):
            continue
        q = p.only(mine)
        base[:, mine] = material.paint(q)
        for name, value in values.items():
            value[mine] = getattr(material, name)
        if material.bump is not None:
            rough = bumped(material.bump, material.bump_depth, q, normal.only(mine), size)
            for out, new in zip(tilted, rough, strict=True):
                out[mine] = new
    return Surface(base, normal=tilted, **values)


def environment_share(f0: Tensor, roughness: Tensor, facing: Tensor) -> Tensor:
    """Share of mirrored light: the analytic environment BRDF of Lazarov 2013 in Karis' mobile form."""
    r0, r1, r2, r3 = 1 - roughness, 0.0425 - 0.0275 * roughness, 1.04 - 0.572 * roughness, 0.022 * roughness - 0.04
    a004 = torch.minimum(r0 * r0, torch.exp2(-9.28 * facing)) * r0 + r1
    return f0 * (-1.04 * a004 + r2) + (1.04 * a004 + r3)


def multi_bounce(openness: Tensor, base: Tensor) -> Tensor:
    """Occlusion with light bounced between bright walls (Jimenez et al. 2016), C_3N."""
    a, b, c = 2.0404 * base - 0.3324, -4.7951 * base + 0.6417, 2.7552 * base + 0.6903
    return torch.maximum(openness.expand_as(base), ((openness * a + b) * openness + c) * openness)


def shade(
    s: Surface, view: Points, shadow: Tensor, openness: Tensor, mirror_open: Tensor, paper: Tensor, height: Tensor
) -> Tensor:
    """Light that leaves N points towards the camera, C_3N.

    `view`: unit directions to the camera, in the studio's frame like `s.normal`. `mirror_open`: share of the mirror
    direction not blocked by the product itself. `height`: height above the floor in product sizes.
    """
    normal = s.normal
    facing = normal.dot(view).clamp(0.02, 1)
    key = normal.dot(studio.direction(studio.KEY))
    wrapped = torch.where(s.sheen > 0, (key + 0.25) / 1.25, key).clamp_min(0)
    fill = ((normal.dot(studio.direction(studio.FILL)) + 0.3) / 1.3).clamp_min(0)
    rim = normal.dot(studio.direction(studio.RIM)).clamp_min(0)
    open_3 = multi_bounce(openness, s.base)
    sky = studio.SKY_COLOUR * (0.55 + 0.45 * normal.y)
    bounce = paper * 0.34 * (0.5 - 0.5 * normal.y) * (0.35 + 0.65 * (height / 0.5).clamp(0, 1))
    light = studio.KEY_COLOUR * (wrapped * shadow) + (studio.FILL_COLOUR * fill + sky) * open_3
    light = light + studio.RIM_COLOUR * (rim * openness) + bounce * (0.3 + 0.7 * open_3)
    body = s.base * (1 - s.metallic)
    out = body * light
    reflected = Points(*(2 * facing * n - v for n, v in zip(normal, view, strict=True)))
    hidden = (s.base * 0.22 + 0.03) * (0.4 + 0.6 * openness)

    def mirrored(roughness: Tensor) -> Tensor:
        return hidden + (studio.mirrored_light(reflected, roughness, paper) - hidden) * mirror_open

    f0 = 0.04 * (1 - s.metallic) + s.base * s.metallic
    out = out + mirrored(s.roughness) * environment_share(f0, s.roughness, facing)
    if (s.coat > 0).any():
        gloss = torch.full_like(s.roughness, 0.1)
        share = environment_share(torch.full_like(f0, 0.045), gloss, facing) * s.coat
        out = out * (1 - share) + mirrored(gloss) * share
    if (s.sheen > 0).any():
        fuzz = (1 - facing) ** 3 * s.sheen * (0.25 + 0.75 * openness)
        out = out + fuzz * (0.35 * s.base.sqrt() + 0.1) * (sky + studio.KEY_COLOUR * (0.3 + 0.3 * shadow))
    return out + s.base * s.glow


def film(linear: Tensor) -> Tensor:
    """Scene light to display light in [0, 1]: Khronos PBR Neutral tone mapping (2024), made for product colours."""
    start, desaturation = 0.8 - 0.04, 0.15
    low = linear.amin(0)
    offset = torch.where(low < 0.08, low - 6.25 * low * low, 0.04)
    c = linear - offset
    peak = c.amax(0)
    d = 1 - start
    squeezed = 1 - d * d / (peak + d - start)
    c2 = c * (squeezed / peak.clamp_min(1e-6))
    g = 1 - 1 / (desaturation * (peak - squeezed) + 1)
    bright = c2 + (squeezed - c2) * g
    return torch.where(peak < start, c, bright).clamp(0, 1)
