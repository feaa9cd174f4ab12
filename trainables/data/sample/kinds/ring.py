"""Rings: a band standing up, with a cut stone, a signet or a row of small stones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainables.data.sample.materials import Look, Material, hammered, lacquer, metal, wood
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.patterns import mix
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    box,
    capsule,
    cylinder,
    ellipsoid,
    length,
    smooth_union,
    torus_z,
    union,
)

RADIUS = 0.66
"""Inner radius of the band plus half its thickness."""


def gem(look: Look) -> Material:
    """A cut stone: facets mirror the studio in its own colour, and some light comes through."""
    return Material(
        paint=mix(look, "snow", lambda p: torch.full_like(p.x, 0.12)),
        roughness=0.06,
        metallic=0.75,
        coat=1.0,
        glow=0.16,
    )


def brilliant(p: Points, size: float, sides: int = 8) -> Tensor:
    """A faceted stone: table, crown, girdle and pavilion as planes folded into one of `sides` sectors."""
    q = p.around_y(sides)
    half = p.around_y(sides, 180 / sides)
    crown = (q.z * 0.64 + q.y * 0.77) - 0.66 * size
    star = (half.z * 0.46 + half.y * 0.89) - 0.55 * size
    pavilion = (q.z * 0.68 - q.y * 0.73) - 0.66 * size
    girdle = half.z - 0.93 * size
    table = p.y - 0.42 * size
    return torch.stack((crown, star, pavilion, girdle, table)).amax(0)


def _band(p: Points, width: float, thick: float, round_: bool) -> Tensor:
    q = p.at(y=RADIUS + thick)
    if round_:
        return torus_z(Points(q.x, q.y, q.z * thick / width), RADIUS, thick) * 0.8
    ring, across = (length(q.x, q.y) - RADIUS).abs() - thick + 0.02, q.z.abs() - width + 0.02
    return torch.maximum(ring, across).clamp_max(0) + length(ring.clamp_min(0), across.clamp_min(0)) - 0.02


def solitaire(
    band: Material,
    stone: Material,
    *,
    size: float = 0.32,
    sides: int = 8,
    width: float = 0.1,
    thick: float = 0.075,
    halo: Material | None = None,
    prongs: int = 4,
) -> Model:
    """One stone held by prongs, perhaps within a halo of small stones."""
    top = 2 * (RADIUS + thick) + size * 0.42

    def hold(p: Points) -> Tensor:
        q = p.at(y=top)
        claws = capsule(q.around_y(prongs, 45), (0, -size * 0.95, size * 0.25), (0, size * 0.22, size * 0.86), 0.035)
        collar = cylinder(q.at(y=-size * 0.62), size * 0.42, 0.035, 0.02)
        return smooth_union(_band(p, width, thick, True), union(claws, collar), 0.03)

    parts = [Part(hold, band), Part(lambda p: brilliant(p.at(y=top), size, sides), stone)]
    if halo:

        def small(p: Points) -> Tensor:
            return brilliant(p.at(y=top - 0.02).around_y(12).at(z=size * 1.12), 0.085, 6)

        def seat(p: Points) -> Tensor:
            return cylinder(p.at(y=top - 0.07), size * 1.25, 0.035, 0.02)

        parts += [Part(small, halo), Part(seat, band)]
    return Model(parts=tuple(parts), view=View(elevation=20, turn=-28, reach=1.05))


def signet(band: Material, face: Material, *, oval: bool = True) -> Model:
    """A broad band that swells to a flat engraved face."""
    top = 2 * RADIUS + 0.22

    def body(p: Points) -> Tensor:
        shoulder = ellipsoid(p.at(y=top - 0.22), (0.52, 0.3, 0.36))
        form = smooth_union(_band(p, 0.15, 0.09, True), shoulder, 0.15)
        hollow = length(p.x, p.y - RADIUS - 0.09) - RADIUS + 0.08
        return torch.maximum(torch.maximum(form, p.y - top + 0.02), -hollow)

    def plate(p: Points) -> Tensor:
        if oval:
            return 0.8 * cylinder(Points(p.x, p.y - top + 0.02, p.z * 1.3), 0.38, 0.035, 0.02)
        return box(p.at(y=top - 0.02), (0.34, 0.035, 0.25), 0.02)

    return Model(parts=(Part(body, band), Part(plate, face)), view=View(elevation=28, turn=-28, reach=1.05))


def row(band: Material, stone: Material, *, count: int = 7, width: float = 0.17) -> Model:
    """A flat band with a row of stones over its upper half."""

    def stones(p: Points) -> Tensor:
        q = p.at(y=RADIUS + 0.08)
        spacing = math.radians(24)
        angle = torch.atan2(q.x, q.y)
        index = torch.round(angle / spacing).clamp(-(count // 2), count // 2)
        turn = angle - index * spacing
        radius = length(q.x, q.y)
        local = Points(radius * torch.sin(turn), radius * torch.cos(turn) - RADIUS - 0.1, q.z)
        return 0.9 * brilliant(local, 0.16, 6)

    return Model(
        parts=(Part(lambda p: _band(p, width, 0.08, False), band), Part(stones, stone)),
        view=View(elevation=20, turn=-28, reach=1.05),
    )


def plain_band(band: Material, inlay: Material, *, width: float = 0.26) -> Model:
    """A broad flat band with an inlaid stripe."""

    def stripe(p: Points) -> Tensor:
        q = p.at(y=RADIUS + 0.09)
        ring = (length(q.x, q.y) - RADIUS - 0.075).abs() - 0.03
        return torch.maximum(ring, q.z.abs() - width * 0.45)

    return Model(
        parts=(Part(lambda p: _band(p, width, 0.09, False), band), Part(stripe, inlay)),
        view=View(elevation=22, turn=-32, reach=1.05),
    )


DESIGNS = (
    Design(
        title="Solitaire ring, white stone in gold",
        colour="gold",
        look="minimal",
        price=980.0,
        creator="Maison Oree",
        description="One round white stone, four claws, a slim gold band. Yes included.",
        tags=("solitaire", "gold", "engagement"),
        paper="blush",
        make=lambda seed: solitaire(metal("gold", 0.12), gem("silver")),
    ),
    Design(
        title="Cocktail ring, emerald halo",
        colour="forest",
        look="vintage",
        price=640.0,
        creator="Maison Oree",
        description="A green square-cut stone inside twelve small whites; borrowed from a 1930s ballroom.",
        tags=("cocktail", "halo", "emerald green"),
        paper="oat",
        make=lambda seed: solitaire(metal("silver", 0.1), gem("fern"), size=0.36, sides=8, halo=gem("silver")),
    ),
    Design(
        title="Signet ring, onyx",
        colour="ink black",
        look="ink",
        price=310.0,
        creator="Halden",
        description="Heavy silver signet with an oval of polished onyx, left blank for a crest.",
        tags=("signet", "onyx", "silver"),
        paper="ash",
        make=lambda seed: signet(metal("silver", 0.18), lacquer("ink black")),
    ),
    Design(
        title="Eternity ring, sapphire row",
        colour="cobalt",
        look="sport",
        price=520.0,
        creator="Tidewater",
        description="Seven blue stones set flush in a flat white band, smooth enough for gloves.",
        tags=("sapphire blue", "band", "flush set"),
        paper="butter",
        make=lambda seed: row(metal("silver", 0.15), gem("azure")),
    ),
    Design(
        title="Hammered copper band, teal inlay",
        colour="copper",
        look="warm_film",
        price=85.0,
        creator="Mori Works",
        description="Copper beaten by hand around a thin seam of teal enamel.",
        tags=("copper", "hammered", "enamel"),
        paper="sage",
        make=lambda seed: plain_band(hammered("copper", 6, seed), lacquer("lagoon")),
    ),
    Design(
        title="Neon stone ring, fuchsia",
        colour="fuchsia",
        look="neon",
        price=49.0,
        creator="Ludo Lab",
        description="An unapologetic hexagon of fuchsia glass on a lime lacquered band.",
        tags=("statement", "glass", "party"),
        paper="indigo",
        make=lambda seed: solitaire(lacquer("lime"), gem("fuchsia"), size=0.42, sides=6, width=0.14, prongs=6),
    ),
    Design(
        title="Rose-gold ring, blush stone",
        colour="rose gold",
        look="warm_film",
        price=420.0,
        creator="Velour House",
        description="A peach-pink stone in rose gold that looks like the last ten minutes of daylight.",
        tags=("rose gold", "morganite pink", "romantic"),
        paper="petrol",
        make=lambda seed: solitaire(metal("rose gold", 0.12), gem("rose"), size=0.37),
    ),
    Design(
        title="Walnut band, brass inlay",
        colour="walnut",
        look="minimal",
        price=65.0,
        creator="Mori Works",
        description="Turned from walnut burr with a brass line let in; warm on the first morning.",
        tags=("wooden", "brass", "lightweight"),
        paper="powder",
        make=lambda seed: plain_band(wood("teak", "espresso", seed, "z", 8, 0.5), metal("brass", 0.15)),
    ),
)
