"""What interrupted a run on Ray: preemptions, which may happen any number of times, apart from failures."""

from __future__ import annotations

from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2._internal.execution.controller.state import RestartingState, TrainControllerState
from ray.train.v2._internal.execution.failure_handling.default import _is_preemption_failure

from trainables.runs.folder import RunFolder


class CountInterruptions(ControllerCallback):
    """Counts in the run's `interruptions.json`, whenever the workers are started again; lives in Train's controller.

    A preemption is a worker lost with a node that was announced to go away. Ray keeps its budget of failures apart
    from it in the same way.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def after_controller_state_update(
        self, previous_state: TrainControllerState, current_state: TrainControllerState
    ) -> None:
        if isinstance(current_state, RestartingState):
            error = current_state.training_failed_error
            self._folder.count_interruption("preemptions" if _is_preemption_failure(error) else "failures")
