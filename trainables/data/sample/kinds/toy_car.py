"""Toy cars: a side view cut from a plate, rounded by the plan, on four wheels. The bonnet points along +x."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Look, Material, lacquer, metal, rubber, wood
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.outline import Corner, Plate, rounded, smooth_curve
from trainables.data.sample.patterns import (
    bands,
    dots,
    either,
    inside,
    letters,
    mix,
    step,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    box,
    capsule,
    disc_z,
    ellipsoid,
    smooth_common,
    sphere,
    union,
)

BODIES: dict[str, list[Corner]] = {
    "beetle": smooth_curve(
        [
            (-0.98, 0.22),
            (-1.0, 0.42),
            (-0.78, 0.72),
            (-0.4, 0.98),
            (0.0, 1.04),
            (0.3, 0.92),
            (0.48, 0.68),
            (0.8, 0.6),
            (1.0, 0.4),
            (0.98, 0.22),
        ],
        closed=True,
    ),
    "van": rounded(
        [(-1.0, 0.2), (-1.0, 1.02), (-0.9, 1.1), (0.62, 1.1), (0.94, 0.72), (1.02, 0.45), (1.02, 0.2)], 0.16
    ),
    "racer": smooth_curve(
        [
            (-1.02, 0.2),
            (-1.05, 0.5),
            (-0.7, 0.56),
            (-0.25, 0.58),
            (0.3, 0.46),
            (0.9, 0.34),
            (1.1, 0.24),
            (1.05, 0.17),
            (0.0, 0.17),
        ],
        closed=True,
    ),
    "coupe": smooth_curve(
        [
            (-1.0, 0.22),
            (-1.02, 0.46),
            (-0.86, 0.58),
            (-0.5, 0.8),
            (-0.15, 0.86),
            (0.18, 0.76),
            (0.42, 0.56),
            (0.85, 0.5),
            (1.04, 0.38),
            (1.02, 0.22),
        ],
        closed=True,
    ),
    "pickup": rounded(
        [
            (-1.02, 0.22),
            (-1.02, 0.6),
            (-0.1, 0.6),
            (-0.02, 0.98),
            (0.36, 1.0),
            (0.5, 0.64),
            (0.98, 0.58),
            (1.04, 0.4),
            (1.02, 0.22),
        ],
        0.12,
    ),
}
GLASS: dict[str, list[Corner]] = {
    "beetle": [(-0.62, 0.68), (-0.4, 0.88), (0.0, 0.94), (0.22, 0.86), (0.36, 0.68)],
    "van": [(-0.8, 0.7), (-0.8, 0.98), (0.58, 0.98), (0.78, 0.7)],
    "coupe": [(-0.6, 0.6), (-0.42, 0.73), (-0.12, 0.78), (0.14, 0.71), (0.3, 0.58)],
    "pickup": [(0.04, 0.66), (0.1, 0.9), (0.31, 0.91), (0.41, 0.66)],
}


def car(
    paint: Look,
    body: str = "beetle",
    *,
    roof: Look | None = None,
    wheel: Look = "soot",
    hub: Look = "silver",
    window: Look = "graphite",
    half_width: float = 0.44,
    trim: Material | None = None,
    timber: Material | None = None,
) -> Model:
    """A toy car of a named body; `roof` paints all above the windows' sill; `timber` replaces paint by a wood."""
    flat = Plate(BODIES[body], "xy", 1.0)
    plan = Plate(
        rounded(
            [
                (-1.03, -half_width),
                (0.85, -half_width),
                (1.08, -0.2),
                (1.08, 0.2),
                (0.85, half_width),
                (-1.03, half_width),
            ],
            0.22,
        ),
        "xz",
        2.0,
    )
    wheels = [(-0.6, 0.22), (0.6, 0.22)]
    radius = 0.27 if body == "racer" else 0.225
    tread = half_width + (0.08 if body == "racer" else 0.0)

    def shell(p: Points) -> Tensor:
        lean = 1 + 0.38 * (p.y - 0.55).clamp_min(0)
        form = smooth_common(flat(p), plan(Points(p.x, p.y, p.z * lean)), 0.14)
        arches = union(*(disc_z(p.mirrored_z().at(x, y, half_width), radius + 0.05, 0.17) for x, y in wheels))
        return 0.85 * torch.maximum(form, -arches)

    def tyres(p: Points) -> Tensor:
        return union(*(disc_z(p.mirrored_z().at(x, radius, tread - 0.06), radius, 0.1, 0.045) for x, _ in wheels))

    def hubs(p: Points) -> Tensor:
        q = p.mirrored_z()
        return union(
            *(ellipsoid(q.at(x, radius, tread + 0.03), (radius * 0.55, radius * 0.55, 0.045)) for x, _ in wheels)
        )

    def chrome(p: Points) -> Tensor:
        bumpers = union(
            capsule(p.mirrored_z(), (1.04, 0.27, 0), (0.98, 0.27, half_width * 0.8), 0.04),
            capsule(p.mirrored_z(), (-1.02, 0.28, 0), (-0.98, 0.28, half_width * 0.8), 0.04),
        )
        if body == "racer":
            return union(
                box(p.at(x=-0.95, y=0.78), (0.16, 0.02, 0.46), 0.01),
                capsule(p.mirrored_z(), (-0.95, 0.5, 0.2), (-0.95, 0.78, 0.2), 0.03),
            )
        return bumpers

    def lights(p: Points) -> Tensor:
        y = {"beetle": 0.5, "van": 0.5, "coupe": 0.42, "pickup": 0.47, "racer": 0.3}[body]
        return sphere(p.mirrored_z().at(0.95, y, 0.27), 0.085)

    skin = paint
    if roof:
        waist = 0.55 if body in ("coupe", "pickup") else 0.62
        skin = mix(skin, roof, lambda p: step(p.y - waist))
    if body in GLASS:
        # Side windows are painted on the flanks, wind-screens front and back where the flanks end.
        pane = Plate(rounded(GLASS[body], 0.06), "xy", 9.0)
        pillar = {"beetle": -0.1, "van": 0.1, "coupe": -0.1, "pickup": 9.0}[body]
        sill, header = min(v for _, v in GLASS[body]), max(v for _, v in GLASS[body]) + 0.02
        ahead, behind = GLASS[body][-1][0] - 0.28, GLASS[body][0][0] + (-0.14 if body == "van" else 0.16)

        def flank(p: Points) -> Tensor:
            return inside(pane)(p) * step((p.x - pillar).abs() - 0.035) * step(p.z.abs() - half_width * 0.62)

        def screen(p: Points) -> Tensor:
            between = step(p.y - sill) * step(header - p.y) * step(half_width * 0.66 - p.z.abs())
            return between * step(torch.maximum(p.x - ahead, behind - p.x))

        skin = mix(skin, window, either(flank, screen))
    parts = [
        Part(shell, Material(paint=skin, roughness=0.3, coat=1.0) if timber is None else timber),
        Part(tyres, rubber(wheel)),
        Part(hubs, metal(hub, 0.2) if hub in ("silver", "gold", "brass") else lacquer(hub)),
        Part(chrome, trim or metal("silver", 0.15)),
        Part(
            lights,
            Material(
                paint=mix("butter", "snow", lambda p: torch.full_like(p.x, 0.5)), roughness=0.2, coat=1.0, glow=0.3
            ),
        ),
    ]
    if body == "racer":
        parts.append(Part(lambda p: ellipsoid(p.at(x=-0.2, y=0.6), (0.22, 0.2, 0.17)), lacquer(window)))
    return Model(parts=tuple(parts), view=View(elevation=22, turn=32, reach=1.25))


def _number(look: Look, disc: Look, digit: Look, seed: int, x: float = 0.0, y: float = 0.42) -> Look:
    """A racing roundel on both flanks."""

    def spot(p: Points) -> Tensor:
        return step(0.17 - torch.sqrt((p.x - x) ** 2 + (p.y - y) ** 2)) * step(p.z.abs() - 0.25)

    def mark(p: Points) -> Tensor:
        return letters(lambda q: (q.x - x + 0.1, q.y), 0.2, y - 0.1, seed)(p) * spot(p)

    return mix(mix(look, disc, spot), digit, mark)


DESIGNS = (
    Design(
        title="Beetle, mint with cream roof",
        colour="mint",
        look="vintage",
        price=24.0,
        creator="Pica Toys",
        description="Die-cast holiday beetle in mint over cream with chrome hubcaps.",
        tags=("die-cast", "classic car", "ages 3+"),
        paper="coral",
        make=lambda seed: car("mint", "beetle", roof="ivory"),
    ),
    Design(
        title="Camper van, tangerine and white",
        colour="tangerine",
        look="warm_film",
        price=32.0,
        creator="Pica Toys",
        description="The surf van, two-tone, with room for one very small board.",
        tags=("van", "surf", "two-tone"),
        paper="aqua",
        make=lambda seed: car(mix("tangerine", "snow", bands([(0.56, 0.62)])), "van", roof="snow", hub="snow"),
    ),
    Design(
        title="Racing car no. 7, scarlet",
        colour="scarlet",
        look="sport",
        price=28.0,
        creator="Ludo Lab",
        description="Open-cockpit racer in scarlet with a white roundel and fat slicks.",
        tags=("racing", "single seater", "fast"),
        paper="fog",
        make=lambda seed: car(
            _number(mix("scarlet", "snow", lambda p: step(0.07 - p.z.abs())), "snow", "soot", seed, -0.05, 0.36),
            "racer",
            half_width=0.34,
            window="ink black",
            trim=lacquer("scarlet"),
        ),
    ),
    Design(
        title="Police coupe, black and white",
        colour="ink black",
        look="ink",
        price=26.0,
        creator="Pica Toys",
        description="Film-noir patrol coupe: white doors, black wings, silent siren.",
        tags=("coupe", "monochrome", "collector"),
        paper="ash",
        make=lambda seed: car(
            mix("ink black", "snow", lambda p: step(0.36 - (p.x + 0.12).abs())), "coupe", window="slate"
        ),
    ),
    Design(
        title="Farm pickup, petrol blue",
        colour="petrol",
        look="vintage",
        price=27.0,
        creator="Otto & Fern",
        description="Rounded country pickup with a real load bed; carries nine acorns.",
        tags=("pickup", "farm", "steel"),
        paper="butter",
        make=lambda seed: car("petrol", "pickup", hub="snow", window="powder"),
    ),
    Design(
        title="Rally coupe, azure with lime stripes",
        colour="azure",
        look="neon",
        price=29.0,
        creator="Ludo Lab",
        description="Twin lime stripes from bonnet to boot and a number that glows under blacklight.",
        tags=("rally", "stripes", "neon"),
        paper="plum",
        make=lambda seed: car(
            _number(
                mix("azure", "lime", lambda p: step(0.05 - (p.z.abs() - 0.12).abs())),
                "lime",
                "ink black",
                seed,
                0.12,
                0.4,
            ),
            "coupe",
            hub="gold",
            window="soot",
        ),
    ),
    Design(
        title="Wooden beetle, maple",
        colour="maple",
        look="minimal",
        price=36.0,
        creator="Fjell",
        description="Turned from one piece of maple, waxed, with walnut wheels. No paint to chew off.",
        tags=("wooden", "unpainted", "toddler"),
        paper="sage",
        make=lambda seed: car(
            "maple",
            "beetle",
            timber=wood("birch", "oak", seed, "x", 5, 0.3),
            wheel="walnut",
            hub="brass",
            trim=wood("walnut", "espresso", seed, "z"),
        ),
    ),
    Design(
        title="Ice-cream van, peony dots",
        colour="peony",
        look="neon",
        price=31.0,
        creator="Ludo Lab",
        description="Pink with white sprinkles and a lemon roof; hums if you push it fast enough.",
        tags=("van", "ice cream", "dots"),
        paper="mint",
        make=lambda seed: car(
            mix("peony", "snow", dots(lambda p: (p.x, p.y), 0.12, 0.03)),
            "van",
            roof="lemon",
            hub="lemon",
            wheel="slate",
        ),
    ),
)
