"""What came of looks that were chosen: the log of choices, joined with what viewers did afterwards.

The reward of a choice is 1 where the viewer took to any clip that was shown in the chosen look in answer to that
request (clicked or liked it, bought the product, or watched the clip to its end), else 0. What was shown as the
original, because the render was late or refused, says nothing for the look: its events carry no style.

Dims: N choices, S styles, D numbers of a context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from trainables.data.schemas import EVENT_TYPES
from trainables.recommender.feedback import CLICK, numbers, rows_in
from trainables.recommender.looks.thompson import LookBandit
from trainables.recommender.taste import finished


@dataclass(frozen=True)
class LookChosen:
    """One choice as it was logged."""

    request_id: str
    style: str
    propensities: dict[str, float]
    """Of every style at that moment."""
    weights: dict[str, float]
    """The viewer's own look, as shares of presets (`taste.Look.weights`)."""


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Choices among the same styles, and their rewards."""

    style_N: np.ndarray
    """Rows of the styles."""
    context_ND: np.ndarray
    propensity_NS: np.ndarray
    """Chance of every style when the choice was made."""
    reward_N: np.ndarray
    """0 or 1."""


def outcomes(choices: Sequence[LookChosen], events: pa.Table, bandit: LookBandit) -> Outcomes:
    """Join choices with events (columns request_id, event_type, watch_seconds, duration_seconds, style).

    Choices made among other styles than the bandit's, before presets came or went, are left out.
    """
    styles = bandit.styles
    usable = [choice for choice in choices if choice.propensities.keys() == set(styles)]
    pleased = _pleased(events)
    chances = [[choice.propensities[style] for style in styles] for choice in usable]
    return Outcomes(
        style_N=np.array([styles.index(choice.style) for choice in usable], np.int64),
        context_ND=np.array([bandit.context(choice.weights) for choice in usable]).reshape(-1, 1 + len(styles)),
        propensity_NS=np.array(chances, np.float64).reshape(-1, len(styles)),
        reward_N=np.array([(choice.request_id, choice.style) in pleased for choice in usable], np.float64),
    )


def _pleased(events: pa.Table) -> set[tuple[str, str]]:
    """Requests and styles of events that show that the viewer took to a clip."""
    kind = rows_in(events["event_type"], EVENT_TYPES)
    took = finished(kind, numbers(events["watch_seconds"]), numbers(events["duration_seconds"])) | (kind == CLICK)
    chosen = events.filter(pa.array(took))
    return set(zip(chosen["request_id"].to_pylist(), chosen["style"].to_pylist(), strict=True))
