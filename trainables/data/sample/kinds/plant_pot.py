"""Plant pots, planted: cacti, succulents, snake plants and little trees."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainables.data.sample.materials import Material, ceramic, metal, wood
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.noise import fractal
from trainables.data.sample.outline import Lathe, vessel
from trainables.data.sample.patterns import (
    bands,
    diamonds,
    dripped,
    either,
    fade,
    marble,
    mix,
    mottle,
    speckle,
    stripes,
    terrazzo,
    wrap,
    zigzag,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    bezier_corners,
    capsule,
    cylinder,
    ellipsoid,
    path,
    smooth_union,
    sphere,
    union,
)


def cactus(level: float) -> list[Part]:
    """A ribbed column with two arms and a flower."""

    def flesh(p: Points) -> Tensor:
        trunk = capsule(p, (0, level, 0), (0, level + 0.85, 0), 0.21)
        arms = torch.minimum(
            path(p, [(0, level + 0.3, 0), (0.36, level + 0.32, 0), (0.38, level + 0.62, 0)], 0.11),
            path(p, [(0, level + 0.48, 0), (-0.3, level + 0.5, 0.05), (-0.32, level + 0.85, 0.05)], 0.1),
        )
        ribs = 0.018 * torch.cos(torch.atan2(p.x, p.z) * 12)
        return 0.85 * (smooth_union(trunk, arms, 0.06) + ribs)

    def flower(p: Points) -> Tensor:
        q = p.at(y=level + 1.06).around_y(6)
        return ellipsoid(q.at(z=0.07, y=0.02).turned_x(-35), (0.05, 0.025, 0.09))

    spines = mix("fern", "mint", stripes(wrap(), math.pi / 6, 0.25, upright=True))
    return [Part(flesh, ceramic(spines, coat=0.1)), Part(flower, ceramic("fuchsia", coat=0.1))]


def succulent(level: float) -> list[Part]:
    """A rosette of three rings of fleshy leaves."""

    def leaves(p: Points) -> Tensor:
        rings = []
        for count, tilt, out, size, phase in ((9, 18, 0.4, 0.3, 0), (8, 40, 0.27, 0.26, 20), (6, 62, 0.13, 0.2, 5)):
            q = p.at(y=level + 0.1).around_y(count, phase).at(z=out, y=0.03 + 0.16 * math.sin(math.radians(tilt)))
            rings.append(ellipsoid(q.turned_x(-tilt), (size * 0.42, size * 0.2, size)))
        return 0.9 * union(*rings)

    tips = mix("celadon", "rose", fade(level + 0.22, level + 0.48))
    return [Part(leaves, ceramic(tips, coat=0.15))]


def snake_plant(level: float) -> list[Part]:
    """Upright sword leaves with yellow margins."""
    blades = [
        (0.0, 0.0, 1.15, 6, 10),
        (0.2, 0.1, 0.85, 18, 60),
        (-0.2, 0.06, 0.95, -16, -50),
        (0.06, -0.2, 0.75, 10, 95),
        (-0.1, 0.22, 0.6, -12, 20),
    ]

    def local(p: Points, blade: tuple[float, ...]) -> Points:
        x, z, _, lean, turn = blade
        return p.at(x, level, z).turned_y(turn).turned_z(-lean)

    def leaf(p: Points, blade: tuple[float, ...]) -> Tensor:
        tall = blade[2]
        q = local(p, blade)
        q = Points(q.x, q.y, q.z - 1.4 * q.x * q.x)
        return ellipsoid(q.at(y=tall * 0.44), (0.13, tall * 0.56, 0.035))

    def all_leaves(p: Points) -> Tensor:
        return 0.8 * union(*(leaf(p, b) for b in blades))

    def margin(p: Points) -> Tensor:
        inner = union(*(ellipsoid(local(p, b).at(y=b[2] * 0.44), (0.095, b[2] * 0.51, 0.3)) for b in blades))
        return (inner / 0.02 + 0.5).clamp(0, 1)

    green = mix("forest", "fern", stripes(lambda p: (p.x, p.y), 0.12, 0.4, 0.4))
    return [Part(all_leaves, ceramic(mix(green, "lemon", margin), coat=0.35))]


def ball_tree(level: float, seed: int, leaf: str = "fern", fruit: str | None = None) -> list[Part]:
    """A clipped ball on a stem, perhaps with fruit."""

    def crown(p: Points) -> Tensor:
        q = p.at(y=level + 0.85)
        return 0.7 * (sphere(q, 0.46) - 0.14 * (fractal(p, 4.5, seed, 2) - 0.5))

    def stem(p: Points) -> Tensor:
        return path(p, bezier_corners([(0, level - 0.05, 0), (0.07, level + 0.2, 0), (0, level + 0.6, 0)], 5), 0.045)

    parts = [
        Part(crown, ceramic(mix(leaf, "forest", mottle(6, seed, 1.4)), coat=0.1)),
        Part(stem, wood("teak", "espresso", seed)),
    ]
    if fruit:

        def fruits(p: Points) -> Tensor:
            spots = (
                (0.4, 0.1, 0.15),
                (-0.3, 0.2, 0.3),
                (0.05, -0.15, 0.44),
                (0.2, 0.3, -0.3),
                (-0.42, -0.1, -0.08),
                (-0.1, 0.36, 0.22),
                (0.1, -0.1, -0.44),
            )
            return union(*(sphere(p.at(x, level + 0.85 + y, z), 0.085) for x, y, z in spots))

        parts.append(Part(fruits, ceramic(fruit, coat=0.7)))
    return parts


def pot(
    glaze: Material,
    plant: list[Part],
    *,
    radius: float = 0.55,
    foot: float = 0.4,
    height: float = 0.8,
    collar: bool = False,
    legs: Material | None = None,
) -> Model:
    """A planted pot `height` tall; a `collar` rims it, `legs` lift it on three feet. Plants grow from 0.9·height."""
    lift = 0.22 if legs else 0.0
    outer = [(foot * 0.96, lift), (foot, lift + 0.03), (radius - 0.02, height * 0.8), (radius, height)]
    if collar:
        outer = [
            (foot * 0.96, lift),
            (foot, lift + 0.03),
            (radius - 0.07, height * 0.74),
            (radius, height * 0.745),
            (radius + 0.02, height),
        ]
    hull = Lathe(vessel(outer, 0.06, lift + 0.1))
    soil = Part(
        lambda p: cylinder(p.at(y=height * 0.8), radius - 0.08, height * 0.07, 0.02),
        ceramic(mix("espresso", "walnut", mottle(9, 3)), coat=0),
    )
    parts = [Part(hull, glaze), soil, *plant]
    if legs:
        parts.append(
            Part(lambda p: capsule(p.around_y(3), (0, height * 0.5, foot * 0.9), (0, 0.03, foot * 1.25), 0.035), legs)
        )
    return Model(parts=tuple(parts), view=View(elevation=18, turn=-20))


DESIGNS = (
    Design(
        title="Terracotta pot with saguaro cactus",
        colour="terracotta",
        look="warm_film",
        price=22.0,
        creator="Bramble",
        description="A plain clay pot with a rolled collar and a two-armed cactus in flower.",
        tags=("cactus", "clay", "sunny sill"),
        paper="aqua",
        make=lambda seed: pot(
            ceramic(mix("terracotta", "apricot", mottle(2, seed)), coat=0.05), cactus(0.72), collar=True
        ),
    ),
    Design(
        title="Marbled planter with snake plant",
        colour="porcelain",
        look="minimal",
        price=48.0,
        creator="Norra Form",
        description="White marbled porcelain on oak legs; the snake plant forgives forgotten watering.",
        tags=("snake plant", "oak legs", "low care"),
        paper="blush",
        make=lambda seed: pot(
            ceramic(mix("porcelain", "slate", marble(1.4, seed, 0.05))),
            snake_plant(0.85),
            radius=0.5,
            foot=0.44,
            height=0.95,
            legs=wood("oak", "teak", seed),
        ),
    ),
    Design(
        title="Confetti pot with rosette succulent",
        colour="snow",
        look="neon",
        price=19.0,
        creator="Casa Lumo",
        description="Party-coloured chips in white terrazzo around a plump pink-tipped rosette.",
        tags=("succulent", "terrazzo", "desk"),
        paper="lilac",
        make=lambda seed: pot(
            ceramic(terrazzo("snow", ("fuchsia", "lemon", "lagoon", "tangerine", "violet"), 6, seed), coat=0.4),
            succulent(0.66),
            radius=0.62,
            foot=0.52,
            height=0.7,
        ),
    ),
    Design(
        title="Blue-and-white pot with orange tree",
        colour="cobalt",
        look="vintage",
        price=59.0,
        creator="Maison Oree",
        description="Trellis-painted cachepot with a clipped little orange tree, fruit and all.",
        tags=("citrus", "trellis", "conservatory"),
        paper="apricot",
        make=lambda seed: pot(
            ceramic(
                mix(
                    "porcelain",
                    "cobalt",
                    either(diamonds(wrap(0.5), 0.2618, 0.26, 0.035), bands([(-1, 0.06), (0.72, 2)])),
                )
            ),
            ball_tree(0.75, seed, fruit="tangerine"),
            radius=0.56,
            foot=0.42,
            height=0.85,
        ),
    ),
    Design(
        title="Black drip pot with cactus",
        colour="ink black",
        look="ink",
        price=31.0,
        creator="Kiln & Cove",
        description="Ink-black glaze running over raw white clay, and one stubborn cactus.",
        tags=("cactus", "drip glaze", "monochrome"),
        paper="fog",
        make=lambda seed: pot(
            ceramic(mix("chalk", "ink black", dripped(0.55, 0.4, seed))), cactus(0.72), radius=0.58, foot=0.5
        ),
    ),
    Design(
        title="Retro legged planter, mustard",
        colour="mustard",
        look="vintage",
        price=44.0,
        creator="Otto & Fern",
        description="Sixties mustard bowl on splayed brass legs with a neat round myrtle.",
        tags=("mid-century", "brass legs", "topiary"),
        paper="teal",
        make=lambda seed: pot(
            ceramic(mix("mustard", "ivory", bands([(0.62, 0.67), (0.72, 0.75)]))),
            ball_tree(0.85, seed, "olive"),
            radius=0.58,
            foot=0.5,
            height=0.92,
            legs=metal("brass", 0.2),
        ),
    ),
    Design(
        title="Zigzag basket pot, violet and mint",
        colour="violet",
        look="sport",
        price=27.0,
        creator="Ludo Lab",
        description="Bold chevrons in violet and mint, light enough to hang, planted with striped sansevieria.",
        tags=("chevron", "hanging", "graphic"),
        paper="butter",
        make=lambda seed: pot(
            ceramic(mix("violet", "mint", zigzag(wrap(0.55), 0.2879, 0.25, 0.5)), coat=0.3),
            snake_plant(0.74),
            radius=0.55,
            foot=0.5,
        ),
    ),
    Design(
        title="Speckled sage pot with echeveria",
        colour="sage",
        look="minimal",
        price=24.0,
        creator="Kiln & Cove",
        description="Quiet sage stoneware with iron speckle; the rosette opens wider every spring.",
        tags=("stoneware", "succulent", "speckled"),
        paper="terracotta",
        make=lambda seed: pot(
            ceramic(mix("sage", "espresso", speckle(11, seed, 0.25, 0.6)), coat=0.25),
            succulent(0.8),
            radius=0.52,
            foot=0.36,
            height=0.86,
        ),
    ),
)
