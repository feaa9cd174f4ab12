"""Sunglasses, unfolded, standing on their rims and temple tips."""

from __future__ import annotations

from torch import Tensor

from trainables.data.sample.materials import Material, lacquer, metal, plastic, wood
from trainables.data.sample.model import Design, Model, Pane, Part, View
from trainables.data.sample.outline import Corner, Outline, smooth_curve
from trainables.data.sample.patterns import mix, mottle
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import capsule, path, slab, sphere, union

FRONT = 0.5
"""Where the lenses stand, in front of the axis."""

LENSES: dict[str, list[Corner]] = {
    "round": [
        (0.0, 0.36),
        (0.25, 0.25),
        (0.36, 0.0),
        (0.25, -0.25),
        (0.0, -0.36),
        (-0.25, -0.25),
        (-0.36, 0.0),
        (-0.25, 0.25),
    ],
    "aviator": [
        (-0.34, 0.22),
        (0.0, 0.29),
        (0.36, 0.2),
        (0.42, 0.0),
        (0.3, -0.28),
        (0.06, -0.38),
        (-0.2, -0.26),
        (-0.34, 0.0),
    ],
    "cat": [
        (-0.36, 0.12),
        (0.0, 0.2),
        (0.34, 0.34),
        (0.5, 0.4),
        (0.42, 0.06),
        (0.22, -0.24),
        (-0.08, -0.27),
        (-0.32, -0.12),
    ],
    "square": [
        (-0.36, 0.26),
        (-0.1, 0.27),
        (0.3, 0.29),
        (0.4, 0.24),
        (0.37, -0.12),
        (0.24, -0.27),
        (-0.16, -0.27),
        (-0.33, -0.14),
    ],
    "shield": [
        (-0.44, 0.2),
        (0.0, 0.26),
        (0.44, 0.2),
        (0.52, 0.04),
        (0.36, -0.2),
        (0.08, -0.24),
        (-0.2, -0.1),
        (-0.46, -0.02),
    ],
}


def sunglasses(
    frame: Material,
    tint: str,
    shape: str = "square",
    *,
    density: float = 0.75,
    rim: float = 0.05,
    thick: float = 0.05,
    temple: Material | None = None,
) -> Model:
    """A pair with named lens shapes, rims `rim` wide; lenses of `tint` taking `density` of the light."""
    lens = Outline(smooth_curve(LENSES[shape], closed=True))
    low = min(v for _, v in LENSES[shape])
    height = rim + 0.03 - low
    gap = 0.44 if shape != "shield" else 0.46
    hinge = max(u for u, _ in LENSES[shape]) + gap

    def local(p: Points) -> Points:
        q = p.mirrored_x()
        # Wrapped around the face a little.
        return Points(q.x - gap, q.y - height, q.z - FRONT + 0.16 * q.x * q.x)

    def rims(p: Points) -> Tensor:
        q = local(p)
        d = lens.distance(q.x, q.y)
        bridge_y = height + (0.1 if shape != "aviator" else 0.2)
        bars = [capsule(p.mirrored_x(), (0, bridge_y, FRONT), (0.12, bridge_y - 0.02, FRONT), thick * 0.75)]
        if shape == "aviator":
            bars.append(capsule(p.mirrored_x(), (0, height + 0.05, FRONT), (0.14, height + 0.02, FRONT), thick * 0.6))
        return 0.9 * union(slab(d.abs() - rim / 2 - 0.01, q.z, thick, 0.02), *bars)

    def arms(p: Points) -> Tensor:
        q = p.mirrored_x()
        z0 = FRONT - 0.16 * hinge * hinge
        top = height + (
            0.16
            if shape in ("square", "shield")
            else 0.12
            if shape == "aviator"
            else 0.06
            if shape == "round"
            else 0.26
        )
        tube = path(
            q,
            [
                (hinge - 0.02, top, z0),
                (hinge, top, z0 - 0.1),
                (hinge - 0.05, top - 0.02, -0.5),
                (hinge - 0.1, 0.05, -0.82),
            ],
            max(thick * 0.8, 0.035),
        )
        return union(tube, sphere(q.at(hinge - 0.03, top, z0), thick))

    def glass(p: Points) -> Tensor:
        q = local(p)
        return 0.9 * slab(lens.distance(q.x, q.y), q.z, 0.02, 0.01)

    return Model(
        parts=(Part(rims, frame), Part(arms, temple or frame)),
        panes=(Pane(glass, tint, density),),
        view=View(elevation=22, turn=-30, reach=1.35),
    )


DESIGNS = (
    Design(
        title="Tortoiseshell sunglasses, green lenses",
        colour="chestnut",
        look="vintage",
        price=125.0,
        creator="Tidewater",
        description="Square acetate in honey tortoiseshell with bottle-green lenses; Riviera, 1962.",
        tags=("acetate", "tortoiseshell", "classic"),
        paper="butter",
        make=lambda seed: sunglasses(
            lacquer(mix("espresso", "ochre", mottle(3.5, seed, 1.8))), "forest", "square", rim=0.09, thick=0.055
        ),
    ),
    Design(
        title="Gold aviators, brown gradient",
        colour="gold",
        look="warm_film",
        price=139.0,
        creator="Tidewater",
        description="Hair-thin gold wire and tea-brown lenses, light enough to forget on your head.",
        tags=("aviator", "metal", "gradient"),
        paper="sky",
        make=lambda seed: sunglasses(metal("gold", 0.15), "cognac", "aviator", density=0.85, rim=0.03, thick=0.03),
    ),
    Design(
        title="Cat-eye sunglasses, scarlet",
        colour="scarlet",
        look="vintage",
        price=98.0,
        creator="Maison Oree",
        description="Upswept scarlet frames with smoke lenses. Headscarf and convertible not included.",
        tags=("cat eye", "fifties", "glossy"),
        paper="aqua",
        make=lambda seed: sunglasses(lacquer("scarlet"), "soot", "cat", rim=0.08),
    ),
    Design(
        title="Round sunglasses, ink black",
        colour="ink black",
        look="ink",
        price=89.0,
        creator="Norra Form",
        description="Two black circles and a straight bridge, for composers and people who dress like them.",
        tags=("round", "black", "unisex"),
        paper="chalk",
        make=lambda seed: sunglasses(lacquer("ink black"), "ink black", "round", density=0.88, rim=0.06),
    ),
    Design(
        title="Visor sunglasses, neon lime",
        colour="lime",
        look="neon",
        price=79.0,
        creator="Ludo Lab",
        description="Lime shield frames with fuchsia mirrored lenses, straight off a 1994 rave flyer.",
        tags=("shield", "rave", "mirrored"),
        paper="indigo",
        make=lambda seed: sunglasses(plastic("lime", 0.3, 0.5), "fuchsia", "shield", density=0.8, rim=0.06),
    ),
    Design(
        title="Cycling sunglasses, white and azure",
        colour="snow",
        look="sport",
        price=155.0,
        creator="Kestrel",
        description="White wrap frame, azure lenses, grippy temple tips that hold through every descent.",
        tags=("cycling", "wrap", "polarised"),
        paper="coral",
        make=lambda seed: sunglasses(
            plastic("snow", 0.3, 0.5), "azure", "shield", density=0.8, rim=0.05, temple=plastic("azure")
        ),
    ),
    Design(
        title="Clear-frame sunglasses, rose lenses",
        colour="rose",
        look="minimal",
        price=85.0,
        creator="Norra Form",
        description="Pale champagne frames around rose-tinted lenses: the optimist's pair.",
        tags=("pale", "rose lenses", "light"),
        paper="sage",
        make=lambda seed: sunglasses(plastic("blush", 0.25, 0.7), "peony", "square", density=0.5, rim=0.07),
    ),
    Design(
        title="Beech sunglasses, cobalt lenses",
        colour="oak",
        look="warm_film",
        price=110.0,
        creator="Saltline",
        description="Laminated beech that floats when dropped overboard, with deep cobalt lenses.",
        tags=("wood", "floating", "handmade"),
        paper="linen",
        make=lambda seed: sunglasses(
            wood("maple", "teak", seed, "x", 9, 0.4), "cobalt", "round", density=0.8, rim=0.09, thick=0.055
        ),
    ),
)
