"""Optuna's sampler behind Ray Tune's search interface."""

from __future__ import annotations

import math
from typing import Any

import optuna
from ray.tune.search import Searcher

from tuning.objective import OBJECTIVE, RUNNING, STEP
from tuning.space import BATCH_SIZE, SearchSpace, Settings


class OptunaSearch(Searcher):
    """Suggests settings by TPE, `first` before all others; every point carries its trial's `number`, counted from 0.

    A finished trial is told with its held-out objective. One that was stopped early is told as pruned at its running
    values (Ray's own Optuna searcher would mix the two measures), one that failed as failed.
    """

    def __init__(self, space: SearchSpace, *, seed: int, first: Settings) -> None:
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=6)
        self._study = optuna.create_study(sampler=sampler, direction="minimize")
        self._distributions = space.distributions()
        if first[BATCH_SIZE] not in space.batch_size:
            first = {name: value for name, value in first.items() if name != BATCH_SIZE}
        self._study.enqueue_trial(first)
        self._asked: dict[str, optuna.Trial] = {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """A sweep is not taken up again, so the study is not kept; the trials are, in MLflow."""

    def suggest(self, trial_id: str) -> dict[str, Any]:
        trial = self._asked[trial_id] = self._study.ask(self._distributions)
        return {"number": trial.number, "settings": dict(trial.params)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if OBJECTIVE not in result and math.isfinite(result[RUNNING]):
            self._asked[trial_id].report(result[RUNNING], step=result[STEP])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        trial, states = self._asked.pop(trial_id), optuna.trial.TrialState
        objective = (result or {}).get(OBJECTIVE, math.nan)
        if error:
            self._study.tell(trial, state=states.FAIL)
        elif math.isfinite(objective):
            self._study.tell(trial, objective)
        else:
            self._study.tell(trial, state=states.PRUNED)
