"""Preemptions of a run on Ray are counted apart from failures."""

from __future__ import annotations

import os

import pytest
from ray.exceptions import ActorDiedError
from ray.train.v2._internal.execution.controller.state import RestartingState, RunningState
from ray.train.v2.api.exceptions import PreemptionError, WorkerGroupError
from ray.train.v2.api.preemption import PreemptionInfo

from cluster.runtime import RAY_ENVIRONMENT, export_environment
from trainables.generator.interruptions import CountInterruptions
from trainables.runs.folder import RunFolder


def test_preemptions_are_counted_apart_from_failures(storage):
    """Whether Ray heard of the preemption beforehand or learns of it from the death of a worker."""
    announced = PreemptionError(PreemptionInfo(deadline_ms=None, preempted_node_to_ranks={"n": [1]}))
    taken = ActorDiedError()
    taken._preempted = True
    folder = RunFolder(storage, "r")
    for error in (
        announced,
        WorkerGroupError("node gone", {0: RuntimeError("connection reset"), 1: taken}),
        WorkerGroupError("killed", {1: ActorDiedError()}),
        WorkerGroupError("a bug", {0: ValueError("wrong"), 1: ValueError("wrong")}),
    ):
        # Another process, as after a driver that was killed.
        counting = CountInterruptions(RunFolder(storage, "r"))
        counting.after_controller_state_update(RunningState(), RestartingState(training_failed_error=error))
        counting.after_controller_state_update(RestartingState(training_failed_error=error), RunningState())
    assert folder.interruptions() == {"preemptions": 2, "failures": 2}


@pytest.mark.parametrize(
    ("address", "alone"), [(None, "0"), ("127.0.0.1:6379", "0"), ("10.0.0.1:6379", "1"), ("auto", "1")]
)
def test_nodes_of_a_cluster_are_not_cut_off_from_each_other(monkeypatch, address, alone):
    """On one machine Ray keeps to loopback and asks for no token; what is set already stays."""
    for name in RAY_ENVIRONMENT:
        monkeypatch.setenv(name, "")  # so that it goes back to what it was
        monkeypatch.delenv(name)
    monkeypatch.setenv("DO_NOT_TRACK", "5")
    export_environment(address)
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == alone
    assert ("RAY_AUTH_MODE" in os.environ) == (alone == "0")
    assert os.environ["DO_NOT_TRACK"] == "5"
