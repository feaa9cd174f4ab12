"""The simulated viewers and how they choose: the documented model behind the sample shop's viewing log.

Everything here is invented; no person was observed. Notation: viewer v, product i, shown look s, time t, slot r.

**Tastes.** Kinds of products belong to rooms (`ROOMS`). A viewer draws one or two rooms, and tastes within them from a
Dirichlet distribution scaled to a maximum of one: θ_v(kind) ∈ [0, 1]. Colour families γ_v and looks φ_v are Dirichlet
draws over all, scaled alike. Price sensitivity κ_v ~ LogNormal. Products have a quality q_i ~ Normal.

**Drift.** A share of the viewers takes up another room: θ_v(t) = (1 − w) θ_v⁰ + w θ_v¹ with w = σ((t − τ_v) / 1 day).

**Intent.** A visit has one kind in mind, which counts more while the visit lasts. With probability
k · 2^(−gap / 3 days) it is still that of the viewer's visit before; otherwise it is drawn in proportion to θ_v(t)².

**Utility.** u = a_k θ_v(kind_i, t) + a_n [kind_i is the intent] + a_c γ_v(colour_i) + a_l φ_v(look_i)
+ a_s φ_v(s) + q_i.

**Examination.** Slot r is looked at with probability e^r (r from 0, e < 1), whatever it holds.

**Click.** Only if looked at: P = σ(b_click + u).

**Watch.** After each click, x = b_watch + c_s φ_v(s) + c_u (u − a_s φ_v(s)) + Normal(0, noise); watched seconds are
duration · exp(x), at most `max_loops` times the duration. The look weighs most, so that tastes in looks can be
recovered from watching.

**Like.** P = σ(b_like + d_u u + d_x x). **Purchase.** P = σ(b_buy + f_u u − κ_v log(price_i / median price)).

Dims: V viewers, P products, K kinds, L looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.data.sample.catalogue import LOOKS
from trainables.data.sample.palette import FAMILIES

ROOMS: dict[str, tuple[str, ...]] = {
    "kitchen": ("mug", "bowl", "teapot", "bottle"),
    "living": ("vase", "candle", "plant pot", "table lamp", "chair"),
    "wardrobe": ("handbag", "hat", "sunglasses", "ring", "wristwatch"),
    "street": ("sneaker", "backpack", "headphones", "hat"),
    "desk": ("camera", "speaker", "headphones", "table lamp", "wristwatch"),
    "outdoors": ("bottle", "backpack", "sunglasses", "camera"),
    "children": ("toy car", "backpack", "mug", "hat"),
}
"""Kinds that are liked together."""


@dataclass(frozen=True, kw_only=True)
class ChoiceConfig:
    """Numbers of the choice model; symbols as in the module's text."""

    seed: int = 0
    """Seed of every draw."""
    viewers: int = 2400
    """V, ≥ 1."""
    slates: float = 6.0
    """Mean number of slates a viewer sees in all, ≥ 1."""
    slots: int = 6
    """Products in a slate, ≥ 1."""
    random_share: float = 0.4
    """Share of feed slots filled at random, 0 to 1; the rest go by popularity."""
    browse_share: float = 0.4
    """Share of slates that are the page of the kind the viewer has in mind, 0 to 1; the rest are the feed."""
    own_look_share: float = 0.4
    """Share of clips shown in the look that suits the product, 0 to 1; the rest in a random look."""
    kind_weight: float = 2.6
    """a_k."""
    intent_weight: float = 1.6
    """a_n."""
    intent_kept: float = 0.9
    """k, 0 to 1."""
    colour_weight: float = 1.0
    """a_c."""
    look_weight: float = 0.8
    """a_l, for the look that suits the product."""
    shown_weight: float = 0.9
    """a_s, for the look in which the clip is shown."""
    click_bias: float = -3.5
    """b_click."""
    examination: float = 0.86
    """e, 0 to 1."""
    watch_bias: float = -1.55
    """b_watch."""
    watch_shown: float = 1.5
    """c_s."""
    watch_utility: float = 0.18
    """c_u."""
    watch_noise: float = 0.3
    """Standard deviation of x."""
    max_loops: float = 3.0
    """Longest watch, in durations."""
    like_bias: float = -4.2
    """b_like."""
    like_utility: float = 0.55
    """d_u."""
    like_watch: float = 1.1
    """d_x."""
    buy_bias: float = -6.7
    """b_buy."""
    buy_utility: float = 0.9
    """f_u."""
    drifting: float = 0.8
    """Share of viewers who take up another room, 0 to 1."""

    def __post_init__(self) -> None:
        for name in ("viewers", "slates", "slots"):
            if getattr(self, name) < 1:
                raise ValueError(f"choice.{name} is {getattr(self, name)}; set it to 1 or more")
        for name in ("random_share", "browse_share", "own_look_share", "intent_kept", "examination", "drifting"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"choice.{name} is {getattr(self, name)}; set it between 0 and 1")


@dataclass(frozen=True)
class Shelf:
    """The products as the model sees them."""

    ids: list[str]
    kinds: list[str]
    """The K kinds, sorted."""
    kind: np.ndarray
    """(P,) index into `kinds`."""
    colour: np.ndarray
    """(P,) index into FAMILIES."""
    look: np.ndarray
    """(P,) index into LOOKS."""
    dearness: np.ndarray
    """(P,) logarithm of the price over the median price."""
    quality: np.ndarray
    """(P,) q_i."""
    duration: np.ndarray
    """(P,) length of the looping reel, whole seconds from 8 to 20."""


@dataclass(frozen=True)
class Viewers:
    """The latent tastes of V viewers."""

    before_VK: np.ndarray
    after_VK: np.ndarray
    turn_V: np.ndarray
    """τ_v in days from the start of the log."""
    colour_VF: np.ndarray
    look_VL: np.ndarray
    thrift_V: np.ndarray

    def kinds_at(self, viewer: int, day: float) -> np.ndarray:
        """θ_v(t) over the kinds, (K,)."""
        weight = 1 / (1 + np.exp(-(day - self.turn_V[viewer])))
        return (1 - weight) * self.before_VK[viewer] + weight * self.after_VK[viewer]


def shelve(products: Sequence[Mapping[str, str]], rng: np.random.Generator) -> Shelf:
    """Index the rows of `products.csv` and draw each product's quality and reel length."""
    kinds = sorted({row["category"] for row in products})
    price = np.array([float(row["price"]) for row in products])
    return Shelf(
        ids=[row["product_id"] for row in products],
        kinds=kinds,
        kind=np.array([kinds.index(row["category"]) for row in products]),
        colour=np.array([FAMILIES.index(row["colour"]) for row in products]),
        look=np.array([LOOKS.index(row["look"]) for row in products]),
        dearness=np.log(price / np.median(price)),
        quality=rng.normal(0, 0.35, len(products)),
        duration=rng.integers(8, 21, len(products)).astype(float),
    )


def _scaled(draws: np.ndarray) -> np.ndarray:
    return draws / draws.max(-1, keepdims=True)


def _room_tastes(kinds: list[str], rng: np.random.Generator, count: int) -> np.ndarray:
    rooms = np.array([[kind in room for kind in kinds] for room in ROOMS.values()])
    out = np.zeros((count, len(kinds)))
    for row in out:
        chosen = rng.choice(len(rooms), size=1 + int(rng.random() < 0.35), replace=False)
        row[:] = rng.dirichlet(np.where(rooms[chosen].any(0), 0.9, 0.02))
    return _scaled(out)


def draw_viewers(config: ChoiceConfig, kinds: list[str], rng: np.random.Generator) -> Viewers:
    """Draw the latent tastes of all viewers."""
    before = _room_tastes(kinds, rng, config.viewers)
    other = _room_tastes(kinds, rng, config.viewers)
    drifts = rng.random(config.viewers) < config.drifting
    return Viewers(
        before_VK=before,
        after_VK=np.where(drifts[:, None], other, before),
        turn_V=rng.uniform(7, 23, config.viewers),
        colour_VF=_scaled(rng.dirichlet(np.full(len(FAMILIES), 0.3), config.viewers)),
        look_VL=_scaled(rng.dirichlet(np.full(len(LOOKS), 0.45), config.viewers)),
        thrift_V=rng.lognormal(-0.7, 0.5, config.viewers),
    )


def logistic(x: np.ndarray) -> np.ndarray:
    """σ(x) = 1 / (1 + e^−x)."""
    return 1 / (1 + np.exp(-x))


def utility(
    config: ChoiceConfig, shelf: Shelf, viewers: Viewers, viewer: int, day: float, intent: int,
    items: np.ndarray, shown: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """u of products `items` shown in looks `shown`, shape as `items`."""
    kind = shelf.kind[items]
    return (
        config.kind_weight * viewers.kinds_at(viewer, day)[kind]
        + config.intent_weight * (kind == intent)
        + config.colour_weight * viewers.colour_VF[viewer, shelf.colour[items]]
        + config.look_weight * viewers.look_VL[viewer, shelf.look[items]]
        + config.shown_weight * viewers.look_VL[viewer, shown]
        + shelf.quality[items]
    )
