"""Names in a trial's reports, and what a search is told of them.

Lower is better for all measures, and none depends on a setting that a sweep varies.

* While a trial runs: the running measure. The scheduler stops trials by it.
* At its end: the held-out measure. The best settings and the search go by it. Its two parts, apart, are what a Pareto
  front is drawn of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

STEP, RUNNING, OBJECTIVE = "step", "running", "objective"
"""Steps done, the running measure, the held-out one (last report only)."""

PARTS = ("part_1", "part_2")
"""What the last report says apart, for a front; a subject says what they are."""


def values(result: Mapping[str, float], wanted: str) -> list[float]:
    """What a search is told of a trial's last report, NaN where it has not finished: the `score`, or a `front`'s two
    parts.
    """
    names = PARTS if wanted == "front" else (OBJECTIVE,)
    return [float(result.get(name, math.nan)) for name in names]
