"""Cameras: rangefinders, reflex cameras, instant cameras. The lens looks along +z."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Look, Material, fabric, lacquer, leather, metal, plastic
from trainables.data.sample.model import Design, Model, Pane, Part, View
from trainables.data.sample.outline import Plate, rounded
from trainables.data.sample.palette import colour
from trainables.data.sample.patterns import front, mix, plain, step, stripes
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    box,
    cylinder,
    disc_z,
    sphere,
    torus_x,
    torus_z,
    union,
)

BODY_Y = 0.46
"""Height of the lens axis of a 35 mm camera."""


def _lens(x: float, y: float, z: float, radius: float, depth: float) -> tuple:
    """Barrel, ribbed focusing ring, and the front element's pane and dark inside."""

    def barrel(p: Points) -> Tensor:
        q = p.at(x, y, z)
        tube = union(
            disc_z(q.at(z=depth * 0.25), radius, depth * 0.27, 0.015),
            disc_z(q.at(z=depth * 0.75), radius * 0.88, depth * 0.27, 0.015),
        )
        return torch.maximum(tube, -disc_z(q.at(z=depth), radius * 0.66, depth * 0.22))

    def ring(p: Points) -> Tensor:
        q = p.at(x, y, z + depth * 0.42)
        return disc_z(q, radius * 1.03, depth * 0.11, 0.01) + 0.004 * torch.cos(torch.atan2(q.x, q.y) * 40)

    def inner(p: Points) -> Tensor:
        q = p.at(x, y, z)
        return union(
            sphere(q.at(z=depth * 0.42), radius * 0.56), torus_z(q.at(z=depth * 0.86), radius * 0.6, radius * 0.06)
        )

    def element(p: Points) -> Tensor:
        return disc_z(p.at(x, y, z + depth * 0.93), radius * 0.68, 0.012)

    return barrel, ring, inner, element


def reflex(
    top: Material,
    wrap_of: Material,
    *,
    hump: bool = True,
    barrel: Material | None = None,
    ring: Material | None = None,
    dials: Material | None = None,
    accent: Look = "scarlet",
) -> Model:
    """A 35 mm camera; with a pentaprism `hump` a reflex, without one a rangefinder."""
    plan = Plate(rounded([(-0.86, -0.2), (0.86, -0.2), (0.86, 0.2), (-0.86, 0.2)], 0.2), "xz", 0.46, 0.03)
    prism = Plate(rounded([(-0.36, 0.8), (-0.2, 1.12), (0.2, 1.12), (0.36, 0.8)], 0.05), "xy", 0.24, 0.05)
    barrel_shape, ring_shape, inner_shape, element = _lens(0.0, BODY_Y, 0.2, 0.34, 0.52 if hump else 0.34)

    def body(p: Points) -> Tensor:
        return torch.maximum(plan(p.at(y=0.46)), (p.y - 0.44).abs() - 0.25) - 0.012

    def plates(p: Points) -> Tensor:
        hull = plan(p.at(y=0.46))
        ends = torch.maximum(hull, 0.25 - (p.y - 0.44).abs())
        if hump:
            return union(ends, prism(p))
        return union(ends, box(p.at(y=0.78, z=0.02), (0.84, 0.1, 0.2), 0.05))

    def knobs(p: Points) -> Tensor:
        y = 0.95
        return union(
            cylinder(p.at(0.6, y, 0.0), 0.13, 0.06, 0.015),
            cylinder(p.at(-0.62, y, 0.0), 0.11, 0.05, 0.015),
            cylinder(p.at(0.36 if not hump else 0.42, y, 0.06), 0.055, 0.05, 0.015),
            torus_x(p.mirrored_x().at(x=0.88, y=0.74), 0.05, 0.016),
        )

    def window(p: Points) -> Tensor:
        if hump:
            return box(p.at(y=0.96, z=-0.22), (0.14, 0.07, 0.03), 0.02)
        return union(
            box(p.at(-0.52, 0.8, 0.215), (0.13, 0.065, 0.02), 0.015),
            box(p.at(0.12, 0.8, 0.215), (0.1, 0.045, 0.02), 0.015),
        )

    def dot(p: Points) -> Tensor:
        return disc_z(p.at(0.52, 0.84 if not hump else 0.77, 0.21), 0.05, 0.025, 0.01)

    dark = plastic("soot", 0.35)
    return Model(
        parts=(
            Part(body, wrap_of),
            Part(plates, top),
            Part(barrel_shape, barrel or dark),
            Part(ring_shape, ring or metal("gunmetal", 0.35)),
            Part(inner_shape, plastic("ink black", 0.12, 1.0)),
            Part(knobs, dials or top),
            Part(window, plastic("ink black", 0.1, 1.0)),
            Part(dot, lacquer(accent)),
        ),
        panes=(Pane(element, "indigo", 0.2),),
        view=View(elevation=17, turn=-28, reach=1.1),
    )


def instant(
    body: Look, face: Look, *, stripe: Look | None = None, lens_ring: Material | None = None, button: Look = "scarlet"
) -> Model:
    """A boxy instant camera with a flash and a picture slot."""
    hull = Plate(
        rounded([(-0.5, 0.0), (0.52, 0.0), (0.52, 0.42), (0.2, 0.98), (-0.34, 1.02), (-0.5, 0.8)], 0.14),
        "zy",
        0.66,
        0.09,
    )
    barrel, ring, inner, element = _lens(0.0, 0.6, 0.34, 0.27, 0.24)

    def front_plate(p: Points) -> Tensor:
        return box(p.at(y=0.62, z=0.3), (0.57, 0.3, 0.12), 0.07)

    def flash(p: Points) -> Tensor:
        return box(p.at(-0.4, 0.78, 0.41), (0.1, 0.07, 0.03), 0.02)

    def press(p: Points) -> Tensor:
        return disc_z(p.at(0.44, 0.5, 0.42), 0.065, 0.04, 0.02)

    def slot(p: Points) -> Tensor:
        return union(
            box(p.at(0.0, 0.2, 0.5), (0.5, 0.03, 0.05), 0.01), box(p.at(0.38, 0.8, 0.41), (0.09, 0.07, 0.03), 0.02)
        )

    paint = mix(body, stripe, lambda p: step(0.16 - p.x.abs())) if stripe else body
    return Model(
        parts=(
            Part(hull, plastic(paint, 0.35, 0.4)),
            Part(front_plate, plastic(face, 0.4, 0.3)),
            Part(barrel, plastic("soot", 0.35)),
            Part(ring, lens_ring or metal("steel", 0.25)),
            Part(inner, plastic("ink black", 0.12, 1.0)),
            Part(
                flash,
                Material(paint=mix("snow", "fog", stripes(front, 0.05, 0.3, upright=True)), roughness=0.15, coat=1.0),
            ),
            Part(press, lacquer(button)),
            Part(slot, plastic("ink black", 0.2, 0.8)),
        ),
        panes=(Pane(element, "indigo", 0.2),),
        view=View(elevation=18, turn=-26, reach=1.1),
    )


def rainbow(colours: tuple[str, ...], width: float) -> Look:
    """Vertical stripes side by side, centred on x = 0."""

    def paint(p: Points) -> Tensor:
        out = plain(colours[0])(p)
        for i, name in enumerate(colours[1:], 1):
            out = out + (colour(name) - out) * step(p.x - (i - len(colours) / 2) * width)
        return out

    return paint


DESIGNS = (
    Design(
        title="35 mm reflex, silver and black",
        colour="silver",
        look="vintage",
        price=340.0,
        creator="Halden Optik",
        description="A serviced all-metal SLR with a fast fifty and a shutter like a slammed book.",
        tags=("film", "reflex", "35 mm"),
        paper="mustard",
        make=lambda seed: reflex(metal("steel", 0.3), leather("soot", seed, 0.3)),
    ),
    Design(
        title="Rangefinder, black with brass edges",
        colour="ink black",
        look="ink",
        price=890.0,
        creator="Halden Optik",
        description="Black paint over brass, red dot, quiet cloth shutter; street photography's little coat.",
        tags=("rangefinder", "street", "brass"),
        paper="ash",
        make=lambda seed: reflex(
            lacquer("soot"),
            leather("soot", seed, 0.3),
            hump=False,
            dials=metal("brass", 0.25),
            ring=metal("brass", 0.3),
        ),
    ),
    Design(
        title="Instant camera, rainbow stripe",
        colour="snow",
        look="neon",
        price=119.0,
        creator="Ludo Lab",
        description="White box, rainbow down the nose, a picture in your hand before the joke is over.",
        tags=("instant", "rainbow", "party"),
        paper="lilac",
        make=lambda seed: instant(
            "snow", "ink black", stripe=rainbow(("scarlet", "tangerine", "lemon", "fern", "azure", "violet"), 0.054)
        ),
    ),
    Design(
        title="Travel rangefinder, tan leather",
        colour="tan",
        look="warm_film",
        price=460.0,
        creator="Halden Optik",
        description="Champagne top plate and tan hide; made for two months on slow trains.",
        tags=("travel", "leather", "rangefinder"),
        paper="teal",
        make=lambda seed: reflex(
            metal("silver", 0.3), leather("tan", seed, 0.3), hump=False, barrel=metal("steel", 0.25), accent="scarlet"
        ),
    ),
    Design(
        title="Instant camera, mint",
        colour="mint",
        look="minimal",
        price=89.0,
        creator="Norra Form",
        description="A soft mint block with a cream face and exactly one button.",
        tags=("instant", "pastel", "simple"),
        paper="blush",
        make=lambda seed: instant("mint", "ivory", button="coral"),
    ),
    Design(
        title="Reflex, oxblood leather",
        colour="oxblood",
        look="vintage",
        price=365.0,
        creator="Bramble",
        description="A classic reflex re-covered in oxblood calf by hand, gold ring on the lens.",
        tags=("film", "re-covered", "gift"),
        paper="powder",
        make=lambda seed: reflex(
            metal("silver", 0.25), leather("oxblood", seed, 0.4), ring=metal("gold", 0.25), accent="gold"
        ),
    ),
    Design(
        title="Action reflex, graphite and tangerine",
        colour="graphite",
        look="sport",
        price=720.0,
        creator="Kestrel",
        description="Weather-sealed graphite body with tangerine accents, for touchlines in the rain.",
        tags=("digital", "weather sealed", "sports"),
        paper="lagoon",
        make=lambda seed: reflex(
            plastic("graphite", 0.5, 0.1),
            fabric("soot", seed, 0.1, 0.004),
            ring=lacquer("tangerine"),
            dials=lacquer("tangerine"),
            accent="tangerine",
        ),
    ),
    Design(
        title="Instant camera, cobalt and lemon",
        colour="cobalt",
        look="sport",
        price=95.0,
        creator="Pica Toys",
        description="Chunky cobalt instant with a lemon face that small hands can grip.",
        tags=("instant", "kids", "sturdy"),
        paper="tangerine",
        make=lambda seed: instant("cobalt", "lemon", lens_ring=lacquer("scarlet")),
    ),
)
