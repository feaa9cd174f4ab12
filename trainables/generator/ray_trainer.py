"""Ray Train's trainer with no more processes than a run needs.

Every process of Ray beside the workers wakes up a hundred times a second, whatever it does, and on a small machine it
does so on the workers' cores.
"""

from __future__ import annotations

from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.context import TrainRunContext
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy


class NamesTrainer(TorchTrainer):
    """Without the actor that deals out shards of Ray datasets, which Ray Train starts even where there are none."""

    LEFT_OUT: tuple[type, ...] = (DatasetsCallback,)

    def _create_default_callbacks(self) -> list[Any]:
        return [each for each in super()._create_default_callbacks() if not isinstance(each, self.LEFT_OUT)]


class OneMachineTrainer(NamesTrainer):
    """For a Ray that this process started: no machine can be asked for, so no actor collects requests for them; and
    all of Ray ends with the run's driver, so none waits to give its resources back.
    """

    LEFT_OUT = (*NamesTrainer.LEFT_OUT, PlacementGroupCleanerCallback)

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        return super()._initialize_and_run_controller(
            **settings | {"scaling_policy": NothingToAskFor(self.scaling_config)}
        )


class NothingToAskFor(FixedScalingPolicy):
    """The number of workers asked for, on the machines that are there."""

    def after_controller_start(self, train_run_context: TrainRunContext) -> None: ...

    def _maybe_send_resource_request(self) -> None: ...
