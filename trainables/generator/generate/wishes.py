"""What a description asks of a clip: kind, colour, tone of the backdrop, motion and look, as `ClipMaker` takes them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cluster.errors import InputError
from trainables.data.camera import MOVES
from trainables.data.style_code import rgb_to_oklab
from trainables.generator.generate.layers import Lab
from trainables.generator.text.understanding import understand

Motion = Literal["push_in", "pan", "orbit", "spin", "still"]
MOTIONS: tuple[Motion, ...] = (*MOVES, "spin", "still")

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (190, 38, 40),
    "burgundy": (98, 26, 42),
    "orange": (222, 118, 44),
    "yellow": (226, 190, 62),
    "green": (58, 122, 70),
    "olive": (104, 104, 60),
    "teal": (38, 122, 126),
    "blue": (54, 98, 176),
    "navy": (36, 44, 84),
    "purple": (104, 62, 140),
    "pink": (222, 120, 158),
    "brown": (112, 74, 50),
    "beige": (208, 190, 162),
    "white": (226, 226, 224),
    "grey": (132, 132, 134),
    "black": (38, 38, 40),
    "gold": (196, 158, 74),
    "silver": (176, 180, 184),
}
"""Mean colour of products that shops call so, sRGB."""
SCENES: dict[str, tuple[int, int, int]] = {
    "studio": (236, 236, 234),
    "kitchen": (214, 204, 188),
    "living room": (158, 118, 82),
    "office": (188, 190, 194),
    "city": (128, 128, 132),
    "nature": (104, 120, 78),
    "beach": (214, 194, 158),
    "night": (44, 42, 56),
}
"""Tone of the backdrop, sRGB: a scene gives no more than this."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """None leaves it to chance."""

    kind: str | None = None
    look: str | None = None
    """Name of a preset."""
    colour: Lab | None = None
    """Mean Oklab of the product."""
    backdrop: Lab | None = None
    """Mean Oklab of the backdrop."""
    motion: Motion | None = None


def wishes_of(text: str, able: Collection[tuple[str, bool]], kind: str | None = None) -> Wishes:
    """Read a description for a generator of these kinds, each with whether it can be shown turning (true) or standing
    still; `kind` was asked for beside the text and counts more.

    A kind that only the text names and that cannot be made is refused; one that is only guessed at, and a motion that
    the kind was never seen in, are let go.
    """
    kinds = sorted({name for name, _ in able})
    found = understand(text)
    if kind is None and found.kind is not None:
        if found.kind.name in kinds:
            kind = found.kind.name
        elif found.kind.score >= 1:
            raise InputError(f"this model makes no {found.kind.name}; kinds are {', '.join(kinds)}")
    motion = {"turntable": "spin", "none": "still"}.get(found.motion.name, found.motion.name) if found.motion else None
    if not any(kind in (None, name) and spins == (motion == "spin") for name, spins in able):
        motion = None
    return Wishes(
        kind=kind,
        look=found.look.name if found.look else None,
        colour=oklab(COLOURS[found.colour.name]) if found.colour else None,
        backdrop=oklab(SCENES[found.scene.name]) if found.scene else None,
        motion=motion,
    )


def oklab(rgb: tuple[int, int, int]) -> Lab:
    """Oklab of an sRGB colour, 0…255."""
    return tuple(float(value) for value in rgb_to_oklab(np.array([rgb], np.uint8))[0])
