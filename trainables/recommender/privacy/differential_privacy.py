"""Item-item statistics under (ε, δ)-differential privacy: every viewer's part is clipped, and the sums are noised.

Two logs are neighbours when one has one viewer more; what is hidden is whether a viewer is in the log at all, with all
they did. Each viewer adds three things to the sums, and each is clipped:

- x xᵀ to the Gram matrix, ‖x‖₂ ≤ C. What is released is g(x) = (x_i², √2·x_i x_j for i < j), of which
  ‖g(x)‖² = Σ x_i⁴ + 2 Σ_{i<j} x_i² x_j² = ‖x‖₂⁴, so the sensitivity is exactly C². N(0, σ²) on every number of g and
  dividing by √2 gives symmetric noise: σ on the diagonal, σ/√2 beside it, the pair ij and ji sharing one draw.
- a, faded feedback, to the appeal, ‖a‖₂ ≤ C_a: sensitivity C_a.
- b, 1 for each product taken to, scaled to ‖b‖₂ ≤ C_b, to the viewers of products: sensitivity C_b.

Gaussian noise on several sums is one Gaussian mechanism with μ² = Σ (sensitivity / σ)², and

    δ(ε) = Φ(μ/2 − ε/μ) − e^ε · Φ(−μ/2 − ε/μ)

exactly (Balle and Wang, ICML 2018, theorem 8), so no composition bound is lost. Fading and capping look at one viewer
only. Wrong clocks (`feedback.far_future`) are told by the whole log: where one viewer must not tip that, give `collect`
a `far_E` by a public date. The end of training must be a public moment as well, not that of the newest event. The
catalogue and λ are public: no row of the matrix is chosen by looking at the log. All that is computed from the noised
sums stays as private as they are.

This module protects what is learnt from a log by those who see the model, not the log at rest.
The noise is drawn in floating point from a seeded generator: keep the seed as secret as the log.

Dims: n products, V viewers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.special import log_ndtr, ndtr

from trainables.recommender.feedback import Feedback
from trainables.recommender.popularity import appeal_of_pairs
from trainables.recommender.privacy.statistics import ItemStatistics, viewer_vectors
from trainables.recommender.settings import RecommenderTrainConfig


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig:
    """How much may be learnt about one viewer."""

    epsilon: float = 8.0
    """ε, > 0: smaller is more private; 1 is strong, 8 is usual for released models, above 20 little is promised."""
    delta: float = 1e-6
    """δ, between 0 and 1: below one over the number of viewers."""
    max_norm: float = 1.0
    """C, > 0: length of a viewer's feedback vector at most; longer ones are scaled down."""
    max_appeal_norm: float = 1.0
    """C_a, > 0: the same for popularity."""
    max_count_norm: float = 1.0
    """C_b, > 0: the same for the number of viewers of a product."""
    gram_share: float = 0.8
    """Share of μ² that the Gram matrix gets, between 0 and 1; appeal and viewers get half of the rest each."""

    def __post_init__(self) -> None:
        for name in ("epsilon", "max_norm", "max_appeal_norm", "max_count_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"privacy.{name} is {getattr(self, name)}; set a number above 0")
        for name in ("delta", "gram_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"privacy.{name} is {getattr(self, name)}; set a number between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class PrivateStatistics:
    """Noised sums, and what they cost in privacy."""

    statistics: ItemStatistics
    """Appeal and viewers are cut at 0, viewers rounded; `gram_mm` is symmetric but need not be positive definite."""
    epsilon: float
    """ε of the three sums together at `delta`, computed back from the noise that was drawn."""
    delta: float
    sigma_gram: float
    """Deviation of the noise on the diagonal of the Gram matrix."""
    sigma_appeal: float
    sigma_viewers: float
    viewers_clipped: int
    """Viewers whose vector was longer than C: counted without noise, for whoever holds the log, not to be released."""


def delta_of(epsilon: float, mu: float) -> float:
    """δ at which Gaussian noise with sensitivity/σ = μ is (ε, δ)-private (Balle and Wang 2018, theorem 8)."""
    return float(ndtr(mu / 2 - epsilon / mu) - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu)))


def epsilon_of(delta: float, mu: float) -> float:
    """The smallest ε ≥ 0 at which Gaussian noise with sensitivity/σ = μ is (ε, δ)-private."""
    if delta_of(0.0, mu) <= delta:
        return 0.0
    highest = 1.0
    while delta_of(highest, mu) > delta:
        highest *= 2
    return _bisected(lambda epsilon: delta_of(epsilon, mu) <= delta, 0.0, highest)


def mu_of(epsilon: float, delta: float) -> float:
    """The largest sensitivity/σ that is (ε, δ)-private: σ = sensitivity / μ."""
    lowest = 1.0
    while delta_of(epsilon, lowest) > delta:
        lowest /= 2
    highest = 2 * lowest
    while delta_of(epsilon, highest) <= delta:
        highest *= 2
    return 1 / _bisected(lambda inverse: delta_of(epsilon, 1 / inverse) <= delta, 1 / highest, 1 / lowest)


def _bisected(holds: Callable[[float], bool], fails_at: float, holds_at: float) -> float:
    """Where `holds` begins to hold, from its side, to the last digits."""
    for _ in range(200):
        middle = (fails_at + holds_at) / 2
        if not fails_at < middle < holds_at:
            break
        fails_at, holds_at = (fails_at, middle) if holds(middle) else (middle, holds_at)
    return holds_at


def clipped(x_Vn: sparse.csr_array, max_norm: float) -> tuple[sparse.csr_array, int]:
    """Rows scaled to a length of at most `max_norm`, and how many were longer."""
    length_V = np.sqrt(x_Vn.multiply(x_Vn).sum(axis=1))
    longer = length_V > max_norm
    scale_V = np.where(longer, max_norm / np.maximum(length_V, max_norm), 1.0)
    return sparse.csr_array(sparse.diags_array(scale_V) @ x_Vn), int(longer.sum())


def symmetric_noise(n: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """(n, n) float64: σ on the diagonal, σ/√2 beside it, symmetric."""
    noise = rng.normal(0, sigma / math.sqrt(2), (n, n))
    upper = np.triu(noise, 1)
    noise = upper + upper.T
    noise[np.diag_indices(n)] = rng.normal(0, sigma, n)
    return noise


def private_statistics(
    feedback: Feedback, products: int, config: RecommenderTrainConfig, now_ms: int, privacy: PrivacyConfig, seed: int
) -> PrivateStatistics:
    """Clipped and noised sums of a log, over all products of the public catalogue (at most `ease.max_products`).

    `feedback` comes from `collect`, `now_ms` is the end of training. The same seed draws the same noise.
    """
    if products > config.ease.max_products:
        raise ValueError(
            f"the catalogue has {products} products and ease.max_products is {config.ease.max_products}: which of them "
            "have viewers is private; raise ease.max_products or leave products out by what is public about them"
        )
    rng = np.random.default_rng(seed)
    rows = np.arange(products)
    mu = mu_of(privacy.epsilon, privacy.delta)
    rest = mu * math.sqrt((1 - privacy.gram_share) / 2)
    sigma_gram = privacy.max_norm**2 / (mu * math.sqrt(privacy.gram_share))
    sigma_appeal, sigma_viewers = privacy.max_appeal_norm / rest, privacy.max_count_norm / rest

    x_Vn, longer = clipped(viewer_vectors(feedback, rows, config.ease), privacy.max_norm)
    gram = (x_Vn.T @ x_Vn).toarray() + symmetric_noise(products, sigma_gram, rng)
    shape = (len(feedback.viewers), products)
    faded = appeal_of_pairs(feedback, now_ms, config.popularity.half_life_days, config.feedback.impression)
    place = (feedback.viewer_N, feedback.product_N)
    appeal, _ = clipped(sparse.csr_array((faded, place), shape=shape), privacy.max_appeal_norm)
    taken = (feedback.weight_N > 0).astype(float)
    count, _ = clipped(sparse.csr_array((taken, place), shape=shape), privacy.max_count_norm)
    appeal_n = np.asarray(appeal.sum(axis=0)) + rng.normal(0, sigma_appeal, products)
    viewers_n = np.asarray(count.sum(axis=0)) + rng.normal(0, sigma_viewers, products)
    spent = math.hypot(
        privacy.max_norm**2 / sigma_gram,
        privacy.max_appeal_norm / sigma_appeal,
        privacy.max_count_norm / sigma_viewers,
    )
    return PrivateStatistics(
        statistics=ItemStatistics(
            rows=rows,
            gram_mm=gram,
            appeal_n=np.maximum(appeal_n, 0),
            viewers_n=np.maximum(np.rint(viewers_n), 0).astype(np.int64),
        ),
        epsilon=epsilon_of(privacy.delta, spent),
        delta=privacy.delta,
        sigma_gram=sigma_gram,
        sigma_appeal=sigma_appeal,
        sigma_viewers=sigma_viewers,
        viewers_clipped=longer,
    )


def private_item_item(private: PrivateStatistics, l2: float) -> np.ndarray:
    """B (n, n) float32 of noised statistics.

    The largest eigenvalue of the noise is about σ·√(2n) (Wigner's semicircle), so λ is raised by that much: the matrix
    is then positive definite however little of it is signal, and shrinks towards 0 as the noise grows. Both are
    computed from public numbers and released ones, so nothing more is spent.
    """
    lifted = l2 + private.sigma_gram * math.sqrt(2 * len(private.statistics.rows))
    while True:
        try:
            return private.statistics.item_item(lifted)
        except ValueError:  # a rare draw: noise beyond its usual edge
            lifted *= 1.1
