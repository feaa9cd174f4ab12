"""Drinking bottles: steel flasks, sport bottles and clear carafes with a cap."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Look, Material, ceramic, lacquer, metal, plastic, wood
from trainables.data.sample.model import Design, Model, Pane, Part, View
from trainables.data.sample.outline import Corner, Lathe, smooth_curve
from trainables.data.sample.patterns import (
    bands,
    both,
    checks,
    dots,
    fade,
    inside,
    letters,
    marble,
    mix,
    waves,
    wrap,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import cone, cylinder, smooth_union, sphere, torus_z

BODIES: dict[str, list[Corner]] = {
    "flask": [(0.0, 0.0), (0.36, 0.0), (0.4, 0.05), (0.4, 0.6), (0.4, 1.3), (0.36, 1.46), (0.24, 1.6), (0.22, 1.66)],
    "sport": [(0.0, 0.0), (0.36, 0.0), (0.42, 0.06), (0.42, 0.6), (0.35, 0.85), (0.4, 1.1), (0.38, 1.4), (0.28, 1.54)],
    "swell": [(0.0, 0.0), (0.3, 0.0), (0.37, 0.05), (0.4, 0.5), (0.38, 0.9), (0.22, 1.35), (0.17, 1.6), (0.19, 1.72)],
    "growler": [(0.0, 0.0), (0.5, 0.0), (0.55, 0.06), (0.55, 0.6), (0.52, 0.95), (0.26, 1.25), (0.24, 1.4)],
}


def _cap(style: str, top: float, radius: float) -> Part | None:
    def screw(p: Points) -> Tensor:
        ribs = 0.012 * torch.cos(torch.atan2(p.x, p.z) * 24)
        return cylinder(p.at(y=top + 0.12), radius + 0.03, 0.14, 0.03) + ribs

    def loop(p: Points) -> Tensor:
        hoop = torus_z(p.at(y=top + 0.3), 0.16, 0.04)
        return smooth_union(cylinder(p.at(y=top + 0.09), radius + 0.03, 0.11, 0.03), hoop, 0.05)

    def spout(p: Points) -> Tensor:
        collar = cone(p.at(y=top + 0.06), radius + 0.06, radius * 0.7, 0.1, 0.03)
        return smooth_union(collar, cylinder(p.at(y=top + 0.25), 0.1, 0.12, 0.04), 0.06)

    shapes = {"screw": screw, "loop": loop, "spout": spout}
    return shapes[style]


def bottle(
    coat: Material, cap: Material, body: str = "flask", *, style: str = "screw", ring: Material | None = None
) -> Model:
    """A bottle with a named body and cap style; `ring` is a collar of another material under the cap."""
    profile = BODIES[body]
    radius, top = profile[-1]
    hull = Lathe([*smooth_curve(profile), (0.0, top)])
    parts = [Part(hull, coat), Part(_cap(style, top, radius), cap)]
    if ring:
        parts.append(Part(lambda p: cylinder(p.at(y=top - 0.03), radius + 0.02, 0.04, 0.01), ring))
    return Model(parts=tuple(parts), view=View(elevation=12, turn=-25))


def clear(
    tint: str, density: float, drink: Look, cap: Material, body: str = "swell", *, sleeve: Look | None = None
) -> Model:
    """A glass bottle, two thirds full, with an optional silicone sleeve."""
    profile = BODIES[body]
    radius, top = profile[-1]
    hull = Lathe([*smooth_curve(profile), (0.0, top)])

    def content(p: Points) -> Tensor:
        return torch.maximum(hull(p) + 0.05, p.y - top * 0.66)

    def band(p: Points) -> Tensor:
        return torch.maximum(torch.maximum(hull(p) - 0.025, 0.1 - p.y), p.y - 0.62)

    parts = [Part(content, ceramic(drink, coat=0.6)), Part(_cap("loop", top, radius), cap)]
    if sleeve:
        parts.append(Part(band, plastic(sleeve, 0.6, 0.0)))
    return Model(parts=tuple(parts), panes=(Pane(hull, tint, density),), view=View(elevation=12, turn=-25))


DESIGNS = (
    Design(
        title="Insulated flask, matte petrol",
        colour="petrol",
        look="sport",
        price=34.0,
        creator="Peak & Pine",
        description="Powder-coated steel that keeps tea hot for a whole ridge walk; brushed cap.",
        tags=("insulated", "steel", "hiking"),
        paper="apricot",
        make=lambda seed: bottle(
            plastic(mix("petrol", "aqua", letters(wrap(0.4), 0.12, 0.9, seed)), 0.55, 0.1), metal("steel", 0.3)
        ),
    ),
    Design(
        title="Sport bottle, neon hoops",
        colour="lime",
        look="neon",
        price=15.0,
        creator="Peak & Pine",
        description="Squeezable grip waist with lime and black hoops, easy to spot at the bottom of a gym bag.",
        tags=("gym", "squeeze", "lightweight"),
        paper="slate",
        make=lambda seed: bottle(
            plastic(
                mix(
                    mix("lime", "ink black", bands([(0.12, 0.2), (0.28, 0.36), (1.0, 1.08), (1.16, 1.24)])),
                    "ink black",
                    letters(wrap(0.42), 0.22, 0.56, seed),
                )
            ),
            plastic("ink black"),
            "sport",
            style="spout",
        ),
    ),
    Design(
        title="Marble swell bottle, white",
        colour="porcelain",
        look="minimal",
        price=39.0,
        creator="Norra Form",
        description="Slim-necked steel bottle wrapped in white marble, capped in rose gold.",
        tags=("marble", "slim", "office"),
        paper="blush",
        make=lambda seed: bottle(
            ceramic(mix("porcelain", "slate", marble(1.5, seed, 0.055)), coat=0.7), metal("rose gold", 0.2), "swell"
        ),
    ),
    Design(
        title="Amber growler with swing handle",
        colour="cognac",
        look="vintage",
        price=27.0,
        creator="Otto & Fern",
        description="A stout amber jug for farmhouse cider, with an old dairy's lettering on the sleeve.",
        tags=("growler", "amber glass", "picnic"),
        paper="sage",
        make=lambda seed: clear(
            "cognac",
            0.5,
            "espresso",
            metal("gunmetal", 0.3),
            "growler",
            sleeve=mix("ivory", "oxblood", letters(wrap(0.55), 0.16, 0.28, seed)),
        ),
    ),
    Design(
        title="Glass bottle, coral sleeve",
        colour="coral",
        look="warm_film",
        price=25.0,
        creator="Saltline",
        description="Borosilicate glass in a dotted coral sleeve, shown with peach iced tea.",
        tags=("glass", "sleeve", "iced tea"),
        paper="aqua",
        make=lambda seed: clear(
            "snow",
            0.08,
            "apricot",
            metal("steel", 0.2),
            "swell",
            sleeve=mix("coral", "ivory", dots(wrap(0.4), 0.12, 0.035, 18, 0.4)),
        ),
    ),
    Design(
        title="Racing flask, scarlet check",
        colour="scarlet",
        look="sport",
        price=31.0,
        creator="Kestrel",
        description="Pit-lane red lacquer with a chequered belt, for thermos coffee at the track.",
        tags=("racing", "lacquer", "checked"),
        paper="fog",
        make=lambda seed: bottle(
            lacquer(mix("scarlet", mix("snow", "ink black", checks(wrap(0.4), 0.2094, 0.2)), bands([(0.5, 0.9)]))),
            lacquer("ink black"),
            "flask",
            style="loop",
            ring=metal("steel", 0.2),
        ),
    ),
    Design(
        title="Dusk fade bottle, violet to coral",
        colour="violet",
        look="neon",
        price=29.0,
        creator="Ludo Lab",
        description="An ombre flask running from violet dusk to a coral horizon, with a lemon sun going down.",
        tags=("ombre", "gloss", "gift"),
        paper="butter",
        make=lambda seed: bottle(
            lacquer(
                mix(
                    mix("coral", mix("fuchsia", "violet", fade(0.7, 1.5)), fade(0.05, 0.8)),
                    "lemon",
                    inside(lambda p: sphere(p.at(y=0.62, z=0.4), 0.22)),
                )
            ),
            lacquer("indigo"),
            "flask",
            style="loop",
        ),
    ),
    Design(
        title="Ink-wash flask, charcoal waves",
        colour="graphite",
        look="ink",
        price=42.0,
        creator="Mori Works",
        description="Matte white steel brushed with charcoal waves, capped in dark turned wood.",
        tags=("brushwork", "wood cap", "tea"),
        paper="oat",
        make=lambda seed: bottle(
            plastic(
                mix("chalk", "graphite", both(waves(wrap(0.4), 0.8378, 0.2, 0.45, 0.7), lambda p: fade(1.25, 0.5)(p))),
                0.6,
                0.1,
            ),
            wood("walnut", "espresso", seed),
            "swell",
        ),
    ),
)
