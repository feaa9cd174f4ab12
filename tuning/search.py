"""Optuna's samplers behind Ray Tune's search interface."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from tuning.config import SweepConfig
from tuning.journal import Journal, State
from tuning.objective import OBJECTIVE, RUNNING, STEP, values
from tuning.space import Axis, Settings

_STATES: dict[State, TrialState] = {
    "finished": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class OptunaSearch(Searcher):
    """Suggests settings, `first` before all others; every point carries its `number`, counted from 0.

    A finished trial is told with its held-out objective, or with both its parts where a front is asked for. One that
    was stopped early is told as pruned at its running values (Ray's own Optuna searcher would mix the two measures),
    one that failed as failed. All is in the journal at once; a search that is taken up again begins from there.
    """

    def __init__(self, config: SweepConfig, journal: Journal, *, first: Settings) -> None:
        super().__init__()
        self._config, self._journal = config, journal
        self._first = {axis.name: first[axis.name] for axis in config.space if axis.takes(first[axis.name])}
        self._next = 0
        self._numbers: dict[str, int] = {}
        self._asked: dict[int, optuna.Trial] = {}
        self._told: Counter[int] = Counter()
        self._study = self._new_study()

    def _new_study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        directions = ["minimize"] * (2 if self._config.objective == "front" else 1)
        return optuna.create_study(directions=directions)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Which points Tune knows of; the points themselves are in the journal."""
        known = {"next": self._next, "numbers": self._numbers}
        (Path(checkpoint_dir) / f"search-{session_str}.json").write_text(json.dumps(known))

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Go on where Tune's newest state and the journal are."""
        # One a session, named by its beginning; times of change are those of the copying.
        newest = max(Path(checkpoint_dir).glob("search-*.json"), key=lambda path: path.name)
        known = json.loads(newest.read_text())
        self._asked, self._told, self._study = {}, Counter(), self._new_study()
        points, running = self._journal.points(), known["numbers"]
        for number in range(known["next"]):
            point = points[number]
            self._ask(number, point["settings"])
            if number not in running.values():
                self._tell(number, point.get("state", "failed"), point.get("values", []))
        self._next, self._numbers = known["next"], running

    def suggest(self, trial_id: str) -> dict[str, Any]:
        number = self._next
        known = self._journal.points().get(number)
        settings = self._ask(number, known["settings"] if known else self._given(number))
        if known is None:
            self._journal.suggested(number, settings)
        self._next, self._numbers[trial_id] = number + 1, number
        return {"number": number, "settings": settings}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        # Optuna prunes by one objective only, and knows nothing of settings that change under way.
        told = self._config.objective == "score" and self._config.scheduler != "pbt"
        number = self._numbers[trial_id]
        # A trial that was started again repeats the steps after its newest checkpoint.
        if told and OBJECTIVE not in result and math.isfinite(result[RUNNING]) and result[STEP] > self._told[number]:
            self._told[number] = result[STEP]
            self._asked[number].report(result[RUNNING], step=result[STEP])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        number = self._numbers.pop(trial_id)
        told = values(result or {}, self._config.objective)
        state: State = "failed" if error else "finished" if all(map(math.isfinite, told)) else "stopped"
        self._tell(number, state, told if state == "finished" else [])
        self._journal.ended(number, state, told if state == "finished" else [])

    def _given(self, number: int) -> Settings | None:
        """What is tried under this number whatever the sampler thinks."""
        if self._config.search == "grid":
            points = grid(self._config)
            return points[number % len(points)]
        return self._first if number == 0 else None

    def _ask(self, number: int, settings: Settings | None) -> Settings:
        """A new point, or the given one; what that leaves open is drawn."""
        # One a point: a search that is taken up again would draw from the beginning what has been tried.
        self._study.sampler = sampler(self._config, number)
        if settings is not None:
            self._study.enqueue_trial(settings)
        trial = self._asked[number] = self._study.ask({axis.name: axis.distribution() for axis in self._config.space})
        return dict(trial.params)

    def _tell(self, number: int, state: State, told: list[float]) -> None:
        self._study.tell(self._asked.pop(number), told if state == "finished" else None, state=_STATES[state])


def sampler(config: SweepConfig, number: int) -> optuna.samplers.BaseSampler:
    """TPE, or random points; what it draws depends on the sweep's seed and the point's number."""
    seed = int(np.random.SeedSequence((config.seed, number)).generate_state(1)[0])
    if config.search == "optuna":
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=6)
    return optuna.samplers.RandomSampler(seed=seed)


def grid(config: SweepConfig) -> list[Settings]:
    """At least as many points as trials, evenly spaced (in the logarithm where it is drawn so), in an order that the
    seed shuffles.
    """
    ranges = sum(not axis.choices for axis in config.space)
    choices = math.prod(len(axis.choices) for axis in config.space if axis.choices)
    a_side = next(side for side in itertools.count(1) if side**ranges * choices >= config.trials) if ranges else 1
    columns = [axis.choices or _spaced(axis, a_side) for axis in config.space]
    names = [axis.name for axis in config.space]
    points = [dict(zip(names, point, strict=True)) for point in itertools.product(*columns)]
    return [points[place] for place in np.random.default_rng(config.seed).permutation(len(points))]


def _spaced(axis: Axis, count: int) -> list[float]:
    if count == 1:
        return [math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2]
    spaced = np.geomspace if axis.log else np.linspace
    return spaced(axis.low, axis.high, count).tolist()
