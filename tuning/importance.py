"""How much each setting of a sweep mattered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna

from tuning.outcome import TrialOutcome
from tuning.space import Space

LEAST = 4
"""Finished trials below which nothing can be said."""
ALIKE = 1e-9
"""Held-out measures that differ by no more are the same, but for rounding."""


def importance(trials: Sequence[TrialOutcome], space: Space) -> dict[str, float]:
    """Setting → share of the held-out measure's variance it explains alone and with others (fANOVA, Hutter et al.
    2014), largest first, 1 in all; empty where too few trials finished or all came out alike.
    """
    finished = [trial for trial in trials if trial.objective is not None]
    if len(finished) < LEAST or np.ptp([trial.objective for trial in finished]) <= ALIKE:
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for trial in finished:
        study.add_trial(
            optuna.trial.create_trial(
                params=trial.settings, distributions=_distributions(finished, space), value=trial.objective
            )
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _distributions(trials: Sequence[TrialOutcome], space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    """What was tried on every axis; a trial may have left the range that was drawn from."""
    found: dict[str, optuna.distributions.BaseDistribution] = {}
    for axis in space:
        tried = sorted({trial.settings[axis.name] for trial in trials})
        if axis.choices:
            found[axis.name] = optuna.distributions.CategoricalDistribution(tried)
        else:
            found[axis.name] = optuna.distributions.FloatDistribution(tried[0], tried[-1], log=axis.log)
    return found
