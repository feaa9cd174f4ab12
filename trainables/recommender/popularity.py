"""What everybody takes to at the moment: the fallback for unknown viewers, and how much a product is trending.

Appeal is feedback above the worth of a mere impression, faded and summed over viewers; popularity is appeal scaled to a
maximum of 1. A product's trend compares its appeal of late with what its appeal over the whole log would let expect:

    trend_i = ((late_i + 0.1) / (whole_i · Σlate / Σwhole + 1)) ^ strength

in units of feedback, so that a product of which little is known is neither carried up nor lost by one event. The
item-item score is multiplied by it: taste and timing have to come together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.recommender.ease import fade
from trainables.recommender.feedback import Feedback

LATE_PRIOR, WHOLE_PRIOR = 0.1, 1.0


@dataclass(frozen=True, kw_only=True)
class PopularityConfig:
    """Settings of the popularity score and of the trend."""

    half_life_days: float = 3.0
    """Days, > 0: in popularity, feedback this old counts half."""
    trend_half_life_days: float = 1.0
    """Days, > 0: feedback this old counts half as late."""
    trend_strength: float = 0.0
    """0 (trends are not followed)…2: exponent of the trend."""

    def __post_init__(self) -> None:
        for name in ("half_life_days", "trend_half_life_days"):
            if not getattr(self, name) > 0:
                raise ValueError(f"popularity.{name} is {getattr(self, name)}; set days above 0, e.g. 3")
        if not 0 <= self.trend_strength <= 2:
            raise ValueError(f"popularity.trend_strength is {self.trend_strength}; set 0…2, 0 for no trend")


def appeal(
    feedback: Feedback, products: int, now_ms: int, half_life_days: float, impression: float = 0.0
) -> np.ndarray:
    """Faded feedback summed over viewers, float64 (n,); `impression` is what the feedback gives for mere showing."""
    return np.bincount(feedback.product_N, appeal_of_pairs(feedback, now_ms, half_life_days, impression), products)


def appeal_of_pairs(feedback: Feedback, now_ms: int, half_life_days: float, impression: float = 0.0) -> np.ndarray:
    """What each pair of viewer and product adds to the appeal, float64 (N,)."""
    liked = np.maximum(feedback.weight_N - impression, 0) / (1 - impression)
    return liked * fade(feedback.at_ms_N, now_ms, half_life_days)


def scaled(appeal_n: np.ndarray) -> np.ndarray:
    """Appeal brought to a maximum of 1, float32."""
    return (appeal_n / max(appeal_n.max(initial=0), np.finfo(float).tiny)).astype(np.float32)


def popularity(
    feedback: Feedback, products: int, now_ms: int, config: PopularityConfig, impression: float = 0.0
) -> np.ndarray:
    """Appeal, float32 (n,), scaled to a maximum of 1; 0 for what nobody took to."""
    return scaled(appeal(feedback, products, now_ms, config.half_life_days, impression))


def trend(
    feedback: Feedback, products: int, now_ms: int, config: PopularityConfig, impression: float = 0.0
) -> np.ndarray:
    """Factor of each product, float32 (n,) > 0; all 1 where the strength is 0 or nobody took to anything."""
    whole = appeal(feedback, products, now_ms, np.inf, impression)
    if config.trend_strength == 0 or not whole.any():
        return np.ones(products, np.float32)
    late = appeal(feedback, products, now_ms, config.trend_half_life_days, impression)
    expected = whole * (late.sum() / whole.sum())
    return (((late + LATE_PRIOR) / (expected + WHOLE_PRIOR)) ** config.trend_strength).astype(np.float32)
