"""Shilling: planted profiles that push one product into other viewers' slates (Lam and Riedl, WWW 2004; Mobasher et
al., ACM TOIT 2007), carried over from ratings to implicit feedback.

Every fake viewer takes to the target as strongly as anybody takes to anything, and hides it among filler, as many
products as a real viewer drawn at random has:

- random: filler drawn evenly from the catalogue, of the log's mean weight;
- average: filler drawn as often as products are taken to, each of its own mean weight: the profile of nobody but of
  the crowd as a whole;
- bandwagon: the most popular products, and random filler.

The attacker is given what helps most: the sizes and the popularity of the real log, and times of real viewers.

Dims: V viewers, F fake viewers, n products, N pairs of viewer and product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.recommender.feedback import Feedback

ATTACKS = ("random", "average", "bandwagon")


@dataclass(frozen=True, kw_only=True)
class ShillingConfig:
    """One attack."""

    attack: str = "random"
    """One of ATTACKS."""
    share: float = 0.01
    """Fake viewers for each real one, 0 < share ≤ 1; at least one is planted."""
    popular: int = 10
    """Most popular products that every profile of a bandwagon attack holds, ≥ 1."""

    def __post_init__(self) -> None:
        if self.attack not in ATTACKS:
            raise ValueError(f"shilling.attack is {self.attack!r}; set one of {', '.join(ATTACKS)}")
        if not 0 < self.share <= 1:
            raise ValueError(f"shilling.share is {self.share}; set a share above 0, at most 1, e.g. 0.01")
        if self.popular < 1:
            raise ValueError(f"shilling.popular is {self.popular}; set 1 or more, e.g. 10")


def plant(
    feedback: Feedback, products: int, target: int, config: ShillingConfig, seed: int
) -> tuple[Feedback, np.ndarray]:
    """The log with fake viewers planted, and True (V + F,) for each fake one. `target` is a catalogue row.

    Raises ValueError for a log without pairs: there is nobody to look like.
    """
    if len(feedback.viewer_N) == 0:
        raise ValueError("the log has no pairs; plant profiles in one that has")
    rng = np.random.default_rng(seed)
    real = len(feedback.viewers)
    size_V = np.bincount(feedback.viewer_N, minlength=real)
    models = rng.choice(np.flatnonzero(size_V), max(round(config.share * real), 1))
    viewers_n = np.bincount(feedback.product_N, minlength=products)
    mean = feedback.weight_N.mean()
    mean_n = np.bincount(feedback.product_N, feedback.weight_N, products) / np.maximum(viewers_n, 1)
    strongest = feedback.weight_N.max()
    popular = np.argsort(-viewers_n, kind="stable")[: config.popular]
    popular = popular[popular != target]
    viewer, product, at_ms, weight = [], [], [], []
    for fake, like in enumerate(models):
        size = min(size_V[like], products)
        shown = popular[: size - 1] if config.attack == "bandwagon" else np.zeros(0, np.int64)
        chance_n = viewers_n.astype(float) if config.attack == "average" else np.ones(products)
        chance_n[[target, *shown]] = 0
        count = min(size - 1 - len(shown), np.count_nonzero(chance_n))
        filler = rng.choice(products, count, replace=False, p=chance_n / chance_n.sum()) if count else shown[:0]
        own = np.concatenate([[target], shown, filler])
        filled = mean_n[filler] if config.attack == "average" else np.full(len(filler), mean)
        times = feedback.at_ms_N[feedback.viewer_N == like]
        viewer.append(np.full(len(own), real + fake))
        product.append(own)
        at_ms.append(rng.choice(times, len(own)))
        weight.append(np.concatenate([np.full(1 + len(shown), strongest), filled]))
    names = np.concatenate([feedback.viewers, [f"planted-{fake:06d}" for fake in range(len(models))]])
    order = np.argsort(names, kind="stable")
    row = np.empty(len(names), np.int64)
    row[order] = np.arange(len(names))
    viewer_N = row[np.concatenate([feedback.viewer_N, *viewer])]
    product_N = np.concatenate([feedback.product_N, *product])
    at_ms_N = np.concatenate([feedback.at_ms_N, *at_ms])
    weight_N = np.concatenate([feedback.weight_N, *weight])
    sort = np.lexsort((product_N, at_ms_N, viewer_N))
    attacked = Feedback(names[order], viewer_N[sort], product_N[sort], at_ms_N[sort], weight_N[sort], feedback.counts)
    return attacked, order >= real
