"""Which viewers the demo shows: three whose looks lie far apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cluster.cli.demo.shop import DemoShop
from cluster.errors import InputError

CANDIDATES = 400
"""Viewers looked at: the ones with the longest histories, whose taste is known best."""


@dataclass(frozen=True, kw_only=True)
class DemoViewer:
    """A viewer of the log, as a person who runs the demo may name them."""

    raw_id: str
    label: str
    """Raw id and nearest look, for the storefront's switcher."""
    weights: dict[str, float]
    """The look as a blend of presets."""


def viewers_of_different_taste(shop: DemoShop, recommender_bundle: Path, *, count: int) -> list[DemoViewer]:
    """Greedy farthest-point choice over the codes of the viewers' looks, the most decided viewer first."""
    from trainables.recommender.history import histories
    from trainables.recommender.recommender import Recommender

    recommender = Recommender.from_bundle(recommender_bundle)
    by_viewer = histories(shop.dataset.arrow("events"))
    longest = sorted((v for v in by_viewer if v in shop.raw_of), key=lambda v: (-len(by_viewer[v]), v))[:CANDIDATES]
    if len(longest) < count:
        raise InputError(f"the viewing log has {len(longest)} viewers with a history; the demo shows {count}")
    now_ms = max(event.at_ms for viewer in longest for event in by_viewer[viewer])
    looks = [recommender.look(by_viewer[viewer], now_ms) for viewer in longest]
    codes = np.stack([look.code for look in looks])
    chosen = [int(np.argmax([max(look.weights.values()) for look in looks]))]
    while len(chosen) < count:
        distance = np.linalg.norm(codes[:, None] - codes[chosen][None], axis=-1).min(1)
        chosen.append(int(distance.argmax()))
    return [
        DemoViewer(
            raw_id=shop.raw_of[longest[i]],
            label=f"{shop.raw_of[longest[i]]} · {looks[i].nearest.replace('_', ' ')}",
            weights=looks[i].weights,
        )
        for i in chosen
    ]
