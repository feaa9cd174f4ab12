"""A blend of members: each brought to spread 1 a viewer, added up with weights found on validation.

Starting from `start_weights`, one weight at a time is moved by a half, then by a quarter, as long as NDCG rises by more
than noise would; weights stay at 0 or above. Members are fitted with the same settings on validation and on test.

Dims: V viewers, n products, k places.
"""

from __future__ import annotations

from collections.abc import Mapping

from trainables.recommender.protocols import baselines, members
from trainables.recommender.protocols.baselines import Fit, Scorer, standardised
from trainables.recommender.protocols.measure import ndcg_of
from trainables.recommender.protocols.splits import Question

STEPS = (0.5, 0.25)
LEAST_GAIN = 1e-3
"""Rise in NDCG below which a move is taken for noise."""


def blend_members(protocol: str, seed: int) -> dict[str, Fit]:
    """Members for a protocol: only those of order where the split keeps the order."""
    taste: dict[str, Fit] = {
        "EASE with dropout": members.ease_with_dropout(300, 0.4),
        "EASE on values": members.ease_with_dropout(150, 0.4, on_values=True),
        "EASE over viewers": members.ease_over_viewers(500),
        "iALS": baselines.implicit_als(32, 30, 4, seed=seed, starts=3),
        "iALS, wide": baselines.implicit_als(64, 30, 4, seed=seed, starts=3),
        "iALS on values": baselines.implicit_als(48, 25, 5, rated=True, seed=seed, starts=3),
    }
    if protocol in ("A", "M"):
        return taste
    order: dict[str, Fit] = {
        "EASE with recency": members.ease_with_recency(350, 10),
        "EASE on windows": members.ease_on_windows(100, 20, 5),
        "next item": members.next_item_ridge(300, 5, 10),
    }
    return {**taste, **order}


def start_weights(fits: Mapping[str, Fit], protocol: str) -> dict[str, float]:
    """1 each, 2 for members of which there is no second one like them, half for the wide iALS beside the narrow one;
    where the very next product is asked for, 0 for members that know no order."""
    if protocol == "loo":
        unordered = blend_members("A", 0)
        return {name: float(name not in unordered) for name in fits}
    given = {"EASE over viewers": 2.0, "iALS": 2.0, "iALS on values": 2.0, "iALS, wide": 0.5}
    return {name: given.get(name, 1.0) for name in fits}


def fit_weights(
    fits: Mapping[str, Fit], question: Question, k: int, start: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Weights of the members by NDCG@k on a validation question, from `start` on (None: 1 each); without those of 0."""
    parts = {name: standardised(fit(question.fit)(question.asked)) for name, fit in fits.items()}
    weights = dict(start) if start is not None else dict.fromkeys(parts, 1.0)
    total = sum(weights[name] * part for name, part in parts.items())
    best = ndcg_of(total, question, k)
    for step in STEPS:
        moved = True
        while moved:
            moved = False
            for name, part in parts.items():
                for change in (step, -step):
                    if weights[name] + change < 0:
                        continue
                    gain = ndcg_of(total + change * part, question, k)
                    if gain > best + LEAST_GAIN:
                        total, best, moved = total + change * part, gain, True
                        weights[name] += change
    return {name: weight for name, weight in weights.items() if weight > 0}


def blend(fits: Mapping[str, Fit], weights: Mapping[str, float]) -> Fit:
    def fit(log) -> Scorer:
        scorers = {name: fits[name](log) for name in weights}
        return lambda rows: sum(weights[name] * standardised(scorer(rows)) for name, scorer in scorers.items())

    return fit
