"""Handbags: totes, satchels, bucket bags and evening clutches."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Material, fabric, lacquer, leather, metal
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.outline import Lathe, Plate, rounded, smooth_curve
from trainables.data.sample.patterns import (
    around_box,
    diamonds,
    dots,
    front,
    gingham,
    mix,
    stripes,
    wrap,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    arc,
    box,
    capsule,
    cylinder,
    sphere,
    torus,
    torus_x,
    torus_z,
    union,
)


def satchel(
    hide: Material,
    flap: Material,
    fittings: Material,
    *,
    wide: float = 0.82,
    tall: float = 0.92,
    handle: Material | None = None,
    drop: float = 0.55,
    clasp: str = "bar",
) -> Model:
    """A structured bag that tapers upwards, with a front flap of length `drop`, a clasp and a top handle."""
    body = Plate(
        rounded([(-wide, 0.02), (wide, 0.02), (wide * 0.86, tall), (-wide * 0.86, tall)], 0.16), "xy", 0.3, 0.07
    )
    lid = Plate(
        rounded(
            [
                (-wide * 0.9, tall - drop),
                (wide * 0.9, tall - drop),
                (wide * 0.88, tall + 0.03),
                (-wide * 0.88, tall + 0.03),
            ],
            0.2,
        ),
        "xy",
        0.345,
        0.05,
    )

    def wedge(p: Points) -> Points:
        # Thinner at the top than at the bottom.
        return Points(p.x, p.y, p.z * (1 + 0.35 * (p.y / tall).clamp(0, 1.1)))

    def front_flap(p: Points) -> Tensor:
        return 0.8 * torch.maximum(lid(wedge(p)), torch.minimum(-p.z, (tall - 0.06) - p.y))

    def grip(p: Points) -> Tensor:
        return arc(p.at(y=tall - 0.06), 0.4, 0.045, 86)

    def metalwork(p: Points) -> Tensor:
        depth = 0.345 / (1 + 0.35 * (tall - drop + 0.14) / tall)
        q = p.at(y=tall - drop + 0.13, z=depth)
        lock = {
            "bar": lambda: box(q, (0.14, 0.045, 0.035), 0.02),
            "ring": lambda: torus_z(q, 0.09, 0.028),
            "knob": lambda: sphere(q, 0.07),
        }[clasp]()
        return union(lock, torus_x(p.mirrored_x().at(x=0.4, y=tall - 0.02), 0.07, 0.022))

    return Model(
        parts=(
            Part(lambda p: 0.8 * body(wedge(p)), hide),
            Part(front_flap, flap),
            Part(grip, handle or flap),
            Part(metalwork, fittings),
        ),
        view=View(elevation=15, turn=-28),
    )


def tote(cloth: Material, straps: Material, *, wide: float = 0.72, tall: float = 1.05, drop: float = 0.42) -> Model:
    """An open tote with two shoulder straps."""

    def bag(p: Points) -> Tensor:
        swell = 0.3 - 0.1 * (p.y / tall).clamp(0, 1)
        outer = box(Points(p.x, p.y - tall / 2, p.z * (0.3 / swell)), (wide, tall / 2, 0.3), 0.08)
        hollow = box(Points(p.x, p.y - tall / 2 - 0.2, p.z), (wide - 0.06, tall / 2, 0.17), 0.05)
        return 0.7 * torch.maximum(outer, -hollow)

    def loops(p: Points) -> Tensor:
        q = p.mirrored_z().at(y=tall - 0.1, z=0.2)
        hoop = arc(Points(q.x, q.y / 1.35, q.z), drop, 0.04, 90)
        tabs = box(q.mirrored_x().at(x=drop, y=-0.1), (0.055, 0.16, 0.035), 0.02)
        return union(hoop, tabs)

    return Model(parts=(Part(bag, cloth), Part(loops, straps)), view=View(elevation=15, turn=-28))


def bucket(hide: Material, trim: Material, fittings: Material) -> Model:
    """A round drawstring bag gathered below its rim, with a shoulder strap."""
    hull = Lathe(
        [
            *smooth_curve([(0.0, 0.0), (0.5, 0.0), (0.58, 0.06), (0.56, 0.5), (0.44, 0.84), (0.5, 1.0)]),
            (0.44, 1.0),
            (0.4, 0.86),
            (0.0, 0.86),
        ]
    )

    def bag(p: Points) -> Tensor:
        folds = 1 + 0.05 * torch.cos(torch.atan2(p.x, p.z) * 11) * ((p.y - 0.45) / 0.5).clamp(0, 1)
        return 0.8 * hull(Points(p.x * folds, p.y, p.z * folds))

    def cords(p: Points) -> Tensor:
        ring = torus(p.at(y=0.84), 0.46, 0.035)
        tassels = capsule(p.mirrored_x(), (0.06, 0.84, 0.48), (0.1, 0.5, 0.57), 0.03)
        strap = arc(Points(p.x, (p.y - 0.86) / 1.25, p.z), 0.47, 0.035, 90)
        return union(ring, tassels, strap, cylinder(p.at(y=0.05), 0.59, 0.06, 0.03))

    def ends(p: Points) -> Tensor:
        return union(
            sphere(p.mirrored_x().at(0.1, 0.47, 0.58), 0.05), torus_x(p.mirrored_x().at(x=0.48, y=0.86), 0.08, 0.025)
        )

    return Model(parts=(Part(bag, hide), Part(cords, trim), Part(ends, fittings)), view=View(elevation=16, turn=-20))


DESIGNS = (
    Design(
        title="Saddle satchel, cognac leather",
        colour="cognac",
        look="warm_film",
        price=240.0,
        creator="Bramble",
        description="Vegetable-tanned cognac hide with a long flap and a brass bar clasp; darkens with wear.",
        tags=("leather", "satchel", "everyday"),
        paper="powder",
        make=lambda seed: satchel(leather("cognac", seed), leather("cognac", seed + 1), metal("brass", 0.2)),
    ),
    Design(
        title="Quilted flap bag, ink black",
        colour="ink black",
        look="ink",
        price=310.0,
        creator="Maison Oree",
        description="Diamond-quilted lambskin in black with a gilt ring; dinner to last train.",
        tags=("quilted", "evening", "gold hardware"),
        paper="blush",
        make=lambda seed: satchel(
            Material(
                paint=mix("graphite", "ink black", diamonds(around_box, 0.24, 0.24, 0.03)), roughness=0.4, coat=0.5
            ),
            Material(
                paint=mix("graphite", "ink black", diamonds(around_box, 0.24, 0.24, 0.03)), roughness=0.4, coat=0.5
            ),
            metal("gold", 0.15),
            wide=0.86,
            tall=0.74,
            drop=0.46,
            clasp="ring",
        ),
    ),
    Design(
        title="Breton canvas tote, navy stripe",
        colour="navy",
        look="sport",
        price=48.0,
        creator="Saltline",
        description="Heavy sailcloth with navy stripes and rope-coloured straps; swallows a weekend.",
        tags=("canvas", "striped", "beach"),
        paper="butter",
        make=lambda seed: tote(fabric(mix("linen", "navy", stripes(front, 0.2, 0.4)), seed), leather("tan", seed)),
    ),
    Design(
        title="Bucket bag, blush suede",
        colour="blush",
        look="minimal",
        price=195.0,
        creator="Velour House",
        description="Soft blush suede drawn in by a tan cord, with little gold ends.",
        tags=("suede", "drawstring", "soft"),
        paper="sage",
        make=lambda seed: bucket(fabric("blush", seed, 0.7, 0.003), leather("tan", seed), metal("gold", 0.2)),
    ),
    Design(
        title="Patent mini bag, fuchsia",
        colour="fuchsia",
        look="neon",
        price=130.0,
        creator="Ludo Lab",
        description="A tiny top-handle bag in mirror-gloss fuchsia with a lemon handle.",
        tags=("patent", "mini", "party"),
        paper="aqua",
        make=lambda seed: satchel(
            lacquer("fuchsia"),
            lacquer("peony"),
            metal("silver", 0.1),
            wide=0.66,
            tall=0.7,
            handle=lacquer("lemon"),
            drop=0.34,
            clasp="knob",
        ),
    ),
    Design(
        title="Gingham picnic tote, scarlet",
        colour="scarlet",
        look="vintage",
        price=39.0,
        creator="Otto & Fern",
        description="Red gingham cotton with cream handles, made for farmers' markets and fresh bread.",
        tags=("gingham", "cotton", "market"),
        paper="mint",
        make=lambda seed: tote(
            fabric(mix("snow", "scarlet", gingham(around_box, 0.24)), seed), fabric("ivory", seed), tall=0.95
        ),
    ),
    Design(
        title="Two-tone doctor bag, forest and tan",
        colour="forest",
        look="vintage",
        price=275.0,
        creator="Bramble",
        description="Forest-green body under a tan flap, a ring clasp, and room for a stethoscope.",
        tags=("two-tone", "work", "structured"),
        paper="sand",
        make=lambda seed: satchel(
            leather("forest", seed),
            leather("tan", seed),
            metal("brass", 0.2),
            wide=0.8,
            tall=0.98,
            drop=0.36,
            clasp="ring",
        ),
    ),
    Design(
        title="Polka bucket bag, cobalt",
        colour="cobalt",
        look="sport",
        price=88.0,
        creator="Ludo Lab",
        description="Water-repellent cobalt nylon with white dots and a bright orange cord.",
        tags=("nylon", "dots", "drawstring"),
        paper="apricot",
        make=lambda seed: bucket(
            fabric(mix("cobalt", "snow", dots(wrap(0.55), 0.16, 0.045, 18, 0.55)), seed, 0.3, 0.002),
            lacquer("tangerine"),
            metal("steel", 0.2),
        ),
    ),
)
