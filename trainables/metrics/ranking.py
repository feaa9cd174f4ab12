"""Ranking measures of slates, as pure functions.

A slate is a sequence of distinct products, best first; `relevant` is the set of products the viewer went on to like.
All measures are binary (a product is relevant or not) and lie in 0…1 except novelty (bits). Means over viewers are the
caller's: `sum(f(slate, relevant, k) …) / viewers`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

Product = Hashable


def recall(slate: Sequence[Product], relevant: Collection[Product], k: int) -> float:
    """Share of the relevant products that are among the first k: hits / |relevant|."""
    return _hits(slate, relevant, k) / len(relevant)


def precision(slate: Sequence[Product], relevant: Collection[Product], k: int) -> float:
    """Share of the first k places that hold a relevant product: hits / k; a short slate's empty places are misses."""
    return _hits(slate, relevant, k) / k


def hit_rate(slate: Sequence[Product], relevant: Collection[Product], k: int) -> float:
    """1 where at least one of the first k is relevant, else 0."""
    return float(_hits(slate, relevant, k) > 0)


def ndcg(slate: Sequence[Product], relevant: Collection[Product], k: int) -> float:
    """Normalised discounted cumulative gain: Σ_hits 1/log2(place + 1), over the same sum of the ideal slate, which has
    min(k, |relevant|) hits in front (Järvelin & Kekäläinen 2002, binary gain)."""
    _check(relevant, k)
    gain = sum(_discount(place) for place, product in enumerate(slate[:k], 1) if product in relevant)
    return gain / sum(_discount(place) for place in range(1, min(k, len(relevant)) + 1))


def reciprocal_rank(slate: Sequence[Product], relevant: Collection[Product], k: int) -> float:
    """1 / place of the first relevant product among the first k, 0 without one. Its mean over viewers is MRR."""
    _check(relevant, k)
    return next((1 / place for place, product in enumerate(slate[:k], 1) if product in relevant), 0.0)


def coverage(slates: Iterable[Sequence[Product]], products: int, k: int) -> float:
    """Share of the catalogue's `products` that stand among the first k of at least one slate."""
    if products < 1:
        raise ValueError(f"products is {products}; coverage needs a catalogue of at least one")
    return len({product for slate in slates for product in slate[:k]}) / products


def novelty(slate: Sequence[Product], viewers_of: Mapping[Product, int], viewers: int, k: int) -> float:
    """Mean self-information of the first k, in bits: −log2 of the share of viewers who met a product (Zhou 2010).

    `viewers_of` counts viewers a product; one that nobody met counts as met by one. An empty slate has novelty 0.
    """
    bits = [math.log2(viewers / max(1, viewers_of.get(product, 0))) for product in slate[:k]]
    return sum(bits) / len(bits) if bits else 0.0


def _discount(place: int) -> float:
    return 1 / math.log2(place + 1)


def _hits(slate: Sequence[Product], relevant: Collection[Product], k: int) -> int:
    _check(relevant, k)
    return sum(product in relevant for product in slate[:k])


def _check(relevant: Collection[Product], k: int) -> None:
    if k < 1:
        raise ValueError(f"k is {k}; use 1 or more")
    if not relevant:
        raise ValueError("relevant is empty; leave viewers without relevant products out of the mean")
