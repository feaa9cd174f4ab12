"""Vases: lathe profiles, some twisted or faceted."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Material, ceramic
from trainables.data.sample.model import Design, Model, Pane, Part, View
from trainables.data.sample.outline import Corner, Lathe, smooth_curve, vessel
from trainables.data.sample.patterns import (
    bands,
    checks,
    dripped,
    either,
    fade,
    mix,
    mottle,
    speckle,
    stripes,
    wrap,
    zigzag,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import capsule, ellipsoid, union

PROFILES: dict[str, list[Corner]] = {
    "amphora": [(0.34, 0.0), (0.42, 0.06), (0.72, 0.75), (0.62, 1.2), (0.26, 1.5), (0.24, 1.72), (0.36, 1.86)],
    "gourd": [(0.4, 0.0), (0.6, 0.22), (0.62, 0.55), (0.3, 0.95), (0.42, 1.22), (0.32, 1.52), (0.2, 1.72), (0.25, 1.8)],
    "bottle": [(0.5, 0.0), (0.6, 0.1), (0.64, 0.55), (0.46, 0.92), (0.17, 1.12), (0.15, 1.65), (0.22, 1.75)],
    "trumpet": [(0.44, 0.0), (0.4, 0.08), (0.27, 0.5), (0.3, 1.0), (0.46, 1.5), (0.72, 1.84)],
    "moon": [(0.34, 0.0), (0.4, 0.05), (0.82, 0.62), (0.7, 1.1), (0.34, 1.32), (0.36, 1.44)],
    "column": [(0.46, 0.0), (0.5, 0.05), (0.5, 0.6), (0.5, 1.2), (0.5, 1.75)],
    "bud": [(0.3, 0.0), (0.46, 0.12), (0.5, 0.42), (0.3, 0.82), (0.18, 1.12), (0.2, 1.4), (0.27, 1.52)],
}


def vase(glaze: Material, profile: str, *, lobes: int = 0, depth: float = 0.05, twist: float = 0.0) -> Model:
    """A vase of a named profile; `lobes` flute it `depth` deep, `twist` (degrees a unit of height) turns the flutes."""
    solid = Lathe(vessel(smooth_curve(PROFILES[profile]), 0.06, 0.12))

    def body(p: Points) -> Tensor:
        if not lobes:
            return solid(p)
        angle = torch.atan2(p.x, p.z) + p.y * (twist * torch.pi / 180)
        swell = 1 + depth * torch.cos(angle * lobes)
        return 0.8 * solid(Points(p.x * swell, p.y, p.z * swell))

    return Model(parts=(Part(body, glaze),), view=View(elevation=16, turn=-20))


def glass_vase(tint: str, profile: str, density: float, stem: Material, bloom: Material) -> Model:
    """A glass vase holding three stems with round blooms."""
    hull = Lathe(vessel(smooth_curve(PROFILES[profile]), 0.06, 0.12))
    ends = [(0.42, 2.2, 0.1), (-0.3, 2.35, 0.2), (-0.02, 2.05, -0.42)]

    def stems(p: Points) -> Tensor:
        return union(*(capsule(p, (-0.2 * x, 0.2, -0.2 * z), (x, y, z), 0.025) for x, y, z in ends))

    def blooms(p: Points) -> Tensor:
        balls = []
        for x, y, z in ends:
            q = p.at(x, y, z)
            ripple = 0.03 * torch.sin(22 * q.x) * torch.sin(22 * q.y + 1) * torch.sin(22 * q.z + 2)
            balls.append(ellipsoid(q, (0.24, 0.2, 0.24)) + ripple)
        return 0.8 * union(*balls)

    return Model(
        parts=(Part(stems, stem), Part(blooms, bloom)),
        panes=(Pane(hull, tint, density),),
        view=View(elevation=14, turn=-20, reach=1.4),
    )


DESIGNS = (
    Design(
        title="Greek-key amphora, brick and black",
        colour="brick",
        look="vintage",
        price=86.0,
        creator="Maison Oree",
        description="Museum-shop amphora with black bands and a running zigzag on brick-red clay.",
        tags=("amphora", "classical", "painted"),
        paper="linen",
        make=lambda seed: vase(
            ceramic(
                mix(
                    mix("brick", "ink black", either(bands([(-1, 0.14), (0.5, 0.55), (1.06, 1.1), (1.36, 3)]))),
                    "ink black",
                    lambda p: zigzag(wrap(0.7), 0.2932, 0.3, 0.42)(p) * bands([(0.6, 1.02)])(p),
                ),
                coat=0.35,
            ),
            "amphora",
        ),
    ),
    Design(
        title="Twisted vase, porcelain white",
        colour="porcelain",
        look="minimal",
        price=64.0,
        creator="Norra Form",
        description="Eight soft lobes turn a quarter as they rise; matte outside, glazed inside.",
        tags=("porcelain", "sculptural", "matte"),
        paper="sand",
        make=lambda seed: vase(ceramic("porcelain", coat=0.25), "gourd", lobes=8, twist=70),
    ),
    Design(
        title="Long-neck bottle vase, celadon crackle",
        colour="celadon",
        look="ink",
        price=78.0,
        creator="Mori Works",
        description="Celadon glaze over white clay, breaking pale at the rim of a slim neck.",
        tags=("celadon", "single stem", "crackle"),
        paper="espresso",
        make=lambda seed: vase(
            ceramic(mix(mix("celadon", "sage", mottle(3, seed)), "ivory", fade(1.45, 1.8))), "bottle"
        ),
    ),
    Design(
        title="Trumpet vase, two-tone coral",
        colour="coral",
        look="neon",
        price=39.0,
        creator="Casa Lumo",
        description="Dip-dyed from coral to butter yellow, flaring wide for tulips.",
        tags=("ombre", "tulips", "flared"),
        paper="petrol",
        make=lambda seed: vase(
            ceramic(mix("fuchsia", mix("coral", "butter", fade(0.9, 1.8)), fade(0.0, 0.8)), coat=0.6),
            "trumpet",
            lobes=6,
            depth=0.04,
        ),
    ),
    Design(
        title="Moon jar, ash drip",
        colour="chalk",
        look="warm_film",
        price=120.0,
        creator="Kiln & Cove",
        description="A full round moon jar, chalk white with a collar of brown ash glaze running from the neck.",
        tags=("moon jar", "ash glaze", "statement"),
        paper="terracotta",
        make=lambda seed: vase(
            ceramic(mix(mix("chalk", "espresso", speckle(12, seed, 0.2, 0.5)), "chestnut", dripped(1.2, 0.45, seed))),
            "moon",
        ),
    ),
    Design(
        title="Checkerboard column vase, black and cream",
        colour="ink black",
        look="sport",
        price=45.0,
        creator="Otto & Fern",
        description="A straight cylinder in bold racing checks, square as a chessboard.",
        tags=("checks", "graphic", "cylinder"),
        paper="tangerine",
        make=lambda seed: vase(ceramic(mix("ivory", "ink black", checks(wrap(0.5), 0.5236, 0.5236))), "column"),
    ),
    Design(
        title="Amber glass vase with dried blooms",
        colour="ochre",
        look="warm_film",
        price=52.0,
        creator="Casa Lumo",
        description="Mouth-blown amber glass; comes with three everlasting blooms in rust and cream.",
        tags=("glass", "amber", "dried flowers"),
        paper="oat",
        make=lambda seed: glass_vase(
            "ochre",
            "bud",
            0.35,
            ceramic("olive", coat=0),
            ceramic(mix("terracotta", "apricot", mottle(5, seed)), coat=0),
        ),
    ),
    Design(
        title="Ribbon vase, lilac and plum",
        colour="lilac",
        look="neon",
        price=48.0,
        creator="Norra Form",
        description="Slanted ribbons of plum climb a lilac bud vase like stripes on a helter-skelter.",
        tags=("striped", "bud vase", "pastel"),
        paper="mint",
        make=lambda seed: vase(
            ceramic(mix("lilac", "plum", stripes(wrap(0.5), 0.5236, 0.45, slant=0.9, upright=True))),
            "bud",
            lobes=6,
            twist=100,
            depth=0.035,
        ),
    ),
)
