"""Loudspeakers and radios: bookshelf boxes, round smart speakers, portables with a handle."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import (
    Look,
    Material,
    fabric,
    glowing,
    lacquer,
    leather,
    metal,
    plastic,
    rubber,
    wood,
)
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.patterns import Chart, bands, dots, fade, front, marble, mix, stripes, wrap
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    box,
    capsule,
    cylinder,
    disc_z,
    ellipsoid,
    length,
    sphere,
    torus,
    torus_z,
    union,
)


def _driver(x: float, y: float, z: float, radius: float) -> tuple:
    """Shapes of a loudspeaker driver: the cavity to cut, the cone, the trim ring."""

    def cavity(p: Points) -> Tensor:
        return disc_z(p.at(x, y, z), radius, 0.09)

    def membrane(p: Points) -> Tensor:
        q = p.at(x, y, z)
        depth = q.z + 0.1 - 0.42 * length(q.x, q.y)
        bowl = torch.maximum(depth.abs() * 0.9 - 0.015, length(q.x, q.y) - radius * 0.86)
        cap = sphere(q.at(z=-0.08), radius * 0.3)
        roll = torus_z(q.at(z=-0.01 + 0.0), radius * 0.84, radius * 0.1)
        return 0.85 * union(bowl, cap, roll)

    def trim(p: Points) -> Tensor:
        return torus_z(p.at(x, y, z), radius, 0.028)

    return cavity, membrane, trim


def bookshelf(
    cabinet: Material,
    membrane: Material,
    trim: Material,
    *,
    drivers: tuple[tuple[float, float], ...] = ((0.48, 0.32), (1.12, 0.19)),
    half: tuple[float, float, float] = (0.5, 0.75, 0.45),
    rounding: float = 0.06,
    feet: bool = True,
) -> Model:
    """A box with drivers given as (height, radius)."""
    lift = 0.07 if feet else 0.0
    sets = [_driver(0.0, y + lift, half[2], r) for y, r in drivers]

    def hull(p: Points) -> Tensor:
        body = box(p.at(y=half[1] + lift), half, rounding)
        return torch.maximum(body, -union(*(cavity(p) for cavity, _, _ in sets)))

    parts = [
        Part(hull, cabinet),
        Part(lambda p: union(*(m(p) for _, m, _ in sets)), membrane),
        Part(lambda p: union(*(t(p) for _, _, t in sets)), trim),
    ]
    if feet:
        parts.append(
            Part(
                lambda p: cylinder(
                    Points(p.x.abs() - half[0] * 0.75, p.y - 0.04, p.z.abs() - half[2] * 0.75), 0.07, 0.04
                ),
                rubber("soot"),
            )
        )
    return Model(parts=tuple(parts), view=View(elevation=16, turn=-32))


def smart(
    cloth: Material, top: Material, ring: Material, *, radius: float = 0.6, tall: float = 0.8, ball: bool = False
) -> Model:
    """A cloth-covered cylinder or ball with a light ring on top."""

    def body(p: Points) -> Tensor:
        if ball:
            return torch.maximum(ellipsoid(p.at(y=tall / 2), (radius, tall / 2 + 0.06, radius)), -p.y + 0.03)
        return cylinder(p.at(y=tall / 2), radius, tall / 2, 0.14)

    cap_y = tall - 0.02 if ball else tall
    return Model(
        parts=(
            Part(body, cloth),
            Part(lambda p: cylinder(p.at(y=cap_y), radius * 0.5 if ball else radius * 0.72, 0.02, 0.01), top),
            Part(lambda p: torus(p.at(y=cap_y + 0.01), radius * 0.5 if ball else radius * 0.72, 0.025), ring),
        ),
        view=View(elevation=24, turn=-20, reach=1.0),
    )


def radio(
    case: Material,
    grille: Material,
    knobs: Material,
    *,
    scale_look: Look = "ivory",
    handle: Material | None = None,
    wide: float = 0.95,
) -> Model:
    """A table radio: cloth grille to the left, dial and knobs to the right, a carrying handle."""

    def body(p: Points) -> Tensor:
        return box(p.at(y=0.5), (wide, 0.46, 0.3), 0.12)

    def mesh(p: Points) -> Tensor:
        return box(p.at(x=-wide * 0.36, y=0.5, z=0.29), (wide * 0.5, 0.34, 0.025), 0.02)

    def panel(p: Points) -> Tensor:
        return box(p.at(x=wide * 0.56, y=0.66, z=0.29), (wide * 0.31, 0.15, 0.02), 0.015)

    def dials(p: Points) -> Tensor:
        turn = [disc_z(p.at(x=wide * 0.56 + x, y=0.3, z=0.33), 0.1, 0.06, 0.02) for x in (-0.15, 0.15)]
        return union(*turn, box(p.at(x=wide * 0.62, y=0.66, z=0.315), (0.012, 0.13, 0.012)))

    scale = mix(scale_look, "soot", lambda p: stripes(front, 0.06, 0.25, upright=True)(p) * bands([(0.6, 0.68)])(p))
    parts = [
        Part(body, case),
        Part(mesh, grille),
        Part(panel, Material(paint=scale, roughness=0.3, coat=0.5, glow=0.2)),
        Part(dials, knobs),
    ]
    if handle:

        def grip(p: Points) -> Tensor:
            q = p.mirrored_x()
            return union(
                capsule(q, (wide * 0.72, 0.9, 0), (wide * 0.66, 1.16, 0), 0.045),
                capsule(q, (0, 1.18, 0), (wide * 0.66, 1.16, 0), 0.055),
            )

        parts.append(Part(grip, handle))
    return Model(parts=tuple(parts), view=View(elevation=16, turn=-28))


def _net(ground: str, thread: str, seed: int, chart: Chart) -> Material:
    return fabric(mix(ground, thread, dots(chart, 0.0748, 0.02)), seed, 0.3, 0.003)


DESIGNS = (
    Design(
        title="Bookshelf speaker, walnut and black",
        colour="walnut",
        look="warm_film",
        price=299.0,
        creator="Halden Audio",
        description="Real walnut veneer, a paper woofer and a silk tweeter; sold singly, wanted in pairs.",
        tags=("hi-fi", "walnut", "two-way"),
        paper="oat",
        make=lambda seed: bookshelf(wood("teak", "espresso", seed, "y", 4), rubber("soot"), metal("steel", 0.25)),
    ),
    Design(
        title="Monitor speaker, white with lemon cone",
        colour="snow",
        look="sport",
        price=349.0,
        creator="Halden Audio",
        description="Studio-white cabinet with a lemon woven cone that shows every kick drum.",
        tags=("studio", "monitor", "active"),
        paper="slate",
        make=lambda seed: bookshelf(plastic("snow", 0.4, 0.3), plastic("lemon", 0.5), plastic("soot"), rounding=0.12),
    ),
    Design(
        title="Smart speaker, charcoal knit",
        colour="graphite",
        look="ink",
        price=99.0,
        creator="Norra Form",
        description="A charcoal knit drum with a thin white light ring; listens only when asked.",
        tags=("smart", "knit", "compact"),
        paper="fog",
        make=lambda seed: smart(_net("slate", "soot", seed, wrap(0.6)), plastic("soot", 0.4), glowing("snow", 0.8)),
    ),
    Design(
        title="Pebble speaker, blush",
        colour="blush",
        look="minimal",
        price=79.0,
        creator="Norra Form",
        description="A round pebble in blush knit with a rose-gold touch plate. Fits a bedside book pile.",
        tags=("bluetooth", "bedroom", "soft"),
        paper="sage",
        make=lambda seed: smart(
            _net("blush", "rose", seed, wrap(0.6)), metal("rose gold", 0.2), glowing("snow", 0.6), tall=0.85, ball=True
        ),
    ),
    Design(
        title="Valve-era radio, mint and cream",
        colour="mint",
        look="vintage",
        price=169.0,
        creator="Otto & Fern",
        description="Mint lacquer, gold-thread grille, a dial that glows; hides Bluetooth behind the tuning knob.",
        tags=("radio", "retro", "bluetooth"),
        paper="coral",
        make=lambda seed: radio(
            lacquer("mint"),
            fabric(mix("ivory", "ochre", stripes(front, 0.07, 0.4, upright=True)), seed, 0.3, 0.0),
            metal("gold", 0.2),
            handle=leather("cognac", seed),
        ),
    ),
    Design(
        title="Party box, neon drivers",
        colour="violet",
        look="neon",
        price=229.0,
        creator="Ludo Lab",
        description="Two lime drivers in a violet gloss cube that lights its own dance floor.",
        tags=("party", "portable", "bass"),
        paper="ink black",
        make=lambda seed: bookshelf(
            lacquer("violet"),
            Material(paint=mix("lime", "lime", fade(0, 1)), roughness=0.4, glow=0.4),
            lacquer("fuchsia"),
            drivers=((0.42, 0.32), (1.1, 0.32)),
            half=(0.55, 0.78, 0.5),
            rounding=0.16,
        ),
    ),
    Design(
        title="Outdoor radio, signal orange",
        colour="tangerine",
        look="sport",
        price=119.0,
        creator="Peak & Pine",
        description="Rubber-edged orange portable with a steel handle, splash-proof down to the knobs.",
        tags=("outdoor", "waterproof", "radio"),
        paper="forest",
        make=lambda seed: radio(
            plastic("tangerine", 0.5, 0.1),
            _net("soot", "slate", seed, front),
            rubber("soot"),
            scale_look="snow",
            handle=metal("steel", 0.3),
        ),
    ),
    Design(
        title="Marble cube speaker, white",
        colour="porcelain",
        look="minimal",
        price=259.0,
        creator="Casa Lumo",
        description="A single full-range driver in a cube that passes for a block of Carrara.",
        tags=("marble look", "single driver", "living room"),
        paper="terracotta",
        make=lambda seed: bookshelf(
            Material(paint=mix("porcelain", "ash", marble(1.2, seed, 0.06)), roughness=0.35, coat=0.6),
            rubber("soot"),
            metal("brass", 0.2),
            drivers=((0.55, 0.36),),
            half=(0.55, 0.55, 0.55),
            feet=False,
        ),
    ),
)
