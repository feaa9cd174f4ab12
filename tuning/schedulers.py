"""Ray Tune's schedulers on the running measure."""

from __future__ import annotations

from ray import tune
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from tuning.config import SweepConfig
from tuning.objective import RUNNING, STEP
from tuning.space import Axis


def scheduler(config: SweepConfig) -> TrialScheduler:
    """The one that the sweep asks for."""
    if config.scheduler == "none":
        return FIFOScheduler()
    measured = {"time_attr": STEP, "metric": RUNNING, "mode": "min"}
    if config.scheduler == "median":
        return MedianStoppingRule(**measured, grace_period=config.rung, min_samples_required=3)
    if config.scheduler == "pbt":
        mutations = {axis.name: _drawn(axis) for axis in config.space if axis.mutable}
        return PopulationBasedTraining(
            **measured, perturbation_interval=config.rung, hyperparam_mutations={"settings": mutations}
        )
    return ASHAScheduler(
        **measured,
        max_t=config.steps + 1,  # the last report comes at `steps` and must not be cut off
        grace_period=config.rung,
        reduction_factor=config.reduction_factor,
    )


def _drawn(axis: Axis) -> tune.search.sample.Domain:
    return tune.loguniform(axis.low, axis.high) if axis.log else tune.uniform(axis.low, axis.high)
