"""Mugs: a thrown cup with a pulled handle."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Material, ceramic, metal
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.outline import Lathe, smooth_curve, vessel
from trainables.data.sample.patterns import (
    bands,
    dots,
    dripped,
    either,
    letters,
    marble,
    mix,
    petals,
    speckle,
    stripes,
    wrap,
    zigzag,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import bezier_corners, length, path, smooth_union


def _handle(style: str, r: float, h: float, low: float) -> list[tuple[float, float, float]]:
    if style == "square":
        return [(r * 0.9, h * 0.82, 0), (r + 0.36, h * 0.82, 0), (r + 0.36, h * 0.26, 0), (low, h * 0.26, 0)]
    if style == "ear":
        return bezier_corners(
            [(r * 0.9, h * 0.9, 0), (r + 0.75, h * 1.05, 0), (r + 0.25, h * 0.2, 0), (low, h * 0.3, 0)]
        )
    return bezier_corners(
        [(r * 0.9, h * 0.84, 0), (r + 0.62, h * 0.95, 0), (r + 0.55, h * 0.12, 0), (low, h * 0.22, 0)]
    )


def mug(
    glaze: Material,
    *,
    radius: float = 0.62,
    height: float = 1.3,
    belly: float = 0.0,
    taper: float = 0.0,
    handle: str = "loop",
    lining: Material | None = None,
) -> Model:
    """A mug `height` tall; `belly` swells its middle, `taper` narrows its foot; `lining` glazes the inside."""
    foot = radius * (1 - taper)
    outer = smooth_curve(
        [
            (foot * 0.86, 0.0),
            (foot * 0.97, 0.05),
            (foot + 0.4 * belly, height * 0.22),
            (radius + belly - taper * radius * 0.35, height * 0.55),
            (radius, height),
        ]
    )
    cup = Lathe(vessel(outer, 0.075, 0.12))
    corners = _handle(handle, radius, height, radius * (0.9 - taper * 0.6))

    def body(p: Points) -> Tensor:
        grip = path(Points(p.x, p.y, p.z * 0.72), corners, 0.085)
        return smooth_union(cup(p), torch.maximum(grip, radius * 0.8 - length(p.x, p.z)), 0.07)

    # The lining claims the inner half of the wall.
    inner = Lathe(
        [
            (0.0, 0.06),
            *((max(r - 0.04, 0.0), max(h, 0.06)) for r, h in outer),
            (radius - 0.04, height + 0.2),
            (0.0, height + 0.2),
        ]
    )
    parts = [Part(body, glaze)]
    if lining is not None:
        parts = [
            Part(lambda p: torch.maximum(body(p), -inner(p)), glaze),
            Part(lambda p: torch.maximum(body(p), inner(p)), lining),
        ]
    return Model(parts=tuple(parts), view=View(elevation=22, turn=-40))


DESIGNS = (
    Design(
        title="Striped stoneware mug, cobalt",
        colour="cobalt",
        look="sport",
        price=24.0,
        creator="Kiln & Cove",
        description="Straight-sided mug with hand-brushed cobalt rings on warm white; holds a proper 350 ml.",
        tags=("stoneware", "striped", "dishwasher safe"),
        paper="oat",
        make=lambda seed: mug(ceramic(mix("ivory", "cobalt", stripes(wrap(), 0.22))), lining=ceramic("ivory")),
    ),
    Design(
        title="Drip-glaze mug, cream over terracotta",
        colour="terracotta",
        look="warm_film",
        price=28.0,
        creator="Kiln & Cove",
        tags=("handmade", "drip glaze", "terracotta"),
        paper="blush",
        description="A round-bellied mug dipped by hand, so every cream drip line ends somewhere else.",
        make=lambda seed: mug(
            ceramic(mix("terracotta", "ivory", dripped(0.85, 0.5, seed))),
            belly=0.1,
            handle="ear",
            lining=ceramic("ivory"),
        ),
    ),
    Design(
        title="Polka-dot mug, mustard",
        colour="mustard",
        look="vintage",
        price=19.5,
        creator="Otto & Fern",
        description="Cheerful mustard diner mug with white dots and a square handle that fits three fingers.",
        tags=("polka dots", "retro", "breakfast"),
        paper="sage",
        make=lambda seed: mug(
            ceramic(mix("mustard", "ivory", dots(wrap(0.62), 0.22, 0.07, 18, 0.62))),
            handle="square",
            taper=0.2,
            lining=ceramic("ivory"),
        ),
    ),
    Design(
        title="Marbled cappuccino cup, black and white",
        colour="chalk",
        look="ink",
        price=32.0,
        creator="Norra Form",
        description="Wide low cup in swirled porcelain, veined like Marquina marble, for a double shot and foam.",
        tags=("marble", "porcelain", "coffee"),
        paper="ash",
        make=lambda seed: mug(
            ceramic(mix("chalk", "ink black", marble(1.1, seed, 0.055))),
            height=0.98,
            radius=0.72,
            taper=0.15,
            lining=ceramic("snow"),
        ),
    ),
    Design(
        title="Speckled oat mug, matte",
        colour="oat",
        look="minimal",
        price=26.0,
        creator="Norra Form",
        description="Tall unglazed-feel mug, iron speckle on oat clay, softly waisted for two hands.",
        tags=("speckled", "matte", "scandinavian"),
        paper="powder",
        make=lambda seed: mug(
            ceramic(mix("linen", "espresso", speckle(11, seed, 0.3, 0.7)), coat=0.15), height=1.42, belly=0.06
        ),
    ),
    Design(
        title="Daisy chain mug, peony pink",
        colour="peony",
        look="vintage",
        price=21.0,
        creator="Otto & Fern",
        description="White daisies printed all the way round a flared pink mug; the inside is plain white.",
        tags=("floral", "gift", "tapered"),
        paper="snow",
        make=lambda seed: mug(
            ceramic(mix("peony", "snow", petals(wrap(0.62), 0.3))), taper=0.25, lining=ceramic("snow")
        ),
    ),
    Design(
        title="Zigzag camping mug, tangerine",
        colour="tangerine",
        look="neon",
        price=17.0,
        creator="Peak & Pine",
        description="Light enamel mug with a loud orange zigzag that nobody at camp will take for theirs.",
        tags=("enamel", "outdoor", "chevron"),
        paper="teal",
        make=lambda seed: mug(
            ceramic(mix("tangerine", "ivory", zigzag(wrap(0.62), 0.325, 0.3))), taper=0.06, lining=ceramic("ivory")
        ),
    ),
    Design(
        title="Insulated steel mug, forest band",
        colour="forest",
        look="sport",
        price=29.0,
        creator="Peak & Pine",
        description="Double-walled brushed steel with a powder-coated forest sleeve and the maker's lettering.",
        tags=("steel", "insulated", "travel"),
        paper="fog",
        make=lambda seed: mug(
            ceramic(
                mix(
                    mix("forest", "lime", letters(wrap(0.62), 0.2, 0.5, seed)),
                    "steel",
                    either(bands([(-1, 0.12), (1.12, 2)])),
                ),
                coat=0.5,
            ),
            handle="square",
            lining=metal("steel", 0.3),
        ),
    ),
)
