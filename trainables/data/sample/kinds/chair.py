"""Chairs: a seat, a back and four legs, in wood, metal, plastic and cloth."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Material, fabric, lacquer, leather, metal, plastic, wood
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.patterns import (
    around_box,
    checks,
    mix,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    arc,
    box,
    capsule,
    cylinder,
    ellipsoid,
    rod,
    smooth_union,
    torus,
    union,
)

SEAT = 0.92
"""Height of the seat, model units."""


def _legs(p: Points, spread: float, thick: float, thin: float) -> Tensor:
    q = Points(p.x.abs(), p.y, p.z.abs())
    return rod(q, (0.36, SEAT - 0.05, 0.36), (0.36 + spread, 0.02, 0.36 + spread), thick, thin)


def spindle(frame: Material, seat: Material) -> Model:
    """A spindle-back kitchen chair with a saddle seat and turned stretchers."""

    def timber(p: Points) -> Tensor:
        back = p.at(y=SEAT, z=-0.42).turned_x(10)
        hoop = torch.minimum(
            arc(Points(back.x, (back.y - 0.55) / 1.0, back.z), 0.42, 0.045, 90),
            capsule(back.mirrored_x(), (0.42, 0, 0), (0.42, 0.55, 0), 0.045),
        )
        spindles = union(
            *(
                capsule(back, (x, 0, 0), (x, (0.9 if abs(x) < 0.1 else 0.86), 0), 0.026)
                for x in (-0.24, -0.12, 0.0, 0.12, 0.24)
            )
        )
        bars = union(
            capsule(p.mirrored_x(), (0.42, 0.4, -0.42), (0.42, 0.4, 0.42), 0.03),
            capsule(p, (-0.42, 0.4, 0), (0.42, 0.4, 0), 0.03),
        )
        return union(_legs(p, 0.1, 0.055, 0.04), hoop, spindles, bars)

    def saddle(p: Points) -> Tensor:
        slab = box(p.at(y=SEAT), (0.52, 0.06, 0.5), 0.055)
        return smooth_union(slab, slab, 0.01) + 0.03 * torch.exp(-6 * (p.x**2 + (p.z + 0.05) ** 2)) * (p.y > SEAT)

    return Model(parts=(Part(timber, frame), Part(saddle, seat)), view=View(elevation=17, turn=-35, reach=1.2))


def bucket(shell_of: Material, legs: Material, *, pad: Material | None = None) -> Model:
    """A moulded one-piece seat shell on tapered legs."""

    def hull(p: Points) -> Tensor:
        outer = ellipsoid(p.at(y=SEAT + 0.5, z=-0.02), (0.62, 0.62, 0.56))
        inner = ellipsoid(p.at(y=SEAT + 0.62, z=0.1), (0.56, 0.66, 0.56))
        front_cut = p.y - (SEAT + 0.22) - 0.9 * (-(p.z - 0.22)).clamp_min(0)
        bowl = torch.maximum(torch.maximum(outer, -inner), torch.minimum(front_cut, p.y - SEAT - 0.95))
        return 0.8 * torch.maximum(bowl, p.y - SEAT - 0.86)

    def feet(p: Points) -> Tensor:
        q = Points(p.x.abs(), p.y, p.z.abs())
        return union(
            rod(q, (0.16, SEAT, 0.14), (0.46, 0.02, 0.42), 0.055, 0.035),
            capsule(q, (0.0, SEAT * 0.75, 0.0), (0.26, SEAT * 0.62, 0.24), 0.016),
        )

    parts = [Part(hull, shell_of), Part(feet, legs)]
    if pad:
        parts.append(Part(lambda p: ellipsoid(p.at(y=SEAT + 0.02, z=0.08), (0.42, 0.08, 0.38)), pad))
    return Model(parts=tuple(parts), view=View(elevation=18, turn=-35, reach=1.2))


def armchair(cloth: Material, feet: Material, *, cushion: Material | None = None, wing: float = 0.0) -> Model:
    """An upholstered armchair; `wing` raises ears at the sides of its back."""

    def seat(p: Points) -> Tensor:
        base = box(p.at(y=0.42), (0.62, 0.2, 0.58), 0.1)
        arms = box(p.mirrored_x().at(x=0.66, y=0.56), (0.15, 0.36, 0.56), 0.13)
        back = box(p.at(y=0.92, z=-0.5).turned_x(8), (0.7, 0.66 + wing, 0.16), 0.14)
        ears = box(p.mirrored_x().at(x=0.64, y=1.2, z=-0.26), (0.09, 0.3, 0.24), 0.08) if wing else back
        return smooth_union(smooth_union(base, arms, 0.05), union(back, ears), 0.06)

    def pillow(p: Points) -> Tensor:
        return box(p.at(y=0.66, z=0.06), (0.49, 0.13, 0.5), 0.11)

    def pegs(p: Points) -> Tensor:
        return rod(Points(p.x.abs(), p.y, p.z.abs()), (0.5, 0.28, 0.44), (0.58, 0.02, 0.5), 0.06, 0.035)

    return Model(
        parts=(Part(seat, cloth), Part(pillow, cushion or cloth), Part(pegs, feet)),
        view=View(elevation=18, turn=-32, reach=1.3),
    )


def stool(top: Material, frame: Material) -> Model:
    """A bar stool: round padded seat, four legs and a foot ring."""

    def tube(p: Points) -> Tensor:
        q = Points(p.x.abs(), p.y, p.z.abs())
        return union(rod(q, (0.2, 1.45, 0.2), (0.36, 0.03, 0.36), 0.04, 0.035), torus(p.at(y=0.5), 0.46, 0.026))

    return Model(
        parts=(Part(lambda p: cylinder(p.at(y=1.52), 0.46, 0.1, 0.085), top), Part(tube, frame)),
        view=View(elevation=16, turn=-30, reach=1.2),
    )


DESIGNS = (
    Design(
        title="Spindle-back kitchen chair, natural oak",
        colour="oak",
        look="warm_film",
        price=179.0,
        creator="Fjell",
        description="Solid oak with a scooped saddle seat and five steam-bent spindles.",
        tags=("oak", "dining", "solid wood"),
        paper="powder",
        make=lambda seed: spindle(wood("maple", "oak", seed, "y", 4), wood("maple", "oak", seed, "x", 4)),
    ),
    Design(
        title="Bucket chair, tangerine shell",
        colour="tangerine",
        look="vintage",
        price=119.0,
        creator="Norra Form",
        description="A one-piece shell in sixties tangerine on splayed birch legs.",
        tags=("mid-century", "shell", "stackable"),
        paper="teal",
        make=lambda seed: bucket(plastic("tangerine", 0.4, 0.35), wood("birch", "oak", seed)),
    ),
    Design(
        title="Velvet armchair, peacock teal",
        colour="teal",
        look="neon",
        price=420.0,
        creator="Velour House",
        description="Deep-cushioned armchair in teal velvet with little brass-coloured feet.",
        tags=("velvet", "lounge", "deep seat"),
        paper="apricot",
        make=lambda seed: armchair(fabric("teal", seed, 1.0, 0.0), metal("brass", 0.2)),
    ),
    Design(
        title="Wing chair, houndstooth grey",
        colour="ash",
        look="ink",
        price=510.0,
        creator="Velour House",
        description="High wings in grey woven checks; the sort of chair in which one finishes a Russian novel.",
        tags=("wing chair", "wool", "reading"),
        paper="oat",
        make=lambda seed: armchair(
            fabric(mix("chalk", "graphite", checks(around_box, 0.2, 0.2)), seed, 0.4),
            wood("espresso", "soot", seed),
            cushion=fabric("ash", seed, 0.4),
            wing=0.12,
        ),
    ),
    Design(
        title="Bar stool, oxblood leather",
        colour="oxblood",
        look="vintage",
        price=145.0,
        creator="Maison Oree",
        description="Oxblood leather pad on blackened steel, at the height of a proper bar.",
        tags=("bar", "leather", "steel"),
        paper="celadon",
        make=lambda seed: stool(leather("oxblood", seed, 0.5), metal("gunmetal", 0.35)),
    ),
    Design(
        title="Bucket chair, white with wool pad",
        colour="snow",
        look="minimal",
        price=139.0,
        creator="Norra Form",
        description="White shell, black steel rods, one round felt pad: all a meeting room needs.",
        tags=("white", "felt", "office"),
        paper="sand",
        make=lambda seed: bucket(plastic("snow", 0.45, 0.2), metal("gunmetal", 0.3), pad=fabric("ash", seed)),
    ),
    Design(
        title="Track-stripe armchair, navy and scarlet",
        colour="navy",
        look="sport",
        price=365.0,
        creator="Kestrel",
        description="Canvas armchair with a racing stripe running over back and seat.",
        tags=("canvas", "striped", "den"),
        paper="fog",
        make=lambda seed: armchair(
            fabric(
                mix(
                    "navy",
                    mix("scarlet", "snow", lambda p: (p.x.abs() < 0.07).float()),
                    lambda p: (p.x.abs() < 0.2).float(),
                ),
                seed,
                0.3,
            ),
            wood("walnut", "espresso", seed),
        ),
    ),
    Design(
        title="Painted spindle chair, mint",
        colour="mint",
        look="minimal",
        price=159.0,
        creator="Fjell",
        description="Mint lacquer frame with a natural birch seat, light enough for a balcony.",
        tags=("painted", "balcony", "light"),
        paper="coral",
        make=lambda seed: spindle(lacquer("mint"), wood("birch", "oak", seed, "x", 4)),
    ),
)
