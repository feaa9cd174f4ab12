"""Sneakers: a sole, an upper that narrows upwards, laces; low and high tops. The toe points along +x."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Look, Material, fabric, rubber
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.outline import Plate, smooth_curve
from trainables.data.sample.patterns import (
    Mask,
    checks,
    fade,
    mix,
    speckle,
    step,
    stripes,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import box, capsule, ellipsoid, smooth_common, smooth_cut, union

FOOT = smooth_curve(
    [
        (-1.0, 0.0),
        (-0.9, 0.24),
        (-0.5, 0.29),
        (0.0, 0.29),
        (0.5, 0.38),
        (0.85, 0.3),
        (1.02, 0.06),
        (0.95, -0.2),
        (0.6, -0.33),
        (0.1, -0.29),
        (-0.5, -0.27),
        (-0.9, -0.22),
    ],
    closed=True,
)
LOW = smooth_curve(
    [
        (-0.95, 0.1),
        (-0.99, 0.5),
        (-0.97, 0.84),
        (-0.86, 0.93),
        (-0.55, 0.8),
        (-0.2, 0.82),
        (0.05, 0.78),
        (0.4, 0.57),
        (0.75, 0.45),
        (0.97, 0.33),
        (1.0, 0.16),
        (0.9, 0.06),
        (0.0, 0.06),
    ],
    closed=True,
)
HIGH = smooth_curve(
    [
        (-0.92, 0.1),
        (-0.97, 0.5),
        (-0.9, 0.95),
        (-0.9, 1.3),
        (-0.6, 1.34),
        (-0.28, 1.36),
        (-0.1, 1.0),
        (0.1, 0.78),
        (0.4, 0.57),
        (0.75, 0.45),
        (0.97, 0.33),
        (1.0, 0.16),
        (0.9, 0.06),
        (0.0, 0.06),
    ],
    closed=True,
)

SIDE_MARKS: dict[str, Mask] = {
    "swoop": lambda p: (
        step(0.055 - (p.y - 0.36 - 0.5 * (p.x + 0.35).clamp(-0.6, 0.7) ** 2).abs()) * step(0.42 - (p.x + 0.2).abs())
    ),
    "bars": lambda p: (
        stripes(lambda q: (q.x + 0.45 * q.y, q.y), 0.17, 0.5, upright=True)(p)
        * step(0.26 - (p.x + 0.45 * p.y - 0.12).abs())
    ),
    "star": lambda p: step(
        0.14 * (0.66 + 0.34 * torch.cos(5 * torch.atan2(p.x + 0.52, p.y - 0.88)))
        - torch.sqrt((p.x + 0.52) ** 2 + (p.y - 0.88) ** 2)
    ),
    "bolt": lambda p: (
        step(0.07 - (p.y - 0.52 - 0.16 * ((p.x + 0.1) / 0.2 - torch.round((p.x + 0.1) / 0.2)).abs() * 2 + 0.16).abs())
        * step(0.36 - (p.x + 0.15).abs())
    ),
    "none": lambda p: torch.zeros_like(p.x),
}


def toe_cap(p: Points) -> Tensor:
    """Mask of the toe cap."""
    return step(p.x - 0.58 - 0.5 * (p.y - 0.3))


def heel_counter(p: Points) -> Tensor:
    """Mask of the heel."""
    return step(-0.62 - p.x + 0.25 * (p.y - 0.5))


def sneaker(
    upper: Look,
    *,
    mark: str = "swoop",
    marked: Look = "snow",
    toe: Look | None = None,
    heel: Look | None = None,
    midsole: Look = "snow",
    outsole: Look = "soot",
    lace: Look = "snow",
    lining: Look = "ash",
    high: bool = False,
    chunky: float = 0.0,
    cloth: bool = False,
    seed: int = 1,
) -> Model:
    """A sneaker; `mark` names the figure on its sides, `chunky` thickens the sole, `cloth` makes it canvas."""
    foot, flat = Plate(FOOT, "xz", 0.075 + chunky / 2, 0.05), Plate(HIGH if high else LOW, "xy", 0.6)
    last = Plate(FOOT, "xz", 2.0)

    def sprung(p: Points) -> Points:
        return Points(p.x, p.y - 0.16 * (p.x - 0.45).clamp_min(0) ** 2 - chunky, p.z)

    def top(p: Points) -> Tensor:
        q = sprung(p)
        narrow = 0.97 + 0.5 * (q.y - 0.25).clamp(0, 1.0)
        form = smooth_common(last(Points(q.x * 0.985, q.y, q.z * narrow)), flat(q), 0.2)
        tall = 1.55 if high else 1.06
        hole = ellipsoid(q.at(-0.58 if high else -0.5, tall, 0), (0.3 if high else 0.4, 0.6 if high else 0.42, 0.17))
        return 0.75 * smooth_cut(form, hole, 0.05)

    def sole(p: Points) -> Tensor:
        q = sprung(p)
        wave = 1 + 0.03 * torch.sin(9 * q.x) * (chunky > 0)
        return 0.9 * (foot(Points(q.x, q.y - 0.145 + chunky / 2, q.z * wave)) - 0.015)

    def tread(p: Points) -> Tensor:
        q = sprung(p)
        return 0.45 * foot(Points(q.x, (q.y - 0.06 + chunky) * 2.0, q.z)) - 0.008

    def lacing(p: Points) -> Tensor:
        q = sprung(p)
        rows = [(0.02 + 0.115 * i, 0.785 - 0.07 * i) for i in range(5)]
        if high:
            rows += [(-0.1, 0.98), (-0.2, 1.14)]
        bars = [capsule(q.mirrored_z(), (x, y + 0.05, 0.0), (x - 0.05, y - 0.01, 0.155), 0.032) for x, y in rows]
        x, y = rows[-1] if high else rows[0]
        bow = ellipsoid(q.mirrored_z().at(x - 0.02, y + 0.07, 0.09).turned_x(30), (0.035, 0.022, 0.1))
        return union(*bars, bow)

    def tongue(p: Points) -> Tensor:
        q = sprung(p).at(-0.2 if high else -0.02, 1.27 if high else 0.79, 0)
        return box(Points(q.x, q.y - 0.6 * q.z * q.z, q.z).turned_z(-66 if high else -38), (0.19, 0.03, 0.13), 0.03)

    paint = mix(upper, marked, SIDE_MARKS[mark])
    if toe:
        paint = mix(paint, toe, toe_cap)
    if heel:
        paint = mix(paint, heel, heel_counter)
    skin = fabric(paint, seed, 0.4, 0.004) if cloth else Material(paint=paint, roughness=0.5, coat=0.25)
    return Model(
        parts=(
            Part(top, skin),
            Part(sole, rubber(midsole)),
            Part(tread, rubber(outsole)),
            Part(lacing, fabric(lace, seed, 0.3, 0.0)),
            Part(tongue, fabric(lining, seed, 0.4, 0.004)),
        ),
        view=View(elevation=20, turn=28, reach=1.25),
    )


DESIGNS = (
    Design(
        title="Court sneaker, white and forest",
        colour="snow",
        look="minimal",
        price=95.0,
        creator="Kestrel",
        description="Plain white leather court shoe with a forest-green heel tab and nothing to prove.",
        tags=("leather", "court", "everyday"),
        paper="sage",
        make=lambda seed: sneaker("snow", mark="none", heel="forest", outsole="tan", lining="chalk", seed=seed),
    ),
    Design(
        title="Runner, azure with tangerine swoop",
        colour="azure",
        look="sport",
        price=129.0,
        creator="Kestrel",
        description="Daily trainer in azure knit, tangerine swoop, foam thick enough for marathon weeks.",
        tags=("running", "foam", "knit"),
        paper="butter",
        make=lambda seed: sneaker(
            "azure",
            marked="tangerine",
            toe="cobalt",
            lining="navy",
            outsole="tangerine",
            chunky=0.07,
            cloth=True,
            seed=seed,
        ),
    ),
    Design(
        title="High-top canvas, ink black",
        colour="ink black",
        look="ink",
        price=69.0,
        creator="Otto & Fern",
        description="Black canvas high-top with a white star, white rubber and laces to the ankle.",
        tags=("canvas", "high top", "star"),
        paper="oat",
        make=lambda seed: sneaker(
            "soot", mark="star", marked="snow", toe="snow", high=True, cloth=True, lining="graphite", seed=seed
        ),
    ),
    Design(
        title="Checkerboard slip trainer, black and cream",
        colour="ivory",
        look="vintage",
        price=62.0,
        creator="Saltline",
        description="Skate-park checks over cream canvas, gum sole, reinforced toe.",
        tags=("skate", "checks", "gum sole"),
        paper="terracotta",
        make=lambda seed: sneaker(
            mix("ivory", "ink black", checks(lambda p: (p.x + p.z, p.y - p.z), 0.26, 0.26)),
            mark="none",
            toe="ivory",
            midsole="ivory",
            outsole="tan",
            lace="ivory",
            lining="ivory",
            cloth=True,
            seed=seed,
        ),
    ),
    Design(
        title="Neon chunk runner, lime and fuchsia",
        colour="lime",
        look="neon",
        price=139.0,
        creator="Ludo Lab",
        description="Oversized wave sole, lime shell, fuchsia lightning: visible from across the station.",
        tags=("chunky", "neon", "street"),
        paper="indigo",
        make=lambda seed: sneaker(
            "lime",
            mark="bolt",
            marked="fuchsia",
            toe="ink black",
            heel="fuchsia",
            midsole="snow",
            outsole="fuchsia",
            lace="ink black",
            lining="ink black",
            chunky=0.13,
            seed=seed,
        ),
    ),
    Design(
        title="Retro track shoe, oxblood and cream",
        colour="oxblood",
        look="vintage",
        price=88.0,
        creator="Otto & Fern",
        description="Seventies track flat in oxblood suede with three cream bars and a gum tread.",
        tags=("suede", "track", "retro"),
        paper="powder",
        make=lambda seed: sneaker(
            "oxblood",
            mark="bars",
            marked="ivory",
            heel="ivory",
            midsole="ivory",
            outsole="tan",
            lace="ivory",
            lining="brick",
            cloth=True,
            seed=seed,
        ),
    ),
    Design(
        title="High-top, sunset fade",
        colour="coral",
        look="neon",
        price=110.0,
        creator="Ludo Lab",
        description="Hand-sprayed from violet collar to coral toe on smooth leather, white star at the ankle.",
        tags=("ombre", "high top", "leather"),
        paper="aqua",
        make=lambda seed: sneaker(
            mix("coral", mix("fuchsia", "violet", fade(0.8, 1.3)), fade(0.3, 0.85)),
            mark="star",
            marked="lemon",
            high=True,
            lace="lemon",
            lining="violet",
            seed=seed,
        ),
    ),
    Design(
        title="Trail shoe, olive and mustard",
        colour="olive",
        look="warm_film",
        price=118.0,
        creator="Peak & Pine",
        description="Grippy olive trail runner with mustard bars and a speckled midsole made from offcuts.",
        tags=("trail", "grip", "outdoor"),
        paper="sand",
        make=lambda seed: sneaker(
            "olive",
            mark="bars",
            marked="mustard",
            toe="espresso",
            midsole=mix("linen", "espresso", speckle(14, seed, 0.3, 0.7)),
            outsole="mustard",
            lace="mustard",
            lining="espresso",
            chunky=0.06,
            cloth=True,
            seed=seed,
        ),
    ),
)
