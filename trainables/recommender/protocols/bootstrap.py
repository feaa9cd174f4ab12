"""Bootstrap intervals over viewers (Efron): viewers are drawn with replacement, all seeds of a viewer together."""

from __future__ import annotations

import numpy as np

DRAWS = 1000


def interval(values_V: np.ndarray, *, draws: int = DRAWS, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of the mean of one value a viewer. Give differences for a paired interval."""
    if len(values_V) == 0:
        raise ValueError("there are no viewers to draw from")
    rng = np.random.default_rng(seed)
    # A bootstrap mean needs only how often each viewer was drawn: multinomial counts, a band of draws at a time.
    means = [
        rng.multinomial(len(values_V), np.full(len(values_V), 1 / len(values_V)), size=min(50, draws - first))
        @ values_V
        / len(values_V)
        for first in range(0, draws, 50)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
