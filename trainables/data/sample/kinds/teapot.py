"""Teapots: body, spout, handle and a lid with a knob."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Material, ceramic, hammered, lacquer, metal, wood
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.outline import Corner, Lathe, smooth_curve
from trainables.data.sample.patterns import bands, dots, fade, mix, mottle, petals, speckle, stripes, wrap
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import arc, bezier_corners, capsule, ellipsoid, path, smooth_union, sphere, torus

BODIES: dict[str, list[Corner]] = {
    "round": [(0.0, 0.0), (0.38, 0.0), (0.62, 0.16), (0.76, 0.5), (0.62, 0.86), (0.34, 1.02)],
    "squat": [(0.0, 0.0), (0.5, 0.0), (0.82, 0.2), (0.86, 0.42), (0.62, 0.68), (0.34, 0.76)],
    "tall": [(0.0, 0.0), (0.56, 0.0), (0.6, 0.08), (0.53, 0.6), (0.44, 1.05), (0.33, 1.22)],
    "cone": [(0.0, 0.0), (0.78, 0.0), (0.8, 0.06), (0.6, 0.5), (0.38, 0.92), (0.33, 1.0)],
}


def teapot(
    glaze: Material,
    lid: Material,
    grip: Material,
    body: str = "round",
    *,
    handle: str = "side",
    knob: Material | None = None,
) -> Model:
    """A teapot with a named body; the handle sits at the `side` or arches over the `top`."""
    profile = BODIES[body]
    belly, top = max(r for r, _ in profile), profile[-1][1]
    hull = Lathe([*smooth_curve(profile), (0.0, top)])
    spout = bezier_corners(
        [
            (-belly * 0.72, top * 0.3, 0),
            (-belly - 0.32, top * 0.3, 0),
            (-belly - 0.22, top * 0.8, 0),
            (-belly - 0.5, top * 1.02, 0),
        ]
    )
    ear = bezier_corners(
        [
            (belly * 0.72, top * 0.82, 0),
            (belly + 0.72, top * 1.12, 0),
            (belly + 0.42, top * 0.02, 0),
            (belly * 0.9, top * 0.3, 0),
        ],
        12,
    )

    def pot(p: Points) -> Tensor:
        tube = torch.maximum(path(p, spout, 0.155, 0.07), -(path(p, spout[-3:], 0.045)))
        return smooth_union(hull(p), tube, 0.12)

    def cover(p: Points) -> Tensor:
        return smooth_union(ellipsoid(p.at(y=top), (0.35, 0.13, 0.35)), torus(p.at(y=top), 0.33, 0.03), 0.03)

    def hold(p: Points) -> Tensor:
        if handle == "top":
            hoop = arc(p.at(y=top * 0.62), belly * 0.82 + 0.05, 0.055, 88)
            lugs = p.mirrored_x().at(x=belly * 0.84, y=top * 0.66)
            return smooth_union(hoop, sphere(lugs, 0.09), 0.05)
        return path(Points(p.x, p.y, p.z * 0.8), ear, 0.075)

    def button(p: Points) -> Tensor:
        return smooth_union(
            sphere(p.at(y=top + 0.235), 0.085), capsule(p, (0, top + 0.1, 0), (0, top + 0.2, 0), 0.04), 0.04
        )

    return Model(
        parts=(Part(pot, glaze), Part(cover, lid), Part(hold, grip), Part(button, knob or lid)),
        view=View(elevation=20, turn=20, reach=1.5),
    )


def _same(glaze: Material, body: str = "round", **more: object) -> Model:
    return teapot(glaze, glaze, glaze, body, **more)


DESIGNS = (
    Design(
        title="Brown Betty teapot, chestnut glaze",
        colour="chestnut",
        look="vintage",
        price=38.0,
        creator="Otto & Fern",
        description="The classic round pot in a treacle-dark glaze that hides every drip.",
        tags=("classic", "four cups", "glossy"),
        paper="butter",
        make=lambda seed: _same(ceramic(mix("chestnut", "espresso", mottle(2, seed)), coat=1.0)),
    ),
    Design(
        title="Cast-iron tetsubin, soot",
        colour="soot",
        look="ink",
        price=79.0,
        creator="Mori Works",
        description="Squat iron pot with a raised hobnail belt and an arched handle.",
        tags=("cast iron", "japanese", "hobnail"),
        paper="brick",
        make=lambda seed: teapot(
            Material(
                paint=mix("graphite", "soot", mottle(4, seed)),
                roughness=0.55,
                metallic=0.3,
                bump=lambda p: dots(wrap(0.84), 0.13, 0.05, 44, 0.84)(p) * bands([(0.14, 0.58)])(p),
                bump_depth=0.03,
            ),
            Material(paint=mix("graphite", "soot", mottle(4, seed)), roughness=0.55, metallic=0.3),
            metal("gunmetal", 0.45),
            "squat",
            handle="top",
            knob=metal("brass", 0.3),
        ),
    ),
    Design(
        title="Rose garden teapot, porcelain",
        colour="porcelain",
        look="vintage",
        price=54.0,
        creator="Maison Oree",
        description="White porcelain strewn with rose sprigs, gilt handle and knob for Sunday visitors.",
        tags=("floral", "porcelain", "gilt"),
        paper="celadon",
        make=lambda seed: teapot(
            ceramic(mix("porcelain", "rose", petals(wrap(0.75), 0.3365, 5, 0.42))),
            ceramic(mix("porcelain", "rose", bands([(1.0, 1.04)]))),
            metal("gold", 0.15),
            "round",
            knob=metal("gold", 0.15),
        ),
    ),
    Design(
        title="Conical teapot, matte sage",
        colour="sage",
        look="minimal",
        price=62.0,
        creator="Norra Form",
        description="A calm cone with a pale wood handle; pours without a single drop astray.",
        tags=("matte", "wood handle", "scandinavian"),
        paper="linen",
        make=lambda seed: teapot(
            ceramic("sage", coat=0.1),
            ceramic("sage", coat=0.1),
            wood("birch", "oak", seed, "y"),
            "cone",
            knob=wood("birch", "oak", seed, "y"),
        ),
    ),
    Design(
        title="Hammered copper teapot",
        colour="copper",
        look="warm_film",
        price=96.0,
        creator="Maison Oree",
        description="Tin-lined copper, hammered all over, with a walnut handle that stays cool.",
        tags=("copper", "hammered", "hob safe"),
        paper="petrol",
        make=lambda seed: teapot(
            hammered("copper", 5, seed),
            hammered("copper", 5, seed),
            wood("walnut", "espresso", seed),
            "tall",
            knob=wood("walnut", "espresso", seed),
        ),
    ),
    Design(
        title="Sunrise enamel teapot, coral to lemon",
        colour="coral",
        look="neon",
        price=33.0,
        creator="Peak & Pine",
        description="Enamelled steel fading from hot coral to lemon, with a black rim and lid.",
        tags=("enamel", "ombre", "camping"),
        paper="azure",
        make=lambda seed: teapot(
            lacquer(mix("fuchsia", mix("coral", "lemon", fade(0.5, 1.15)), fade(0.0, 0.5))),
            lacquer("lemon"),
            lacquer("ink black"),
            "tall",
            knob=lacquer("ink black"),
        ),
    ),
    Design(
        title="Nautical striped teapot, navy",
        colour="navy",
        look="sport",
        price=41.0,
        creator="Saltline",
        description="Sailor stripes around a squat pot, knotted top handle in signal red.",
        tags=("striped", "nautical", "family size"),
        paper="sand",
        make=lambda seed: teapot(
            ceramic(mix("snow", "navy", stripes(wrap(), 0.17, 0.5))),
            ceramic("navy"),
            lacquer("scarlet"),
            "squat",
            handle="top",
            knob=lacquer("scarlet"),
        ),
    ),
    Design(
        title="Speckled stoneware teapot, charcoal dip",
        colour="ash",
        look="minimal",
        price=57.0,
        creator="Kiln & Cove",
        description="Speckled clay above, charcoal dip below, overhead handle in brushed steel.",
        tags=("stoneware", "speckled", "two-tone"),
        paper="apricot",
        make=lambda seed: teapot(
            ceramic(
                mix("graphite", mix("oat", "espresso", speckle(10, seed, 0.25, 0.6)), bands([(0.42, 3)])), coat=0.3
            ),
            ceramic("oat", coat=0.3),
            metal("steel", 0.35),
            "round",
            handle="top",
            knob=ceramic("graphite"),
        ),
    ),
)
