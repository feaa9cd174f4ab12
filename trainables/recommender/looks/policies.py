"""What other ways of choosing looks would have brought, estimated from the log of those that were chosen.

Dims: N choices, S styles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.errors import InputError
from trainables.recommender.looks.offpolicy import Estimate, LoggedChoices, cross_fitted_rates, doubly_robust, snips
from trainables.recommender.looks.outcomes import Outcomes

LEAST = 20
"""Choices below which nothing can be estimated."""


@dataclass(frozen=True)
class PolicyEstimate:
    """Share of slates whose look the viewer would have taken to, had looks been chosen in another way."""

    policy: str
    snips: Estimate
    doubly_robust: Estimate


def compare(known: Outcomes, styles: Sequence[str]) -> list[PolicyEstimate]:
    """The policy that was served, the viewer's own taste (its strongest preset), chance, and each style for everybody.

    InputError where fewer than 20 choices are known.
    """
    count, size = known.propensity_NS.shape
    if count < LEAST:
        raise InputError(f"{count} looks were chosen and can be judged; {LEAST} are needed: let more viewers come")
    one_hot = np.eye(size)
    taste = known.context_ND[:, 1:].argmax(1)
    policies = {
        "as served": known.propensity_NS,
        "the viewer's taste": one_hot[taste],
        "at random": np.full((count, size), 1 / size),
        **{f"always {style}": np.tile(one_hot[s], (count, 1)) for s, style in enumerate(styles)},
    }
    rates_NS = cross_fitted_rates(known.style_N, known.reward_N, size)
    return [_estimate(name, target_NS, known, rates_NS) for name, target_NS in policies.items()]


def _estimate(name: str, target_NS: np.ndarray, known: Outcomes, rates_NS: np.ndarray) -> PolicyEstimate:
    chosen = (np.arange(len(known.style_N)), known.style_N)
    log = LoggedChoices(reward_N=known.reward_N, propensity_N=known.propensity_NS[chosen], target_N=target_NS[chosen])
    return PolicyEstimate(name, snips(log), doubly_robust(log, (target_NS * rates_NS).sum(1), rates_NS[chosen]))
