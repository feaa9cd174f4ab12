"""Hats: fedoras, bucket hats, caps, boaters and knitted beanies. The front is +z."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.data.sample.materials import Look, Material, fabric
from trainables.data.sample.model import Design, Model, Part, View
from trainables.data.sample.noise import fractal
from trainables.data.sample.patterns import (
    Mask,
    bands,
    mix,
    petals,
    step,
    stripes,
    wrap,
)
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import (
    cone,
    cylinder,
    ellipsoid,
    length,
    shell,
    smooth_cut,
    smooth_union,
    sphere,
    union,
)

VIEW = View(elevation=24, turn=-30, reach=1.25)


def brimmed(
    felt: Material, band: Material, *, brim: float = 1.02, tall: float = 0.62, curl: float = 0.16, pinch: bool = True
) -> Model:
    """A fedora (`pinch`ed crown, brim curling up at the sides by `curl`) or, with neither, a boater."""

    def oval(p: Points) -> Points:
        return Points(p.x * 1.08, p.y, p.z * 0.95)

    def crown(p: Points) -> Tensor:
        q = oval(p).at(y=tall / 2 + 0.06)
        top = cone(q, 0.58, 0.47 if pinch else 0.56, tall / 2, 0.1 if pinch else 0.05)
        if pinch:
            top = smooth_cut(top, ellipsoid(q.at(y=tall / 2 + 0.1), (0.14, 0.2, 0.42)), 0.1)
            top = smooth_cut(
                top, ellipsoid(q.mirrored_x().at(x=0.52, y=tall / 2 - 0.04, z=0.32), (0.18, 0.2, 0.2)), 0.12
            )
        return 0.9 * top

    def sheet(p: Points) -> Tensor:
        q = oval(p)
        rise = curl * (q.x * q.x) - 0.35 * curl * (q.z * q.z) * (q.z > 0) + 0.05
        return 0.8 * cylinder(Points(q.x, q.y - rise, q.z), brim, 0.022, 0.02)

    def ribbon(p: Points) -> Tensor:
        q = oval(p).at(y=0.17)
        wrapped = cone(q, 0.595, 0.57 if pinch else 0.585, 0.085, 0.01)
        bow = ellipsoid(q.at(x=0.6, y=0.0), (0.045, 0.085, 0.14))
        return 0.9 * union(wrapped, bow)

    def whole(p: Points) -> Tensor:
        return smooth_union(crown(p), sheet(p), 0.05)

    return Model(parts=(Part(whole, felt), Part(ribbon, band)), view=VIEW)


def bucket(cloth: Material, stitch: Material) -> Model:
    """A bucket hat: a soft cone with a downward brim."""

    def body(p: Points) -> Tensor:
        sag = 0.02 * torch.sin(3 * torch.atan2(p.x, p.z))
        crown = cone(p.at(y=0.62), 0.62, 0.47, 0.28, 0.07)
        brim = torch.maximum(shell(cone(p.at(y=0.2), 0.98, 0.58, 0.3), 0.045), (p.y - 0.2 - sag).abs() - 0.19)
        return 0.85 * smooth_union(crown, brim, 0.04)

    def seam(p: Points) -> Tensor:
        return cylinder(p.at(y=0.385), 0.64, 0.022, 0.015)

    return Model(parts=(Part(body, cloth), Part(seam, stitch)), view=VIEW)


def cap(cloth: Material, visor: Material, button: Material) -> Model:
    """A baseball cap with six panels; set back so that cap and peak turn about their common middle."""
    back = -0.26

    def dome(p: Points) -> Tensor:
        p = p.at(z=back)
        ball = ellipsoid(p.at(y=0.12), (0.62, 0.66, 0.68))
        seams = 0.008 * (1 - (torch.remainder(torch.atan2(p.x, p.z) * 6 / (2 * torch.pi), 1) - 0.5).abs() * 2) ** 8
        return 0.9 * torch.maximum(torch.maximum(ball + seams, -p.y + 0.1), -ellipsoid(p.at(y=0.05), (0.56, 0.6, 0.62)))

    def peak(p: Points) -> Tensor:
        p = p.at(z=back)
        q = p.at(y=0.18, z=0.62)
        bent = Points(q.x, q.y + 0.32 * q.x * q.x + 0.16 * q.z * q.z, q.z)
        plate = 0.7 * (
            torch.maximum(length(bent.x / 0.58, (bent.z - 0.02) / 0.62) - 1, torch.zeros_like(p.x) - 1) * 0.55
        )
        return 0.8 * torch.maximum(
            torch.maximum(plate, bent.y.abs() - 0.022), -ellipsoid(p.at(y=0.12), (0.6, 0.64, 0.66))
        )

    return Model(
        parts=(
            Part(dome, cloth),
            Part(peak, visor),
            Part(lambda p: ellipsoid(p.at(y=0.79, z=back), (0.06, 0.035, 0.06)), button),
        ),
        view=View(elevation=22, turn=-38, reach=1.3),
    )


def beanie(yarn: Material, cuff: Material, pompom: Material | None, seed: int) -> Model:
    """A ribbed knit cap with a turned-up cuff and perhaps a pom-pom."""

    def ribs(p: Points, depth: float) -> Tensor:
        return depth * torch.cos(torch.atan2(p.x, p.z) * 30)

    def top(p: Points) -> Tensor:
        body = torch.maximum(ellipsoid(p.at(y=0.3), (0.58, 0.72, 0.58)), 0.1 - p.y)
        return 0.85 * (body + ribs(p, 0.012))

    def fold(p: Points) -> Tensor:
        return 0.85 * (cone(p.at(y=0.2), 0.6, 0.615, 0.17, 0.06) + ribs(p, 0.014))

    def fluff(p: Points) -> Tensor:
        return 0.7 * (sphere(p.at(y=1.17), 0.25) - 0.1 * (fractal(p, 9, seed, 2) - 0.5))

    parts = [Part(top, yarn), Part(fold, cuff)]
    if pompom:
        parts.append(Part(fluff, pompom))
    return Model(parts=tuple(parts), view=View(elevation=16, turn=-20, reach=1.0))


def _badge(look: Look, mark: Look) -> Look:
    """A round patch on the front of a cap."""

    def disc(radius: float) -> Mask:
        return lambda p: step(radius - length(p.x, p.y - 0.46)) * step(p.z)

    return mix(mix(look, mark, disc(0.16)), look, disc(0.09))


DESIGNS = (
    Design(
        title="Felt fedora, camel with black band",
        colour="tan",
        look="vintage",
        price=89.0,
        creator="Bramble",
        description="Pinched wool-felt crown in camel, grosgrain band, a brim that knows its angle.",
        tags=("felt", "fedora", "autumn"),
        paper="petrol",
        make=lambda seed: brimmed(fabric("tan", seed, 0.6, 0.002), fabric("soot", seed, 0.3, 0.0)),
    ),
    Design(
        title="Straw boater, navy and scarlet ribbon",
        colour="birch",
        look="sport",
        price=54.0,
        creator="Saltline",
        description="A flat straw boater with a regatta ribbon in navy and scarlet.",
        tags=("straw", "boater", "summer"),
        paper="sky",
        make=lambda seed: brimmed(
            Material(
                paint=mix("birch", "sand", stripes(lambda p: (p.x, length(p.x, p.z) + p.y), 0.075, 0.5)), roughness=0.8
            ),
            fabric(mix("navy", "scarlet", bands([(0.145, 0.195)])), seed, 0.3, 0.0),
            brim=0.95,
            tall=0.46,
            curl=0.0,
            pinch=False,
        ),
    ),
    Design(
        title="Bucket hat, daisy lilac",
        colour="lilac",
        look="neon",
        price=36.0,
        creator="Ludo Lab",
        description="Lilac cotton strewn with white daisies; folds flat into a back pocket.",
        tags=("bucket hat", "floral", "festival"),
        paper="lime",
        make=lambda seed: bucket(
            fabric(mix("lilac", "snow", petals(wrap(0.7), 0.2749, 5, 0.42)), seed, 0.3, 0.002),
            fabric("violet", seed, 0.3, 0.0),
        ),
    ),
    Design(
        title="Baseball cap, navy with cream badge",
        colour="navy",
        look="sport",
        price=29.0,
        creator="Kestrel",
        description="Six navy panels, a round cream badge, a peak that comes ready curved.",
        tags=("cap", "badge", "cotton"),
        paper="apricot",
        make=lambda seed: cap(
            fabric(_badge("navy", "ivory"), seed, 0.3, 0.003),
            fabric("navy", seed, 0.3, 0.003),
            fabric("ivory", seed, 0.3, 0.0),
        ),
    ),
    Design(
        title="Pom-pom beanie, mustard and snow",
        colour="mustard",
        look="warm_film",
        price=34.0,
        creator="Fjell",
        description="Chunky lambswool rib in mustard with a cream cuff and an extravagant pom-pom.",
        tags=("knit", "wool", "winter"),
        paper="powder",
        make=lambda seed: beanie(
            fabric("mustard", seed, 0.6, 0.005),
            fabric("ivory", seed, 0.6, 0.005),
            fabric("ivory", seed, 0.8, 0.01),
            seed,
        ),
    ),
    Design(
        title="Wide-brim hat, ink black",
        colour="ink black",
        look="ink",
        price=110.0,
        creator="Velour House",
        description="A dramatic flat brim and a silver-grey band; hides an entire bad mood.",
        tags=("wide brim", "felt", "statement"),
        paper="fog",
        make=lambda seed: brimmed(
            fabric("soot", seed, 0.5, 0.002), fabric("fog", seed, 0.3, 0.0), brim=1.16, tall=0.56, curl=0.06
        ),
    ),
    Design(
        title="Fisherman beanie, petrol stripes",
        colour="petrol",
        look="minimal",
        price=27.0,
        creator="Fjell",
        description="Short ribbed watch cap in petrol with two quiet grey stripes.",
        tags=("knit", "watch cap", "merino"),
        paper="oat",
        make=lambda seed: beanie(
            fabric(mix("petrol", "fog", bands([(0.52, 0.6), (0.68, 0.76)])), seed, 0.5, 0.005),
            fabric("petrol", seed, 0.5, 0.005),
            None,
            seed,
        ),
    ),
    Design(
        title="Cap, coral panels with lemon peak",
        colour="coral",
        look="neon",
        price=32.0,
        creator="Ludo Lab",
        description="Quick-drying coral crown, lemon peak, violet button: a cap in three loud words.",
        tags=("cap", "colour block", "running"),
        paper="indigo",
        make=lambda seed: cap(
            fabric(mix("coral", "peony", stripes(wrap(1.0), 2.0944, 0.5, upright=True)), seed, 0.3, 0.003),
            fabric("lemon", seed, 0.3, 0.003),
            fabric("violet", seed, 0.3, 0.0),
        ),
    ),
)
