"""What everybody takes to at the moment: the fallback for unknown viewers, and the baseline of every evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.recommender.ease import fade
from trainables.recommender.feedback import Feedback


@dataclass(frozen=True, kw_only=True)
class PopularityConfig:
    """Settings of the popularity score."""

    half_life_days: float = 3.0
    """Days, > 0: feedback this old counts half."""

    def __post_init__(self) -> None:
        if not self.half_life_days > 0:
            raise ValueError(f"popularity.half_life_days is {self.half_life_days}; set days above 0, e.g. 3")


def popularity(feedback: Feedback, products: int, now_ms: int, config: PopularityConfig) -> np.ndarray:
    """Faded feedback summed over viewers, float32 (n,), scaled to a maximum of 1; 0 for what nobody took to."""
    faded = feedback.weight_N * fade(feedback.at_ms_N, now_ms, config.half_life_days)
    total = np.bincount(feedback.product_N, faded, products)
    return (total / max(total.max(initial=0), np.finfo(float).tiny)).astype(np.float32)
