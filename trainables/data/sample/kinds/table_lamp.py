"""Table lamps, switched on: a base, a stem and a glowing shade."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Look, Material, ceramic, glowing, lacquer, metal, wood
from trainables.data.sample.model import Design, Lamp, Model, Part, View
from trainables.data.sample.outline import Corner, Lathe, smooth_curve
from trainables.data.sample.patterns import fade, marble, mix, mottle, stripes, wrap, zigzag
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    bezier_corners,
    capsule,
    cone,
    cylinder,
    path,
    shell,
    smooth_union,
    sphere,
    union,
)

BASES: dict[str, list[Corner]] = {
    "gourd": [(0.0, 0.0), (0.34, 0.0), (0.42, 0.2), (0.36, 0.45), (0.16, 0.62), (0.27, 0.8), (0.08, 1.02), (0.0, 1.05)],
    "ball": [(0.0, 0.0), (0.22, 0.0), (0.44, 0.28), (0.42, 0.6), (0.14, 0.86), (0.06, 1.02), (0.0, 1.05)],
    "column": [(0.0, 0.0), (0.4, 0.0), (0.4, 0.1), (0.12, 0.16), (0.1, 0.6), (0.1, 1.0), (0.0, 1.05)],
    "jar": [(0.0, 0.0), (0.3, 0.0), (0.36, 0.08), (0.44, 0.6), (0.3, 0.86), (0.08, 0.96), (0.0, 1.05)],
}


def lamp(
    base: Material,
    shade: Look,
    body: str = "gourd",
    *,
    bottom: float = 0.7,
    top: float = 0.45,
    tall: float = 0.75,
    fitting: Material | None = None,
    glow: float = 0.65,
    warmth: float = 0.3,
) -> Model:
    """A lamp whose drum shade, open above and below, is `bottom` and `top` wide (radii)."""
    foot = Lathe(smooth_curve(BASES[body]))
    low = 1.12

    def drum(p: Points) -> Tensor:
        q = p.at(y=low + tall / 2)
        return torch.maximum(shell(cone(q, bottom, top, tall / 2 + 0.1), 0.03), q.y.abs() - tall / 2)

    def stem(p: Points) -> Tensor:
        holder = union(
            capsule(p, (0, 0.9, 0), (0, low + tall * 0.3, 0), 0.035), sphere(p.at(y=low + tall * 0.45), 0.13)
        )
        # A pull cord with a knob, to one side: round lamps would not be seen to turn without it.
        side = bottom * 0.6
        cord = capsule(p, (side, low + 0.1, 0.2), (side, low - 0.24, 0.2), 0.014)
        return union(holder, cord, sphere(p.at(side, low - 0.28, 0.2), 0.05))

    brass = fitting or metal("brass", 0.25)
    lit = Material(paint=mix(shade, "butter", lambda p: warmth * fade(low + tall, low)(p)), roughness=0.9, glow=glow)
    return Model(
        parts=(Part(foot, base), Part(drum, lit), Part(stem, brass)),
        lamps=(Lamp((0, low + tall * 0.4, 0), "apricot", 0.25),),
        view=View(elevation=14, turn=-20),
    )


def globe(base: Material, look: Look, *, arms: int = 0) -> Model:
    """Milky glass globes: one hung from an arc, or up to three on bent `arms`."""
    if arms:
        spots = [(-0.42, 1.1, 0.12, 0.3), (0.4, 1.5, 0.05, 0.34), (0.05, 0.72, -0.35, 0.24)][:arms]
        curves = [[(0, 0.06, 0), (0, y * 0.7, 0), (x, y * 0.6, z), (x, y - r, z)] for x, y, z, r in spots]
    else:
        spots = [(0.28, 1.2, 0.0, 0.38)]
        curves = [[(-0.3, 0.06, 0), (-0.62, 2.1, 0), (0.28, 2.35, 0), (0.28, 1.5, 0)]]
    paths = [bezier_corners(curve, 10) for curve in curves]

    def rods(p: Points) -> Tensor:
        tubes = [path(p, corners, 0.035) for corners in paths]
        return union(cylinder(p.at(y=0.05), 0.45, 0.05, 0.03), *tubes)

    def balls(p: Points) -> Tensor:
        return union(*(sphere(p.at(x, y, z), r) for x, y, z, r in spots))

    milk = Material(paint=mix(look, "butter", lambda p: torch.full_like(p.x, 0.25)), roughness=0.35, coat=0.6, glow=0.6)
    return Model(
        parts=(Part(rods, base), Part(balls, milk)),
        lamps=tuple(Lamp((x, y, z), "butter", 0.14) for x, y, z, _ in spots),
        view=View(elevation=14, turn=-20),
    )


def desk(body: Material, joint: Material, tint: str = "lemon") -> Model:
    """An angled desk lamp: weighted foot, two arms, a conical head looking down."""
    elbow, head = (-0.55, 1.0, 0.0), (0.42, 1.62, 0.0)

    def arms(p: Points) -> Tensor:
        return union(
            cylinder(p.at(x=-0.2, y=0.05), 0.42, 0.05, 0.03),
            capsule(p, (-0.2, 0.08, 0), elbow, 0.035),
            capsule(p, elbow, head, 0.035),
        )

    def cup(p: Points) -> Tensor:
        q = p.at(0.58, 1.42, 0).turned_z(28)
        return torch.maximum(
            shell(smooth_union(cone(q, 0.38, 0.14, 0.24), sphere(q.at(y=0.24), 0.13), 0.05), 0.03), -(q.y + 0.22)
        )

    def bulb(p: Points) -> Tensor:
        return sphere(p.at(0.6, 1.34, 0), 0.13)

    def joints(p: Points) -> Tensor:
        return union(sphere(p.at(*elbow), 0.075), sphere(p.at(*head), 0.07), sphere(p.at(-0.2, 0.12, 0), 0.07))

    return Model(
        parts=(Part(arms, body), Part(cup, body), Part(bulb, glowing("butter", 2.0)), Part(joints, joint)),
        lamps=(Lamp((0.66, 1.05, 0), tint, 0.22),),
        view=View(elevation=14, turn=10, reach=1.4),
    )


DESIGNS = (
    Design(
        title="Gourd lamp, celadon with linen shade",
        colour="celadon",
        look="warm_film",
        price=129.0,
        creator="Casa Lumo",
        description="Double-gourd base in pooled celadon, linen shade that turns the room the colour of tea.",
        tags=("ceramic", "linen shade", "bedside"),
        paper="sand",
        make=lambda seed: lamp(ceramic(mix("celadon", "sage", mottle(2.5, seed))), "linen"),
    ),
    Design(
        title="Pleated lamp, oxblood and brass",
        colour="oxblood",
        look="vintage",
        price=149.0,
        creator="Maison Oree",
        description="Brass candlestick base under a pleated oxblood shade, straight out of a hotel bar.",
        tags=("pleated", "brass", "hotel"),
        paper="petrol",
        make=lambda seed: lamp(
            metal("brass", 0.18),
            mix("crimson", "oxblood", stripes(wrap(0.6), 0.0942, 0.5, upright=True)),
            "column",
            bottom=0.75,
            top=0.35,
            tall=0.7,
        ),
    ),
    Design(
        title="Opal globe lamp, black base",
        colour="snow",
        look="minimal",
        price=98.0,
        creator="Norra Form",
        description="One milky globe hung from an arc of black steel. Nothing else.",
        tags=("globe", "steel", "dimmable"),
        paper="slate",
        make=lambda seed: globe(metal("gunmetal", 0.35), "snow"),
    ),
    Design(
        title="Three-globe lamp, rose gold",
        colour="rose gold",
        look="neon",
        price=165.0,
        creator="Casa Lumo",
        description="Blush globes at three heights on curling rose-gold rods, like a slow-motion bubble.",
        tags=("globes", "rose gold", "statement"),
        paper="indigo",
        make=lambda seed: globe(metal("rose gold", 0.15), "blush", arms=3),
    ),
    Design(
        title="Architect's desk lamp, signal yellow",
        colour="lemon",
        look="sport",
        price=89.0,
        creator="Halden",
        description="Steel arms, yellow enamel head, joints that stay exactly where you leave them.",
        tags=("desk", "adjustable", "enamel"),
        paper="slate",
        make=lambda seed: desk(lacquer("lemon"), metal("steel", 0.25)),
    ),
    Design(
        title="Marble ball lamp, black shade",
        colour="ink black",
        look="ink",
        price=139.0,
        creator="Norra Form",
        description="A ball of veined marble below a black drum with a gold-lined inside.",
        tags=("marble", "monochrome", "living room"),
        paper="ash",
        make=lambda seed: lamp(
            ceramic(mix("porcelain", "ink black", marble(1.5, seed, 0.05))),
            mix("soot", "graphite", stripes(wrap(), 0.1, 0.5)),
            "ball",
            bottom=0.66,
            top=0.62,
            tall=0.7,
            glow=0.15,
            warmth=0.08,
        ),
    ),
    Design(
        title="Harlequin lamp, tangerine and teal",
        colour="tangerine",
        look="neon",
        price=110.0,
        creator="Ludo Lab",
        description="A zigzag jar base in teal and cream with a tangerine shade that glows like a lantern.",
        tags=("colourful", "zigzag", "kids room"),
        paper="lilac",
        make=lambda seed: lamp(
            ceramic(mix("ivory", "teal", zigzag(wrap(0.42), 0.2199, 0.22, 0.5))),
            "tangerine",
            "jar",
            bottom=0.62,
            top=0.5,
        ),
    ),
    Design(
        title="Walnut desk lamp, brass joints",
        colour="walnut",
        look="warm_film",
        price=119.0,
        creator="Mori Works",
        description="Oiled walnut arms and shade, turned on a lathe, pinned with solid brass.",
        tags=("walnut", "desk", "handmade"),
        paper="celadon",
        make=lambda seed: desk(wood("teak", "espresso", seed, "y", 6), metal("brass", 0.2), "apricot"),
    ),
)
