"""The gate before promotion: a challenger must not be worse than the champion on held-out data, and says why.

Both are measured by the same code on the same held-out rows in the same call; the gate only compares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.errors import InputError


class NotJudgedError(InputError):
    """A model that these data cannot judge: its figure would flatter it."""


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One line of the gate."""

    metric: str
    """Name in the metrics of both models."""
    higher_is_better: bool
    tolerance: float = 0.0
    """How much worse the challenger may be, as a share of the champion's value, 0…1."""
    bound: float | None = None
    """Absolute bound every model must meet (a minimum when higher is better, else a maximum); None: no bound."""


@dataclass(frozen=True)
class GateDecision:
    """Whether the challenger may become champion, and a line for each criterion."""

    passed: bool
    reasons: tuple[str, ...]


def decide(
    criteria: Sequence[Criterion], challenger: Mapping[str, float], champion: Mapping[str, float] | None
) -> GateDecision:
    """Compare on every criterion; all must hold. Without a champion only the absolute bounds count."""
    passed, reasons = True, []
    for criterion in criteria:
        ok, reason = _judge(
            criterion, challenger.get(criterion.metric), None if champion is None else champion.get(criterion.metric)
        )
        passed &= ok
        reasons.append(f"{'pass' if ok else 'FAIL'}  {criterion.metric}: {reason}")
    return GateDecision(passed, tuple(reasons))


def _judge(criterion: Criterion, new: float | None, old: float | None) -> tuple[bool, str]:
    if new is None or not math.isfinite(new):
        return False, f"challenger has no finite value ({new})"
    if criterion.bound is not None:
        within = new >= criterion.bound if criterion.higher_is_better else new <= criterion.bound
        if not within:
            sign = "≥" if criterion.higher_is_better else "≤"
            return False, f"challenger {new:.4g} misses the bound {sign} {criterion.bound:g}"
    if old is None or not math.isfinite(old):
        return True, f"challenger {new:.4g}, no champion to compare with"
    slack = criterion.tolerance * abs(old)
    better = new >= old - slack if criterion.higher_is_better else new <= old + slack
    return better, f"challenger {new:.4g} against champion {old:.4g}, tolerance {criterion.tolerance:.0%}"
