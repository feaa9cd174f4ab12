"""Wristwatches on an invisible wrist, the dial tilted towards the camera."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainables.data.sample.materials import Look, Material, fabric, lacquer, leather, metal, plastic
from trainables.data.sample.model import Design, Model, Pane, Part, View
from trainables.data.sample.patterns import Mask, Paint, either, letters, mix, step
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import box, capsule, disc_x, disc_z, length, torus_z, union

FRONT = 0.50
"""Distance of the dial from the wrist's axis."""


def worn(p: Points) -> Points:
    """The watch's own frame: z out of the dial, the wrist's axis along x through the origin."""
    return p.at(y=0.66).turned_x(-24)


def ticks(inner: float, outer: float, count: int = 12, width: float = 0.022) -> Mask:
    """Radial index marks of a dial."""

    def mask(p: Points) -> Tensor:
        q = worn(p)
        radius, angle = length(q.x, q.y), torch.atan2(q.x, q.y) * (count / (2 * math.pi))
        off = (angle - torch.round(angle)).abs() * (2 * math.pi / count) * radius
        return step(width - off) * step(radius - inner) * step(outer - radius)

    return mask


def ring_mark(radius: float, width: float) -> Mask:
    """A circle on the dial."""
    return lambda p: step(width / 2 - (length(worn(p).x, worn(p).y) - radius).abs())


def dial(ground: Look, marks: Look, inner: float = 0.27, rim: bool = False) -> Paint:
    """A dial with twelve indices and a minute ring."""
    mask = either(ticks(inner, 0.345), ring_mark(0.37, 0.015)) if rim else ticks(inner, 0.345)
    return mix(ground, marks, mask)


def links(p: Points) -> tuple[Tensor, Tensor]:
    """Around the strap: u along x, v the arc around the wrist."""
    q = worn(p)
    return q.x, torch.atan2(q.y, q.z) * 0.55


def _strap(p: Points, width: float, thick: float, knobbly: float) -> Tensor:
    q = worn(p)
    oval = length(q.y, (q.z + 0.06) * 1.12) - 0.56
    taper = width - 0.07 * (0.5 - q.z).clamp(0, 1)
    ripple = knobbly * torch.cos(torch.atan2(q.y, q.z) * 34)
    across, around = q.x.abs() - taper, oval.abs() - thick + ripple
    return 0.85 * (
        torch.maximum(across, around).clamp_max(0) + length(across.clamp_min(0), around.clamp_min(0)) - 0.012
    )


def watch(
    strap: Material,
    case: Material,
    face: Look,
    *,
    hands: Look = "soot",
    second: Look | None = None,
    radius: float = 0.42,
    square: bool = False,
    linked: bool = False,
    bezel: Material | None = None,
    subdials: Look | None = None,
) -> Model:
    """An analogue watch, round or `square`; `linked` gives the strap metal links."""

    def body(p: Points) -> Tensor:
        q = worn(p).at(z=FRONT)
        hull = box(q, (radius * 0.92, radius * 0.92, 0.09), 0.07) if square else disc_z(q, radius, 0.09, 0.03)
        hollow = (
            box(q.at(z=0.1), (radius * 0.8, radius * 0.8, 0.06), 0.05)
            if square
            else disc_z(q.at(z=0.1), radius * 0.86, 0.06)
        )
        lugs = box(Points(q.x.abs() - 0.21, q.y.abs() - radius, q.z + 0.05), (0.04, 0.1, 0.05), 0.025)
        return union(torch.maximum(hull, -hollow), lugs)

    def crown(p: Points) -> Tensor:
        q = worn(p).at(x=radius + 0.045, z=FRONT)
        return disc_x(q, 0.055, 0.045, 0.015)

    def plate(p: Points) -> Tensor:
        q = worn(p).at(z=FRONT + 0.03)
        return box(q, (radius * 0.82, radius * 0.82, 0.012), 0.0) if square else disc_z(q, radius * 0.88, 0.012)

    def pointers(p: Points) -> Tensor:
        q = worn(p).at(z=FRONT + 0.055)
        return union(
            capsule(q, (0, -0.04, 0), (-0.13, 0.11, 0), 0.02),
            capsule(q, (0, -0.05, 0), (0.15, 0.22, 0), 0.015),
            disc_z(q, 0.03, 0.015),
        )

    parts = [
        Part(lambda p: _strap(p, 0.2, 0.032, 0.008 if linked else 0.0), strap),
        Part(body, case),
        Part(crown, case),
        Part(plate, Material(paint=face if callable(face) else dial(face, hands), roughness=0.5, coat=0.2)),
        Part(pointers, metal("silver", 0.2) if hands == "silver" else plastic(hands)),
    ]
    if second:
        parts.append(
            Part(
                lambda p: capsule(worn(p).at(z=FRONT + 0.075), (-0.05, 0.1, 0), (0.12, -0.24, 0), 0.009),
                plastic(second),
            )
        )
    if bezel:
        parts.append(Part(lambda p: torus_z(worn(p).at(z=FRONT + 0.085), radius * 0.93, 0.036), bezel))
    if subdials:
        parts.append(
            Part(
                lambda p: union(
                    *(
                        torus_z(worn(p).at(x, y, FRONT + 0.045), 0.085, 0.012)
                        for x, y in ((-0.17, -0.02), (0.17, -0.02), (0, -0.19))
                    )
                ),
                plastic(subdials),
            )
        )

    def crystal(p: Points) -> Tensor:
        q = worn(p).at(z=FRONT + 0.1)
        return box(q, (radius * 0.8, radius * 0.8, 0.01), 0.0) if square else disc_z(q, radius * 0.86, 0.01)

    return Model(
        parts=tuple(parts),
        panes=(Pane(crystal, "snow", 0.02),),
        view=View(elevation=20, turn=-26, reach=1.0),
    )


def digital(strap: Material, case: Look, screen: Look, digits: Look, seed: int) -> Model:
    """A chunky digital watch with a lit display."""

    def body(p: Points) -> Tensor:
        q = worn(p).at(z=FRONT)
        pushers = box(Points(q.x.abs() - 0.43, q.y.abs() - 0.18, q.z), (0.05, 0.07, 0.05), 0.02)
        return union(box(q, (0.42, 0.38, 0.13), 0.1), pushers)

    def glass(p: Points) -> Tensor:
        return box(worn(p).at(z=FRONT + 0.11), (0.31, 0.22, 0.035), 0.03)

    shown = mix(screen, digits, letters(lambda p: (worn(p).x + 0.25, worn(p).y), 0.2, -0.1, seed))
    lit = Material(paint=shown, roughness=0.3, coat=0.6, glow=0.35)
    return Model(
        parts=(
            Part(lambda p: _strap(p, 0.24, 0.036, 0.006), strap),
            Part(body, plastic(case, 0.4, 0.3)),
            Part(glass, lit),
        ),
        view=View(elevation=20, turn=-26, reach=1.0),
    )


DESIGNS = (
    Design(
        title="Dress watch, cream dial on cognac strap",
        colour="cognac",
        look="warm_film",
        price=245.0,
        creator="Halden",
        description="A thin gold case, cream dial and cognac calf strap: the watch one inherits.",
        tags=("dress", "leather strap", "gold tone"),
        paper="petrol",
        make=lambda seed: watch(leather("cognac", seed), metal("gold", 0.15), "ivory", hands="espresso"),
    ),
    Design(
        title="Dive watch, steel with navy bezel",
        colour="navy",
        look="sport",
        price=389.0,
        creator="Tidewater",
        description="Steel bracelet, navy dial, chunky bezel; reads clearly thirty metres down.",
        tags=("diver", "steel bracelet", "200 m"),
        paper="aqua",
        make=lambda seed: watch(
            metal("steel", 0.3),
            metal("silver", 0.2),
            "navy",
            hands="snow",
            second="tangerine",
            linked=True,
            bezel=lacquer("navy"),
        ),
    ),
    Design(
        title="Minimal watch, white dial on ash strap",
        colour="porcelain",
        look="minimal",
        price=149.0,
        creator="Norra Form",
        description="Twelve hair-thin marks, two hands, one soft grey strap.",
        tags=("minimal", "slim", "quartz"),
        paper="blush",
        make=lambda seed: watch(
            leather("ash", seed, 0.2), metal("silver", 0.12), dial("porcelain", "soot", 0.3), hands="soot", radius=0.4
        ),
    ),
    Design(
        title="Chronograph, black and gold",
        colour="ink black",
        look="ink",
        price=320.0,
        creator="Halden",
        description="Black case, black bracelet and three gold-ringed counters under domed glass.",
        tags=("chronograph", "black", "gold"),
        paper="ash",
        make=lambda seed: watch(
            metal("gunmetal", 0.35),
            metal("gunmetal", 0.25),
            dial("soot", "gold"),
            hands="gold",
            linked=True,
            subdials="gold",
            bezel=metal("gold", 0.15),
        ),
    ),
    Design(
        title="Digital sports watch, neon lime",
        colour="lime",
        look="neon",
        price=59.0,
        creator="Kestrel",
        description="Square-shouldered digital with a lime case and a backlight that could guide ships.",
        tags=("digital", "backlit", "gym"),
        paper="violet",
        make=lambda seed: digital(plastic("soot", 0.6, 0.05), "lime", "ink black", "lime", seed),
    ),
    Design(
        title="Square tank watch, rose gold",
        colour="rose gold",
        look="vintage",
        price=275.0,
        creator="Maison Oree",
        description="A square rose-gold case from a 1930s sketch, blush dial, oxblood strap.",
        tags=("square", "rose gold", "art deco"),
        paper="celadon",
        make=lambda seed: watch(
            leather("oxblood", seed), metal("rose gold", 0.15), "blush", hands="oxblood", square=True
        ),
    ),
    Design(
        title="Regatta watch, signal striped strap",
        colour="scarlet",
        look="sport",
        price=135.0,
        creator="Tidewater",
        description="Woven strap in scarlet, white and navy; a countdown ring in matching red.",
        tags=("sailing", "nylon strap", "striped"),
        paper="sand",
        make=lambda seed: watch(
            fabric(
                mix(
                    "navy", mix("snow", "scarlet", lambda p: step(0.045 - p.x.abs())), lambda p: step(0.115 - p.x.abs())
                ),
                seed,
                0.3,
                0.002,
            ),
            metal("steel", 0.2),
            dial("snow", "navy", rim=True),
            hands="navy",
            second="scarlet",
            bezel=lacquer("scarlet"),
        ),
    ),
    Design(
        title="Retro digital, gold with amber display",
        colour="gold",
        look="vintage",
        price=49.0,
        creator="Otto & Fern",
        description="Eighties quartz in all-gold tone with an amber read-out and tiny buttons.",
        tags=("digital", "eighties", "gold tone"),
        paper="plum",
        make=lambda seed: digital(metal("gold", 0.25), "gold", "espresso", "tangerine", seed),
    ),
)
