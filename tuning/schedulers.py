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
from tuning.space import CONTENT_WEIGHT, LEARNING_RATE


def scheduler(config: SweepConfig) -> TrialScheduler:
    """The one that the sweep asks for."""
    if config.scheduler == "none":
        return FIFOScheduler()
    measured = {"time_attr": STEP, "metric": RUNNING, "mode": "min"}
    if config.scheduler == "median":
        return MedianStoppingRule(**measured, grace_period=config.rung, min_samples_required=3)
    if config.scheduler == "pbt":
        rate, weight = config.space.learning_rate, config.space.content_weight
        return PopulationBasedTraining(
            **measured,
            perturbation_interval=config.rung,
            hyperparam_mutations={
                "settings": {LEARNING_RATE: tune.loguniform(*rate), CONTENT_WEIGHT: tune.loguniform(*weight)}
            },
        )
    return ASHAScheduler(
        **measured,
        max_t=config.steps + 1,  # the last report comes at `steps` and must not be cut off
        grace_period=config.rung,
        reduction_factor=config.reduction_factor,
    )
