"""What a surface is made of: how much light it scatters, mirrors and emits.

The model is metal/roughness shading (Karis 2013, "Real Shading in Unreal Engine 4") with a clear coat for glaze and
lacquer and a sheen for cloth.
Dims: N points, colours C_3N.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainables.data.sample.patterns import Mask, Paint, grain, mix, mottle, pebbled, plain


@dataclass(frozen=True, kw_only=True)
class Material:
    """Surface properties; `paint` gives the base colour at each point in the product's own frame."""

    paint: Paint
    """Base colour, linear RGB."""
    roughness: float = 0.5
    """0 a mirror, 1 chalk."""
    metallic: float = 0.0
    """0 paint and plastic, 1 bare metal."""
    coat: float = 0.0
    """Strength of a smooth clear layer on top, 0 to 1: glaze, lacquer, patent leather."""
    sheen: float = 0.0
    """Strength of the light that loose fibres catch at grazing angles, 0 to 1."""
    glow: float = 0.0
    """Light emitted, in units of the base colour: lamp shades, flames."""
    bump: Mask | None = None
    """Height field in [0, 1] that tilts the normal: weave, grain, hammered metal."""
    bump_depth: float = 0.0
    """Height of the bump in model units."""

    def __post_init__(self) -> None:
        for name in ("roughness", "metallic", "coat", "sheen"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"material.{name} is {value}; set it between 0 and 1")
        if self.glow < 0:
            raise ValueError(f"material.glow is {self.glow}; set it to 0 (off) or above")


Look = str | Paint
"""A colour name or a paint."""


def _paint(look: Look) -> Paint:
    return plain(look) if isinstance(look, str) else look


def ceramic(look: Look, coat: float = 0.9, roughness: float = 0.45) -> Material:
    """Glazed clay; a low `coat` makes it matte stoneware."""
    return Material(paint=_paint(look), roughness=roughness, coat=coat)


def plastic(look: Look, roughness: float = 0.38, coat: float = 0.25) -> Material:
    """Moulded plastic, satin by default."""
    return Material(paint=_paint(look), roughness=roughness, coat=coat)


def lacquer(look: Look) -> Material:
    """High-gloss paint."""
    return Material(paint=_paint(look), roughness=0.3, coat=1.0)


def metal(look: Look = "steel", roughness: float = 0.22) -> Material:
    """Bare metal; 0.1 polished, 0.4 brushed."""
    return Material(paint=_paint(look), roughness=roughness, metallic=1.0)


def hammered(look: Look, scale: float, seed: int) -> Material:
    """Metal with a beaten surface."""
    return Material(paint=_paint(look), roughness=0.26, metallic=1.0, bump=pebbled(scale, seed), bump_depth=0.035)


def leather(look: str, seed: int, gloss: float = 0.35) -> Material:
    """Tanned hide: slightly cloudy, finely grained, softly shining."""
    paint = mix(look, mix(look, "espresso", lambda p: p.x * 0 + 0.35), mottle(2.2, seed, 0.8))
    return Material(paint=paint, roughness=0.5, coat=gloss, bump=pebbled(24, seed + 1), bump_depth=0.0035)


def fabric(look: Look, seed: int, sheen: float = 0.5, weave: float = 0.006) -> Material:
    """Cloth: rough, with sheen and an uneven weave."""
    return Material(paint=_paint(look), roughness=0.95, sheen=sheen, bump=pebbled(22, seed), bump_depth=weave)


def wood(light: str, dark: str, seed: int, axis: str = "y", scale: float = 5.0, coat: float = 0.2) -> Material:
    """Oiled or lacquered wood, its grain along `axis`."""
    return Material(paint=mix(light, dark, grain(scale, seed, axis)), roughness=0.5, coat=coat)


def rubber(look: Look) -> Material:
    """Soles, tyres, grips."""
    return Material(paint=_paint(look), roughness=0.75)


def glowing(look: Look, strength: float) -> Material:
    """A surface that emits light."""
    return Material(paint=_paint(look), roughness=0.9, glow=strength)
