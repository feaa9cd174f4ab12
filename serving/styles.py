"""What a client may ask for as a style, and the blends of presets a viewer's look is rendered in.

Dims: S = trainables.data.style_code.CODE_DIM.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serving.problems import Problem
from trainables.data.style_code import CODE_DIM

BLEND_STEPS = 4
"""A personal look is rendered in quarters of presets: viewers of like taste share cached clips."""
CODE_BOUND = 20.0
"""Largest magnitude of a number in a style code; codes of real pictures stay within ±10."""


@dataclass(frozen=True)
class Style:
    """A look that can be rendered."""

    code_S: np.ndarray
    name: str
    """Nearest preset; `custom` for a bare code."""
    weights: dict[str, float]
    """Shares of presets, 0…1, adding to 1; empty for a bare code."""

    def describe(self) -> str:
        """`neon` or `neon 75 % · ink 25 %`."""
        if len(self.weights) <= 1:
            return self.name
        return " · ".join(
            f"{name} {share:.0%}" for name, share in sorted(self.weights.items(), key=lambda item: -item[1])
        )


def blend(weights: Mapping[str, float], presets: Mapping[str, np.ndarray]) -> Style:
    """Weighted mean of preset codes; weights are scaled to add to 1."""
    total = sum(weights.values())
    shares = {name: weight / total for name, weight in weights.items() if weight > 0}
    code = sum(share * presets[name] for name, share in shares.items())
    return Style(np.asarray(code, np.float32), max(shares, key=shares.__getitem__), shares)


def personal(weights: Mapping[str, float], presets: Mapping[str, np.ndarray]) -> Style:
    """A viewer's look rounded to quarters of presets (largest remainders), so that it is worth caching."""
    total = sum(weights.values())
    exact = {name: BLEND_STEPS * weight / total for name, weight in weights.items()}
    quarters = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (quarters[name] - exact[name], name))
    for name in by_remainder[: BLEND_STEPS - sum(quarters.values())]:
        quarters[name] += 1
    return blend({name: float(count) for name, count in quarters.items() if count}, presets)


def requested(style: str | Mapping[str, float] | Sequence[float], presets: Mapping[str, np.ndarray]) -> Style:
    """A style from outside: a preset's name, weights of presets, or a style code; a Problem names what is wrong."""
    if isinstance(style, str):
        _known(style, presets)
        return blend({style: 1.0}, presets)
    if isinstance(style, Mapping):
        for name, weight in style.items():
            _known(name, presets)
            if not (math.isfinite(weight) and weight >= 0):
                raise Problem.field(f"style.{name}", f"the weight is {weight}; give a number of 0 or more")
        if not sum(style.values()) > 0:
            raise Problem.field("style", "give at least one preset a weight above 0")
        largest = max(style.values())  # scaled first: the sum of two large numbers may be more than a number holds
        return blend({name: weight / largest for name, weight in style.items()}, presets)
    if len(style) != CODE_DIM:
        raise Problem.field("style", f"a style code has {CODE_DIM} numbers, this one has {len(style)}")
    code = np.asarray(style, np.float32)
    if not (np.isfinite(code).all() and np.abs(code).max() <= CODE_BOUND):
        raise Problem.field("style", f"a style code holds numbers between {-CODE_BOUND:g} and {CODE_BOUND:g}")
    return Style(code, "custom", {})


def _known(name: str, presets: Mapping[str, np.ndarray]) -> None:
    if name not in presets:
        raise Problem.field("style", f"there is no style {name[:60]!r}; choose one of {', '.join(presets)}")
