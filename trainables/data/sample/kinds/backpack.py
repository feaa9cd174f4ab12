"""Backpacks: day packs, roll-tops and rucksacks, standing upright. The front is +z."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Material, fabric, leather, metal, plastic
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.patterns import (
    around_box,
    bands,
    mix,
    petals,
    stripes,
    zigzag,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    arc,
    bezier_corners,
    box,
    capsule,
    cylinder,
    path,
    smooth_union,
    union,
)


def _straps(p: Points) -> Tensor:
    q = p.mirrored_x()
    bend = bezier_corners([(0.13, 1.38, -0.26), (0.15, 1.26, -0.62), (0.17, 0.6, -0.66), (0.22, 0.18, -0.28)], 7)
    padded = path(Points(q.x * 0.55, q.y, q.z), bend, 0.055)
    return 0.55 * padded


def _handle(p: Points, top: float) -> Tensor:
    return arc(p.at(y=top - 0.02, z=-0.16), 0.15, 0.035, 100)


def daypack(
    body: Material,
    pocket: Material,
    trim: Material,
    *,
    tall: float = 1.5,
    wide: float = 0.54,
    zips: Material | None = None,
) -> Model:
    """A rounded pack with a front pocket, zips and side straps."""

    def sack(p: Points) -> Tensor:
        q = p.at(y=tall / 2)
        narrow = 1 + 0.16 * (q.y / tall + 0.1).clamp_min(0)
        return 0.85 * box(Points(q.x * narrow, q.y, q.z * narrow), (wide, tall / 2, 0.34), 0.26)

    def pouch(p: Points) -> Tensor:
        return box(p.at(y=tall * 0.31, z=0.3), (wide * 0.8, tall * 0.25, 0.17), 0.13)

    def zippers(p: Points) -> Tensor:
        line = torch.maximum(
            torch.maximum(
                box(p.at(y=tall * 0.31, z=0.3), (wide * 0.8 + 0.012, tall * 0.25 + 0.012, 0.182), 0.14),
                (p.y - tall * 0.49).abs() - 0.018,
            ),
            0.2 - p.z,
        )
        seam = torch.maximum(sack(p) - 0.012, (p.z - 0.12 + 0.1 * (p.y - tall).abs() * 0).abs() - 0.016)
        return union(line, torch.maximum(seam, tall * 0.45 - p.y))

    def webbing(p: Points) -> Tensor:
        return union(_straps(p), _handle(p, tall))

    def pulls(p: Points) -> Tensor:
        return union(
            capsule(p, (0.2, tall * 0.48, 0.48), (0.2, tall * 0.41, 0.5), 0.022),
            capsule(p, (-0.42, tall * 0.62, 0.16), (-0.43, tall * 0.55, 0.18), 0.02),
        )

    metalwork = zips or metal("steel", 0.25)
    return Model(
        parts=(Part(sack, body), Part(pouch, pocket), Part(zippers, trim), Part(webbing, trim), Part(pulls, metalwork)),
        view=View(elevation=15, turn=-30, reach=1.0),
    )


def rucksack(
    body: Material,
    flap: Material,
    straps: Material,
    buckles: Material,
    *,
    roll: Material | None = None,
    side_pockets: bool = True,
) -> Model:
    """A rucksack with a flap closed by two buckled straps, and perhaps a blanket roll on top."""

    def sack(p: Points) -> Tensor:
        main = box(p.at(y=0.64), (0.52, 0.62, 0.32), 0.18)
        if not side_pockets:
            return main
        return union(main, box(p.mirrored_x().at(x=0.54, y=0.42, z=0.04), (0.13, 0.3, 0.2), 0.1))

    def lid(p: Points) -> Tensor:
        top = box(p.at(y=1.16, z=0.03), (0.545, 0.2, 0.37), 0.16)
        tongue = box(p.at(y=0.98, z=0.34), (0.5, 0.26, 0.06), 0.05)
        return smooth_union(top, tongue, 0.06)

    def belts(p: Points) -> Tensor:
        strips = box(p.mirrored_x().at(x=0.25, y=0.66, z=0.36), (0.055, 0.5, 0.06), 0.03)
        over = box(p.mirrored_x().at(x=0.25, y=1.2, z=0.05), (0.055, 0.19, 0.375), 0.16)
        return union(strips, over, _straps(p), _handle(p, 1.34))

    def clasps(p: Points) -> Tensor:
        q = p.mirrored_x().at(x=0.25, y=0.6, z=0.42)
        return torch.maximum(box(q, (0.085, 0.075, 0.025), 0.01), -box(q, (0.05, 0.04, 0.1)))

    parts = [Part(sack, body), Part(lid, flap), Part(belts, straps), Part(clasps, buckles)]
    if roll:

        def blanket(p: Points) -> Tensor:
            q = p.at(y=1.5, z=0.0)
            turned = Points(q.y, q.x, q.z)
            return cylinder(turned, 0.17, 0.56, 0.05)

        parts.append(Part(blanket, roll))
    return Model(parts=tuple(parts), view=View(elevation=15, turn=-30, reach=1.0))


DESIGNS = (
    Design(
        title="Canvas rucksack, olive and cognac",
        colour="olive",
        look="warm_film",
        price=149.0,
        creator="Bramble",
        description="Waxed olive canvas, cognac straps, solid brass buckles and two side pockets for a thermos.",
        tags=("waxed canvas", "leather", "hiking"),
        paper="sand",
        make=lambda seed: rucksack(
            fabric("olive", seed, 0.3, 0.004),
            fabric("olive", seed, 0.3, 0.004),
            leather("cognac", seed),
            metal("brass", 0.2),
        ),
    ),
    Design(
        title="Commuter pack, slate with lime zips",
        colour="slate",
        look="sport",
        price=98.0,
        creator="Kestrel",
        description="Slate ripstop with lime zips, a laptop sleeve and a pocket just for keys.",
        tags=("commuter", "laptop", "ripstop"),
        paper="powder",
        make=lambda seed: daypack(
            fabric("slate", seed, 0.2, 0.002),
            fabric("graphite", seed, 0.2, 0.002),
            plastic("lime"),
            zips=plastic("lime"),
        ),
    ),
    Design(
        title="School pack, zigzag coral",
        colour="coral",
        look="neon",
        price=55.0,
        creator="Ludo Lab",
        description="Coral zigzags over violet, reflective trim, survives being swung at railings.",
        tags=("school", "zigzag", "reflective"),
        paper="aqua",
        make=lambda seed: daypack(
            fabric(mix("violet", "coral", zigzag(around_box, 0.36, 0.24, 0.5)), seed, 0.3, 0.002),
            fabric("coral", seed, 0.3, 0.002),
            plastic("lemon"),
        ),
    ),
    Design(
        title="Leather backpack, ink black",
        colour="ink black",
        look="ink",
        price=265.0,
        creator="Maison Oree",
        description="Full-grain black hide, gunmetal buckles, a lid that closes with a quiet thud.",
        tags=("leather", "city", "structured"),
        paper="ash",
        make=lambda seed: rucksack(
            leather("soot", seed, 0.5),
            leather("soot", seed, 0.5),
            leather("graphite", seed, 0.5),
            metal("silver", 0.2),
            side_pockets=False,
        ),
    ),
    Design(
        title="Daypack, sand with walnut trim",
        colour="sand",
        look="minimal",
        price=89.0,
        creator="Norra Form",
        description="Undyed cotton, brown trim, no logo anywhere.",
        tags=("cotton", "undyed", "everyday"),
        paper="sage",
        make=lambda seed: daypack(
            fabric("oat", seed, 0.3, 0.004), fabric("sand", seed, 0.3, 0.004), leather("walnut", seed, 0.2)
        ),
    ),
    Design(
        title="Scout rucksack with blanket roll, navy",
        colour="navy",
        look="vintage",
        price=135.0,
        creator="Otto & Fern",
        description="Navy duck canvas with a striped wool blanket rolled under the handle.",
        tags=("scout", "blanket", "canvas"),
        paper="apricot",
        make=lambda seed: rucksack(
            fabric("navy", seed, 0.3, 0.004),
            fabric("navy", seed, 0.3, 0.004),
            leather("tan", seed),
            metal("brass", 0.2),
            roll=fabric(mix("ivory", "scarlet", stripes(lambda p: (p.y, p.x), 0.26, 0.3)), seed, 0.6, 0.006),
        ),
    ),
    Design(
        title="Picnic pack, lilac petals",
        colour="lilac",
        look="vintage",
        price=62.0,
        creator="Saltline",
        description="Lilac canvas printed with cream flowers; insulated inside for cold lemonade.",
        tags=("floral", "insulated", "picnic"),
        paper="butter",
        make=lambda seed: daypack(
            fabric(mix("lilac", "ivory", petals(around_box, 0.26, 5, 0.42)), seed, 0.3, 0.002),
            fabric("violet", seed, 0.3, 0.002),
            leather("tan", seed),
        ),
    ),
    Design(
        title="Trail pack, tangerine block",
        colour="tangerine",
        look="sport",
        price=120.0,
        creator="Peak & Pine",
        description="Bright blocks of tangerine and petrol that search parties appreciate; 22 litres.",
        tags=("trail", "colour block", "22 l"),
        paper="fern",
        make=lambda seed: daypack(
            fabric(
                mix("petrol", mix("tangerine", "butter", bands([(0.98, 1.06)])), bands([(0.7, 3)])), seed, 0.2, 0.002
            ),
            fabric("petrol", seed, 0.2, 0.002),
            plastic("soot"),
            tall=1.62,
        ),
    ),
)
