"""Ray Tune's schedulers on the running measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from tuning.config import SweepConfig
from tuning.objective import OBJECTIVE, RUNNING, STEP
from tuning.space import Axis

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial


def scheduler(config: SweepConfig, *, turns: bool) -> TrialScheduler:
    """The one that the sweep asks for. `turns`: not all trials can run at a time."""
    if config.scheduler == "none":
        return FIFOScheduler()
    measured = {"time_attr": STEP, "metric": RUNNING, "mode": "min"}
    if config.scheduler == "median":
        return MedianStoppingRule(**measured, grace_period=config.rung, min_samples_required=3)
    if config.scheduler == "pbt":
        mutations = {axis.name: _drawn(axis) for axis in config.space if axis.mutable}
        return Population(
            **measured,
            perturbation_interval=config.rung,
            hyperparam_mutations={"settings": mutations},
            # Where trials take turns, one would be compared with others that are a turn behind, go back to where such a
            # one is, and be the next to run again, for ever. So they wait until all have come as far.
            synch=turns,
        )
    return ASHAScheduler(
        **measured,
        max_t=config.steps + 1,  # the last report comes at `steps` and must not be cut off
        grace_period=config.rung,
        reduction_factor=config.reduction_factor,
    )


class Population(PopulationBasedTraining):
    """Population based training that lets be what has come to its end, and waits for nobody who has failed."""

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        if OBJECTIVE in result:
            # Ray's would take this for a report on the way: pause the trial, or have it go on from another one, and
            # train its last part again.
            return TrialScheduler.CONTINUE
        return super().on_trial_result(tune_controller, trial, result)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        chosen = super().choose_trial_to_run(tune_controller)
        states = {trial.status for trial in tune_controller.get_trials()}
        if chosen is None and self._synch and "PAUSED" in states and not states & {"PENDING", "RUNNING"}:
            # The one that all others wait for has failed: they go on as they are.
            self._next_perturbation_sync += self._perturbation_interval
            chosen = super().choose_trial_to_run(tune_controller)
        return chosen


def _drawn(axis: Axis) -> tune.search.sample.Domain:
    return tune.loguniform(axis.low, axis.high) if axis.log else tune.uniform(axis.low, axis.high)
