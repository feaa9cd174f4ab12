"""Settings of learning the settings, see learning.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """How much a training may find out by itself."""

    enabled: bool = True
    """True: settings are chosen on the newest tenth of the training events; False: they are taken as they are."""
    least_viewers: int = 200
    """Viewers to choose on, ≥ 1; a log that has fewer keeps the settings it is given."""
    most_viewers: int = 1500
    """Viewers asked at most, ≥ 1, evenly spaced."""
    matrix_products: int = 2500
    """Products, 1…20000, those with the most viewers: λ and the worth of an impression are chosen among them."""

    def __post_init__(self) -> None:
        for name in ("least_viewers", "most_viewers", "matrix_products"):
            if getattr(self, name) < 1:
                raise ValueError(f"learn.{name} is {getattr(self, name)}; set 1 or more")
