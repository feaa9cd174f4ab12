"""Named colours of the sample shop and the colour family each belongs to (what a shopper filters by).

Colours are kept as sRGB hex and handed out as linear RGB, in which light adds up.
Dims: colours C_3 or C_3N, N points.
"""

from __future__ import annotations

import torch
from torch import Tensor

COLOURS: dict[str, tuple[str, str]] = {
    "ivory": ("#f3ead8", "cream"), "oat": ("#e3d3b8", "cream"), "linen": ("#e9dfcf", "cream"),
    "sand": ("#d6bd94", "cream"), "snow": ("#f4f4f1", "white"), "chalk": ("#e8e8e3", "white"),
    "porcelain": ("#f1f0ec", "white"), "fog": ("#c5cacd", "grey"), "ash": ("#9a9c9c", "grey"),
    "slate": ("#59636c", "grey"), "graphite": ("#3a3e42", "grey"), "ink black": ("#17181a", "black"),
    "soot": ("#222224", "black"), "crimson": ("#b3202c", "red"), "scarlet": ("#d8352b", "red"),
    "oxblood": ("#6d1b20", "red"), "brick": ("#a8452f", "red"), "coral": ("#ee7059", "orange"),
    "tangerine": ("#f0852d", "orange"), "terracotta": ("#c4653f", "orange"), "apricot": ("#f3b07a", "orange"),
    "mustard": ("#d9a320", "yellow"), "lemon": ("#f5d547", "yellow"), "butter": ("#f4e2a0", "yellow"),
    "ochre": ("#bf8a2f", "yellow"), "olive": ("#7a7b3c", "green"), "sage": ("#9cad8b", "green"),
    "fern": ("#4f8a4b", "green"), "forest": ("#23503a", "green"), "mint": ("#a9dcc3", "green"),
    "celadon": ("#b4cdb6", "green"), "lime": ("#b5d334", "green"), "teal": ("#1f7a7c", "teal"),
    "lagoon": ("#2ba5a5", "teal"), "petrol": ("#174b57", "teal"), "aqua": ("#8ed3d3", "teal"),
    "cobalt": ("#1f3fa8", "blue"), "navy": ("#1b2850", "blue"), "denim": ("#45658f", "blue"),
    "sky": ("#86b9e3", "blue"), "azure": ("#2f80d8", "blue"), "powder": ("#b9cfe2", "blue"),
    "indigo": ("#333a7d", "blue"), "plum": ("#5d2a5b", "purple"), "violet": ("#6a46b0", "purple"),
    "lilac": ("#bda6d9", "purple"), "aubergine": ("#3b2038", "purple"), "rose": ("#dc8c98", "pink"),
    "blush": ("#edc4bd", "pink"), "fuchsia": ("#cf2f7d", "pink"), "peony": ("#e56a94", "pink"),
    "cognac": ("#9c5527", "brown"), "tan": ("#b98553", "brown"), "chestnut": ("#6f3c22", "brown"),
    "espresso": ("#3c2619", "brown"), "walnut": ("#6b4529", "brown"), "oak": ("#c39a66", "brown"),
    "maple": ("#dcb583", "brown"), "teak": ("#985f31", "brown"), "birch": ("#e7cfa6", "brown"),
    "cork": ("#bd9467", "brown"), "silver": ("#dadce0", "grey"), "steel": ("#b4b8bc", "grey"),
    "gunmetal": ("#5f656b", "grey"), "gold": ("#efc25e", "yellow"), "rose gold": ("#e8a88f", "pink"),
    "copper": ("#d9825b", "orange"), "brass": ("#d8ac5c", "yellow"), "bronze": ("#8f6436", "brown"),
}
"""Name → (sRGB hex, family)."""

FAMILIES = ("white", "cream", "grey", "black", "brown", "red", "orange", "yellow", "green", "teal", "blue", "purple",
            "pink")
"""The colour families, in a fixed order."""


def to_linear(srgb: Tensor) -> Tensor:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1)."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Tensor) -> Tensor:
    """Linear light in [0, 1] to sRGB."""
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def colour(name: str) -> Tensor:
    """Linear RGB of a named colour, shape (3, 1), ready to broadcast over points. KeyError for an unknown name."""
    code = COLOURS[name][0]
    return to_linear(torch.tensor([[int(code[i : i + 2], 16) / 255] for i in (1, 3, 5)]))


def family(name: str) -> str:
    """The colour family of a named colour."""
    return COLOURS[name][1]
