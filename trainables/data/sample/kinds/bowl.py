"""Bowls: turned, thrown or spun, seen from well above so that the inside shows."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Material, ceramic, hammered, lacquer, wood
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.outline import Lathe, smooth_curve, vessel
from trainables.data.sample.patterns import (
    bands,
    gingham,
    inside,
    mix,
    mottle,
    scales,
    terrazzo,
    wrap,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import sphere


def bowl(
    outside: Material,
    inside: Material,
    *,
    radius: float = 1.0,
    height: float = 0.62,
    foot: float = 0.42,
    flare: float = 0.0,
    ribs: int = 0,
) -> Model:
    """A bowl on a foot ring; `flare` opens its rim outwards, `ribs` flutes the wall in that many lobes."""
    outer = smooth_curve(
        [
            (foot, 0.0),
            (foot, 0.07),
            (radius * 0.72 - flare, height * 0.36),
            (radius * 0.95 - flare, height * 0.7),
            (radius, height),
        ]
    )
    solid = Lathe(vessel(outer, 0.06, 0.13))
    cavity = Lathe(
        [
            (0.0, 0.1),
            *((max(r - 0.035, 0.0), max(h, 0.1)) for r, h in outer),
            (radius, height + 0.3),
            (0.0, height + 0.3),
        ]
    )

    def body(p: Points) -> Tensor:
        if not ribs:
            return solid(p)
        lobes = 1 + 0.035 * torch.cos(torch.atan2(p.x, p.z) * ribs) * (p.y / height).clamp(0, 1)
        return 0.85 * solid(Points(p.x * lobes, p.y, p.z * lobes))

    return Model(
        parts=(
            Part(lambda p: torch.maximum(body(p), -cavity(p)), outside),
            Part(lambda p: torch.maximum(body(p), cavity(p)), inside),
        ),
        view=View(elevation=33, turn=-20),
    )


DESIGNS = (
    Design(
        title="Wave-pattern ramen bowl, indigo",
        colour="indigo",
        look="ink",
        price=34.0,
        creator="Mori Works",
        description="Deep porcelain bowl painted with indigo scale waves outside; white inside so the broth shows.",
        tags=("porcelain", "japanese", "noodles"),
        paper="oat",
        make=lambda seed: bowl(
            ceramic(mix("porcelain", "indigo", scales(wrap(0.9), 0.2825, 0.04))), ceramic("porcelain"), height=0.78
        ),
    ),
    Design(
        title="Terrazzo fruit bowl, blush",
        colour="blush",
        look="minimal",
        price=58.0,
        creator="Casa Lumo",
        description="Cast terrazzo in blush with coral, forest and ivory chips; heavy enough never to tip.",
        tags=("terrazzo", "cast", "centrepiece"),
        paper="sage",
        make=lambda seed: bowl(
            ceramic(terrazzo("blush", ("coral", "forest", "ivory", "slate"), 6, seed), coat=0.5),
            ceramic(terrazzo("blush", ("coral", "forest", "ivory", "slate"), 6, seed), coat=0.5),
            foot=0.5,
        ),
    ),
    Design(
        title="Turned walnut salad bowl",
        colour="walnut",
        look="warm_film",
        price=72.0,
        creator="Mori Works",
        description="Turned from one block of walnut and oiled, with the grain running through the rim.",
        tags=("wood", "hand-turned", "salad"),
        paper="linen",
        make=lambda seed: bowl(
            wood("teak", "espresso", seed, "z", 4.0), wood("teak", "espresso", seed, "z", 4.0), foot=0.55, height=0.58
        ),
    ),
    Design(
        title="Hammered brass bowl",
        colour="brass",
        look="vintage",
        price=49.0,
        creator="Maison Oree",
        description="Spun brass, beaten by hand so it scatters candlelight across the table.",
        tags=("brass", "hammered", "decor"),
        paper="aubergine",
        make=lambda seed: bowl(hammered("brass", 4.5, seed), hammered("gold", 4.5, seed + 1), height=0.5, flare=0.06),
    ),
    Design(
        title="Fluted dessert bowl, mint",
        colour="mint",
        look="minimal",
        price=18.0,
        creator="Kiln & Cove",
        description="Twelve soft flutes in a milky mint glaze; made for one scoop more than planned.",
        tags=("fluted", "dessert", "pastel"),
        paper="butter",
        make=lambda seed: bowl(ceramic("mint"), ceramic("snow"), ribs=12, height=0.66, radius=0.95),
    ),
    Design(
        title="Gingham cereal bowl, scarlet",
        colour="scarlet",
        look="vintage",
        price=16.5,
        creator="Otto & Fern",
        description="Picnic-blanket checks around a plain white well, for weekend cereal in bed.",
        tags=("gingham", "breakfast", "retro"),
        paper="aqua",
        make=lambda seed: bowl(
            ceramic(mix("snow", "scarlet", gingham(wrap(0.95), 0.1989))), ceramic("snow"), height=0.7, radius=0.92
        ),
    ),
    Design(
        title="Reactive-glaze serving bowl, lagoon",
        colour="lagoon",
        look="neon",
        price=46.0,
        creator="Kiln & Cove",
        description="Lagoon and petrol glazes run into each other in the kiln; no two bowls pool alike.",
        tags=("reactive glaze", "serving", "large"),
        paper="apricot",
        make=lambda seed: bowl(
            ceramic(mix("petrol", "lagoon", mottle(2.4, seed, 1.4))),
            ceramic(mix("aqua", "lagoon", mottle(2.8, seed + 2, 1.5))),
            flare=0.1,
            height=0.48,
        ),
    ),
    Design(
        title="Lacquer rice bowl, black and crimson",
        colour="crimson",
        look="ink",
        price=27.0,
        creator="Mori Works",
        description="Mirror-black lacquer outside, crimson inside, gold rings at the foot, one gold moon within.",
        tags=("lacquer", "rice", "glossy"),
        paper="fog",
        make=lambda seed: bowl(
            lacquer(mix("ink black", "gold", bands([(0.14, 0.165), (0.2, 0.225), (0.26, 0.285)]))),
            lacquer(mix("crimson", "gold", inside(lambda p: sphere(p.at(0.5, 0.3, -0.25), 0.26)))),
            height=0.74,
            radius=0.9,
            foot=0.36,
        ),
    ),
)
