"""Headphones standing on their ear cups."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Material, fabric, lacquer, leather, metal, plastic, wood
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.patterns import Mask, dots, marble, mix, side, step, stripes
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    arc,
    capsule,
    disc_x,
    ellipsoid,
    length,
    smooth_union,
    torus_x,
    union,
)

CUP_Y = 0.46
"""Height of the middle of the ear cups."""


def ringed(inner: float, outer: float) -> Mask:
    """A ring on the outside of the cups."""
    return lambda p: step(length(p.y - CUP_Y, p.z) - inner) * step(outer - length(p.y - CUP_Y, p.z))


def headphones(
    cup: Material,
    pad: Material,
    band: Material,
    *,
    cap: Material | None = None,
    oval: bool = False,
    slim: bool = False,
    padded: bool = True,
    fork: Material | None = None,
) -> Model:
    """Over-ear headphones; `oval` cups, a `slim` band, `cap` discs on the cups, `fork` holds them."""
    tall = 1.22 if oval else 1.0

    def ear(p: Points) -> Points:
        q = p.mirrored_x().at(x=0.66, y=CUP_Y * (1.08 if oval else 1.0)).turned_z(7)
        return Points(q.x, q.y / tall, q.z)

    def shells(p: Points) -> Tensor:
        q = ear(p)
        return 0.85 * smooth_union(
            disc_x(q.at(x=0.08), 0.38, 0.1, 0.06), ellipsoid(q.at(x=0.14), (0.1, 0.32, 0.32)), 0.05
        )

    def cushions(p: Points) -> Tensor:
        return 0.85 * torus_x(Points(ear(p).x * 0.85 + 0.06, ear(p).y, ear(p).z), 0.28, 0.115)

    def hoop(p: Points) -> Tensor:
        q = p.at(y=0.86)
        flat = Points(q.x, q.y, q.z * (0.55 if slim else 0.36))
        return 0.7 * arc(flat, 0.74, 0.035 if slim else 0.045, 88)

    def inner(p: Points) -> Tensor:
        q = p.at(y=0.86)
        return 0.6 * arc(Points(q.x, q.y, q.z * 0.42), 0.665, 0.05, 42)

    def arms(p: Points) -> Tensor:
        q = p.mirrored_x()
        yoke = torch.maximum(torus_x(Points(ear(p).x - 0.06, ear(p).y, ear(p).z), 0.42, 0.03), -(ear(p).y + 0.02))
        return 0.85 * union(capsule(q, (0.745, 0.9, 0), (0.735, CUP_Y + 0.4 * tall, 0), 0.035), yoke)

    parts = [Part(shells, cup), Part(cushions, pad), Part(hoop, band), Part(arms, fork or metal("steel", 0.25))]
    if padded:
        parts.append(Part(inner, pad))
    if cap:
        parts.append(Part(lambda p: disc_x(ear(p).at(x=0.22), 0.22, 0.03, 0.015), cap))
    return Model(parts=tuple(parts), view=View(elevation=14, turn=-32, reach=1.05))


DESIGNS = (
    Design(
        title="Studio headphones, matte black",
        colour="soot",
        look="ink",
        price=189.0,
        creator="Halden Audio",
        description="Closed-back monitors in matte black with one thin silver ring a side.",
        tags=("studio", "closed back", "wired"),
        paper="ash",
        make=lambda seed: headphones(
            plastic(mix("soot", "silver", ringed(0.25, 0.285)), 0.5, 0.1),
            leather("soot", seed, 0.2),
            plastic("soot", 0.5),
            fork=metal("gunmetal", 0.3),
        ),
    ),
    Design(
        title="Wireless headphones, cream and rose gold",
        colour="ivory",
        look="minimal",
        price=249.0,
        creator="Halden Audio",
        description="Cream cups with rose-gold caps and cushions like warm bread. Thirty hours a charge.",
        tags=("wireless", "noise cancelling", "rose gold"),
        paper="blush",
        make=lambda seed: headphones(
            plastic("ivory", 0.4, 0.3),
            leather("oat", seed, 0.2),
            plastic("ivory"),
            cap=metal("rose gold", 0.15),
            oval=True,
            fork=metal("rose gold", 0.2),
        ),
    ),
    Design(
        title="Walnut open-back headphones",
        colour="walnut",
        look="warm_film",
        price=420.0,
        creator="Mori Works",
        description="Cups turned from solid walnut, brass forks, a saddle-leather band.",
        tags=("walnut", "open back", "hi-fi"),
        paper="sand",
        make=lambda seed: headphones(
            wood("teak", "espresso", seed, "x", 6, 0.5),
            leather("espresso", seed),
            leather("cognac", seed),
            slim=True,
            fork=metal("brass", 0.2),
        ),
    ),
    Design(
        title="DJ headphones, neon fuchsia",
        colour="fuchsia",
        look="neon",
        price=129.0,
        creator="Ludo Lab",
        description="Fuchsia shells with cyan rings and a band that survives being thrown in a crate.",
        tags=("dj", "foldable", "loud"),
        paper="lagoon",
        make=lambda seed: headphones(
            lacquer(mix("fuchsia", "lemon", ringed(0.2, 0.29))),
            leather("ink black", seed),
            lacquer("fuchsia"),
            fork=lacquer("ink black"),
            cap=lacquer("ink black"),
        ),
    ),
    Design(
        title="Sport headphones, tangerine and slate",
        colour="tangerine",
        look="sport",
        price=99.0,
        creator="Kestrel",
        description="Sweat-proof pads, slate band, tangerine racing stripes down the cups.",
        tags=("sport", "washable pads", "wireless"),
        paper="powder",
        make=lambda seed: headphones(
            plastic(mix("slate", "tangerine", stripes(side, 0.16, 0.5, 0.0, upright=True))),
            fabric("tangerine", seed, 0.3, 0.002),
            plastic("slate"),
            oval=True,
        ),
    ),
    Design(
        title="Seventies headphones, mustard foam",
        colour="mustard",
        look="vintage",
        price=79.0,
        creator="Otto & Fern",
        description="Thin chrome band and round mustard foam, exactly like the ones in the record shop in 1978.",
        tags=("retro", "on-ear", "chrome"),
        paper="teal",
        make=lambda seed: headphones(
            plastic(mix("espresso", "silver", ringed(0.12, 0.2))),
            fabric("mustard", seed, 0.3, 0.008),
            metal("silver", 0.12),
            slim=True,
            padded=False,
        ),
    ),
    Design(
        title="Kids' headphones, mint polka",
        colour="mint",
        look="sport",
        price=45.0,
        creator="Ludo Lab",
        description="Volume-limited, mint with white dots, a band that bends flat and springs back.",
        tags=("kids", "volume limited", "dots"),
        paper="apricot",
        make=lambda seed: headphones(
            plastic(mix("mint", "snow", dots(lambda p: (p.z, p.y - CUP_Y), 0.15, 0.045))),
            fabric("peony", seed, 0.4, 0.0),
            plastic("mint"),
            fork=plastic("peony"),
        ),
    ),
    Design(
        title="Marble-cap headphones, porcelain",
        colour="porcelain",
        look="minimal",
        price=215.0,
        creator="Norra Form",
        description="White porcelain-look shells with veined caps and a brushed steel arc.",
        tags=("marble", "wireless", "design"),
        paper="slate",
        make=lambda seed: headphones(
            plastic(mix("porcelain", "slate", marble(2.2, seed, 0.06)), 0.3, 0.6),
            leather("chalk", seed, 0.2),
            metal("steel", 0.3),
            slim=True,
        ),
    ),
)
