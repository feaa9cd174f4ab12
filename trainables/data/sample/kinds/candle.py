"""Candles: poured in jars, or standing pillars; all of them lit."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Look, Material, ceramic, glowing, metal
from trainables.data.sample.model import Design, Lamp, Model, Pane, Part, View
from trainables.data.sample.outline import Lathe, vessel
from trainables.data.sample.patterns import bands, fade, letters, marble, mix, stripes, terrazzo, wrap, zigzag
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import box, capsule, cylinder, ellipsoid, smooth_union, union


def _wax(look: Look, level: float) -> Material:
    """Wax glows near the flame, as light travels through it."""
    paint = mix(look, "butter", lambda p: 0.25 * fade(level - 0.5, level)(p))
    return Material(paint=paint, roughness=0.55, coat=0.15, glow=0.12)


def _flame(x: float, level: float, z: float) -> tuple[Part, Part, Lamp]:
    def wick(p: Points) -> Tensor:
        return capsule(p, (x, level - 0.05, z), (x + 0.01, level + 0.1, z), 0.016)

    def fire(p: Points) -> Tensor:
        q = p.at(x, level + 0.2, z)
        lean = Points(q.x, q.y, q.z)
        return smooth_union(ellipsoid(lean, (0.062, 0.1, 0.062)), ellipsoid(lean.at(y=0.1), (0.026, 0.13, 0.026)), 0.05)

    glow = glowing(mix("tangerine", "butter", fade(level + 0.1, level + 0.22)), 1.5)
    return Part(wick, ceramic("soot", coat=0)), Part(fire, glow), Lamp((x, level + 0.22, z), "apricot", 0.16)


def jar(
    vessel_of: Material | None,
    wax: Look,
    *,
    radius: float = 0.56,
    height: float = 1.1,
    label: Look | None = None,
    glass: str = "snow",
    density: float = 0.12,
    wicks: int = 1,
) -> Model:
    """A jar candle; without a `vessel_of` material the jar is glass of the given tint, with a paper `label`."""
    hull = Lathe(vessel([(radius * 0.96, 0.0), (radius, 0.05), (radius, height * 0.5), (radius, height)], 0.05, 0.07))
    level = height * 0.72
    fill = Part(lambda p: cylinder(p.at(y=level / 2 + 0.04), radius - 0.055, level / 2 - 0.04, 0.02), _wax(wax, level))
    offsets = [(0.0, 0.0)] if wicks == 1 else [(-0.2, 0.08), (0.2, 0.08), (0.0, -0.22)][:wicks]
    flames = [_flame(x, level, z) for x, z in offsets]
    parts = [fill, *(part for wick, fire, _ in flames for part in (wick, fire))]
    panes: tuple[Pane, ...] = ()
    if vessel_of is None:
        panes = (Pane(hull, glass, density),)
    else:
        parts.append(Part(hull, vessel_of))
    if label is not None:

        def sticker(p: Points) -> Tensor:
            ring = cylinder(p.at(y=height * 0.42), radius + 0.008, height * 0.2, 0.004)
            return (
                torch.maximum(ring, p.x.abs() - 0.36) + 0 * p.z
                if vessel_of
                else torch.maximum(torch.maximum(ring, p.x.abs() - 0.36), -p.z)
            )

        parts.append(Part(sticker, ceramic(label, coat=0.05)))
    return Model(
        parts=tuple(parts),
        panes=panes,
        lamps=tuple(lamp for _, _, lamp in flames),
        view=View(elevation=24, turn=-25),
    )


def pillars(
    looks: list[tuple[Look, float, float, float, float]], square: bool = False, tray: Material | None = None
) -> Model:
    """Pillar candles, each (wax, x, z, radius, height), on an optional tray."""
    parts: list[Part] = []
    lamps: list[Lamp] = []
    base = 0.07 if tray else 0.0
    for look, x, z, radius, height in looks:

        def post(p: Points, x: float = x, z: float = z, radius: float = radius, height: float = height) -> Tensor:
            q = p.at(x, base + height / 2, z)
            body = box(q, (radius, height / 2, radius), 0.04) if square else cylinder(q, radius, height / 2, 0.04)
            return torch.maximum(body, -ellipsoid(p.at(x, base + height + 0.03, z), (radius * 0.7, 0.08, radius * 0.7)))

        wick, fire, lamp = _flame(x, base + height - 0.03, z)
        parts += [Part(post, _wax(look, base + height)), wick, fire]
        lamps.append(lamp)
    if tray:

        def plate(p: Points) -> Tensor:
            dish = cylinder(p.at(y=0.04), 1.0, 0.04, 0.03)
            return union(
                torch.maximum(dish, -cylinder(p.at(y=0.09), 0.94, 0.04)), cylinder(p.at(y=0.03), 0.97, 0.03, 0.01)
            )

        parts.append(Part(plate, tray))
    return Model(parts=tuple(parts), lamps=tuple(lamps), view=View(elevation=20, turn=-15))


DESIGNS = (
    Design(
        title="Amber jar candle, tobacco and vanilla",
        colour="cognac",
        look="warm_film",
        price=29.0,
        creator="Atelier Brume",
        description="Soy wax in apothecary amber glass with a typed cream label; sixty evenings of burn.",
        tags=("soy wax", "apothecary", "scented"),
        paper="sand",
        make=lambda seed: jar(
            None,
            "ivory",
            glass="cognac",
            density=0.55,
            label=mix("ivory", "soot", letters(lambda p: (p.x, p.y), 0.1, 0.34, seed, 2)),
        ),
    ),
    Design(
        title="Three-wick candle, white marble",
        colour="porcelain",
        look="minimal",
        price=54.0,
        creator="Atelier Brume",
        description="A wide bowl of veined marble with three wicks; the vessel stays when the wax is gone.",
        tags=("marble", "three wicks", "refillable"),
        paper="blush",
        make=lambda seed: jar(
            ceramic(mix("porcelain", "slate", marble(1.3, seed, 0.05))), "snow", radius=0.82, height=0.72, wicks=3
        ),
    ),
    Design(
        title="Pillar trio on brass tray",
        colour="ivory",
        look="vintage",
        price=45.0,
        creator="Maison Oree",
        description="Three ivory beeswax pillars, tall, taller, tallest, gathered on a spun brass tray.",
        tags=("beeswax", "set of three", "brass"),
        paper="aubergine",
        make=lambda seed: pillars(
            [("ivory", -0.4, 0.1, 0.3, 0.95), ("butter", 0.34, -0.25, 0.3, 1.4), ("oat", 0.25, 0.45, 0.26, 0.6)],
            tray=metal("brass", 0.25),
        ),
    ),
    Design(
        title="Neon block candle, fuchsia and lemon",
        colour="fuchsia",
        look="neon",
        price=22.0,
        creator="Ludo Lab",
        description="A square pillar cast in hard stripes of fuchsia and lemon. Almost too loud to light.",
        tags=("colour block", "striped", "gift"),
        paper="aqua",
        make=lambda seed: pillars(
            [(mix("fuchsia", "lemon", stripes(lambda p: (p.x, p.y), 0.4, 0.5)), 0.0, 0.0, 0.4, 1.35)], square=True
        ),
    ),
    Design(
        title="Black jar candle, cedar smoke",
        colour="ink black",
        look="ink",
        price=36.0,
        creator="Atelier Brume",
        description="Matte black tumbler, black wax, one white line of type. Smells of a put-out campfire.",
        tags=("black", "cedar", "matte"),
        paper="ash",
        make=lambda seed: jar(
            ceramic(mix("soot", "chalk", letters(wrap(0.56), 0.12, 0.45, seed)), coat=0.15), "graphite"
        ),
    ),
    Design(
        title="Sea-glass candle, lagoon",
        colour="lagoon",
        look="sport",
        price=24.0,
        creator="Saltline",
        description="Clear aqua tumbler over pale wax, with a signal-stripe label; salt, lime and kelp.",
        tags=("coastal", "glass", "fresh"),
        paper="butter",
        make=lambda seed: jar(
            None,
            "aqua",
            glass="lagoon",
            density=0.4,
            height=1.25,
            radius=0.5,
            label=mix("snow", "scarlet", stripes(lambda p: (p.x, p.y), 0.12, 0.4, 1.0)),
        ),
    ),
    Design(
        title="Terrazzo candle, citrus grove",
        colour="apricot",
        look="neon",
        price=33.0,
        creator="Casa Lumo",
        description="Apricot concrete pot with coral, teal and white chips, filled with orange-blossom wax.",
        tags=("terrazzo", "citrus", "concrete"),
        paper="mint",
        make=lambda seed: jar(
            ceramic(terrazzo("apricot", ("coral", "teal", "snow", "mustard"), 6, seed), coat=0.2),
            "butter",
            radius=0.6,
            height=0.95,
        ),
    ),
    Design(
        title="Tartan pillar candle, crimson",
        colour="crimson",
        look="vintage",
        price=26.0,
        creator="Bramble",
        description="A fat holly-red pillar with pressed zigzag bands, for the coldest week of the year.",
        tags=("winter", "pillar", "patterned"),
        paper="forest",
        make=lambda seed: pillars(
            [
                (
                    mix("crimson", "gold", lambda p: zigzag(wrap(0.5), 0.2618, 0.2, 0.3)(p) * bands([(0.35, 0.95)])(p)),
                    0.0,
                    0.0,
                    0.5,
                    1.3,
                )
            ]
        ),
    ),
)
