"""Population based training of a sweep, without Ray."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from ray.tune.schedulers import TrialScheduler

from tuning.config import SweepConfig
from tuning.generator.subject import SUBJECT
from tuning.objective import OBJECTIVE, RUNNING, STEP
from tuning.schedulers import scheduler
from tuning.slots import memory_of_a_slot
from tuning.sweep import planned

GIB = 1024**3
ONE = [{"CPU": 8, "memory": 16 * GIB}]
THREE = [{"CPU": 0, "memory": 64 * GIB}, {"CPU": 4, "memory": 8 * GIB}, {"CPU": 4, "memory": 10 * GIB}]


@pytest.mark.parametrize(
    ("machines", "slots", "running"),
    [
        pytest.param(ONE, 1, 1, id="one"),
        pytest.param(ONE, 3, 3, id="three"),
        pytest.param(ONE, 12, 8, id="no more than CPUs"),
        pytest.param(THREE, 1, 1, id="one on the larger machine"),
        pytest.param(THREE, 3, 3, id="two and one"),
        pytest.param(THREE, 20, 8, id="all CPUs of machines that have some"),
        pytest.param(ONE * 4, 2, 4, id="one a machine"),
    ],
)
def test_no_more_trials_of_a_population_fit_than_may_run(machines, slots, running):
    memory = memory_of_a_slot(machines, {"CPU": 1}, slots)
    assert sum(min(machine["CPU"], machine["memory"] // memory) for machine in machines) == running


def test_a_gpu_is_needed_beside_the_memory():
    machines = [{"CPU": 8, "memory": 16 * GIB}, {"CPU": 8, "GPU": 2, "memory": 16 * GIB}]
    assert 16 * GIB // memory_of_a_slot(machines, {"CPU": 1, "GPU": 1}, 1) == 1


def test_where_no_machine_is_up_yet_a_trial_asks_for_no_memory():
    assert memory_of_a_slot([{"CPU": 0, "memory": GIB}], {"CPU": 1}, 2) == 0


@pytest.fixture
def population():
    """A scheduler by whether trials take turns, three trials of 8 steps, and Tune's controller as it sees that."""

    def begun(*, turns: bool) -> tuple[TrialScheduler, list[Mock], Mock]:
        made = scheduler(planned(SUBJECT, SweepConfig(scheduler="pbt", steps=8)), turns=turns)
        trials = [Mock(config={"settings": {}}, status=status) for status in ("RUNNING", "RUNNING", "PAUSED")]
        controller = Mock(search_alg=None)
        controller.get_trials = lambda: trials
        controller.get_live_trials = lambda: [trial for trial in trials if trial.status != "ERROR"]
        for trial in trials:
            trial.is_finished = lambda trial=trial: trial.status == "ERROR"
            trial.run_metadata.checkpoint_manager.checkpoint_config.num_to_keep = None
            made.on_trial_add(controller, trial)
        return made, trials, controller

    return begun


def test_a_trial_of_a_population_that_has_come_to_its_end_is_left_alone(population):
    """Ray's own scheduler would pause it, or have it go on from a better one, and train its last part again."""
    made, trials, controller = population(turns=False)
    made.on_trial_result(controller, trials[0], {STEP: 6, RUNNING: 0.1})
    ended = {STEP: 8, RUNNING: 0.9, OBJECTIVE: 0.9}
    assert made.on_trial_result(controller, trials[1], ended) == TrialScheduler.CONTINUE
    assert made.on_trial_result(controller, trials[0], {STEP: 8, RUNNING: 0.1}) == TrialScheduler.PAUSE


def test_a_population_that_takes_turns_does_not_wait_for_a_trial_that_failed(population):
    made, trials, controller = population(turns=True)
    for trial in trials[:2]:
        assert made.on_trial_result(controller, trial, {STEP: 2, RUNNING: 0.1}) == TrialScheduler.PAUSE
        trial.status = "PAUSED"
    assert made.choose_trial_to_run(controller) is trials[2]  # the others have to wait for it
    trials[2].status = "RUNNING"
    assert made.choose_trial_to_run(controller) is None
    trials[2].status = "ERROR"
    assert made.choose_trial_to_run(controller) is trials[0]
