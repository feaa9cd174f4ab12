"""What trials are compared by. Neither measure depends on λ or any other setting that a sweep varies.

* While a trial runs: the training terms L_style + (1 − edge correlation), with weights that are the same for every
  trial, averaged over its latest reports. The scheduler stops trials by it.
* At its end: `style_distance + 1 − sobel_correlation` on held-out products (`score` of the generator's evaluation). The
  best settings and the search go by it.

Lower is better for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

STEP, RUNNING, OBJECTIVE = "step", "running", "objective"
"""Names in a trial's reports: steps done, the running measure, the held-out one (last report only)."""

AVERAGED = 3


def running(reports: Sequence[Mapping[str, float]]) -> float:
    """Running measure of a trial from its reported training terms, the latest last."""
    latest = reports[-AVERAGED:]
    return sum(terms["loss/style"] + terms["loss/edges"] for terms in latest) / len(latest)


def objective(metrics: Mapping[str, float]) -> float:
    """Held-out measure of a finished trial."""
    return metrics["heldout/score"]
