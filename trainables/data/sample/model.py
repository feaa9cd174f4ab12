"""A product as the renderer sees it: parts with a shape and a material, and how it is staged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from trainables.data.sample.materials import Material
from trainables.data.sample.points import Points
from trainables.data.sample.sdf import Distance, Vector


@dataclass(frozen=True)
class Part:
    """A shape of one material, in the product's frame: standing on y = 0, its front towards +z."""

    shape: Distance
    material: Material


@dataclass(frozen=True)
class Pane:
    """Clear or tinted glass: what lies behind shows through `tint` (a colour name), more of it at the edges."""

    shape: Distance
    tint: str
    density: float = 0.3
    """Share of the light taken at normal incidence, 0 clear to 1 opaque."""


@dataclass(frozen=True)
class Lamp:
    """A point light that is part of the product."""

    position: Vector
    tint: str
    strength: float


@dataclass(frozen=True, kw_only=True)
class View:
    """How a kind is staged."""

    elevation: float = 18.0
    """Camera height above the horizon, degrees, 5 to 60."""
    turn: float = -28.0
    """Turn of the product in the first frame, degrees."""
    fill: float = 0.87
    """Share of the half frame that the turning product reaches, 0.3 to 1."""
    reach: float = 1.3
    """The product lies within this distance of the axis and below twice this height, model units."""

    def __post_init__(self) -> None:
        if not 5 <= self.elevation <= 60:
            raise ValueError(f"view.elevation is {self.elevation}; set it between 5 and 60 degrees")
        if not 0.3 <= self.fill <= 1:
            raise ValueError(f"view.fill is {self.fill}; set it between 0.3 and 1")
        if self.reach <= 0:
            raise ValueError(f"view.reach is {self.reach}; set it above 0, large enough to hold the product")


@dataclass(frozen=True, kw_only=True)
class Model:
    """Everything needed to photograph one product."""

    parts: tuple[Part, ...]
    panes: tuple[Pane, ...] = ()
    lamps: tuple[Lamp, ...] = ()
    view: View = field(default_factory=View)

    def solid(self, p: Points) -> Tensor:
        """Distance to the opaque parts, (N,)."""
        return torch.stack([part.shape(p) for part in self.parts]).amin(0)

    def glass(self, p: Points) -> Tensor:
        """Distance to the panes, (N,). Only where there are any."""
        return torch.stack([pane.shape(p) for pane in self.panes]).amin(0)

    def owner(self, p: Points) -> Tensor:
        """Index of the part nearest to each point, (N,)."""
        return torch.stack([part.shape(p) for part in self.parts]).argmin(0)


@dataclass(frozen=True, kw_only=True)
class Design:
    """One product of the catalogue. `make` builds its model from a seed, which moves veins, flecks and grain."""

    title: str
    description: str
    colour: str
    """Main colour, a name of the palette."""
    look: str
    """The preset look that suits it."""
    price: float
    creator: str
    tags: tuple[str, ...]
    paper: str
    """Colour of the backdrop paper, a name of the palette."""
    make: Callable[[int], Model]
