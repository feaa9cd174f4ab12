"""What trials are compared by. Neither measure depends on λ or any other setting that a sweep varies.

* While a trial runs: the training terms L_style + (1 − edge correlation), with weights that are the same for every
  trial, averaged over its latest reports. The scheduler stops trials by it.
* At its end: `style_distance + 1 − sobel_correlation` on held-out products (`score` of the generator's evaluation). The
  best settings and the search go by it.

Lower is better for both. The two parts of the held-out one, apart, are what a Pareto front is drawn of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

STEP, RUNNING, OBJECTIVE = "step", "running", "objective"
"""Names in a trial's reports: steps done, the running measure, the held-out one (last report only)."""

STYLE, CONTOURS = "style_distance", "contour_loss"
"""The two parts of the objective, in the last report."""

AVERAGED = 3


def running(reports: Sequence[Mapping[str, float]]) -> float:
    """Running measure of a trial from its reported training terms, the latest last."""
    latest = reports[-AVERAGED:]
    return sum(terms["loss/style"] + terms["loss/edges"] for terms in latest) / len(latest)


def objective(metrics: Mapping[str, float]) -> float:
    """Held-out measure of a finished trial."""
    return metrics["heldout/score"]


def measures(metrics: Mapping[str, float]) -> dict[str, float]:
    """What the last report of a finished trial says: the held-out measure and its parts."""
    style, contours = metrics["heldout/style_distance"], 1 - metrics["heldout/sobel_correlation"]
    return {OBJECTIVE: objective(metrics), STYLE: style, CONTOURS: contours}


def values(result: Mapping[str, float], wanted: str) -> list[float]:
    """What a search is told of a trial's last report, NaN where it has not finished: the `score`, or a `front`'s two
    parts.
    """
    names = (STYLE, CONTOURS) if wanted == "front" else (OBJECTIVE,)
    return [float(result.get(name, math.nan)) for name in names]
