import logging
import random
import threading

import numpy as np
import pytest
import torch

from cluster.errors import InputError, StorageError
from trainables.generator.checkpoint_writer import CheckpointWriter
from trainables.generator.config import KeepConfig
from trainables.runs.checkpoints import Checkpoints, rng_state, set_rng_state


@pytest.fixture
def checkpoints(storage) -> Checkpoints:
    return Checkpoints(storage, "runs/r/checkpoints")


def test_the_newest_counts_and_old_ones_go(checkpoints):
    for step in range(1, 6):
        checkpoints.save(step, {"step": step, "weights": torch.full((3,), float(step))})
    assert checkpoints.newest()["weights"].tolist() == [5.0] * 3
    assert checkpoints.names() == [f"step-0000000{step}.ckpt" for step in (3, 4, 5)]


def test_the_best_stays_however_old_it_is(checkpoints):
    """By the lowest measure, which outlives the process; of equal ones the older; a damaged best gives way."""
    for step, measure in enumerate([0.9, 0.2, 0.5, 0.2, 0.7, 0.6, 0.8], start=1):
        Checkpoints(checkpoints.storage, checkpoints.folder).save(step, {"step": step}, measure=measure, newest=2)
    assert checkpoints.names() == [f"step-0000000{step}.ckpt" for step in (2, 6, 7)]
    assert (checkpoints.best()["step"], checkpoints.newest()["step"]) == (2, 7)
    checkpoints.storage.write_bytes("runs/r/checkpoints/step-00000002.ckpt", b"cut short")
    assert checkpoints.best()["step"] == 6


def test_a_measure_that_is_no_number_is_never_the_best(checkpoints):
    for step, measure in enumerate([np.nan, 0.5, np.nan, 0.3, np.inf, 0.4], start=1):
        checkpoints.save(step, {"step": step}, measure=measure, newest=1)
    assert checkpoints.best()["step"] == 4
    assert checkpoints.names() == [f"step-0000000{step}.ckpt" for step in (4, 6)]


def test_without_measures_the_best_is_the_newest(checkpoints):
    for step in (1, 2):
        checkpoints.save(step, {"step": step})
    assert checkpoints.best()["step"] == 2


def test_what_a_killed_process_had_begun_to_write_is_cleared_away(checkpoints):
    checkpoints.storage.write_bytes("runs/r/checkpoints/step-00000001.ckpt.12345678.tmp", b"half of")
    checkpoints.save(2, {"step": 2})
    assert checkpoints.storage.list("runs/r/checkpoints") == ["step-00000002.ckpt"]


class Held(Checkpoints):
    """Stores nothing before it is let go, and notes what it stores and in which thread."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        super().__init__(checkpoints.storage, checkpoints.folder)
        self.go, self.begun, self.saved = threading.Event(), [], []

    def save(self, step, state, **keep):
        self.begun.append(step)
        assert self.go.wait(60)
        super().save(step, state, **keep)
        self.saved.append((step, threading.current_thread() is threading.main_thread()))


def test_training_goes_on_while_a_checkpoint_is_written(checkpoints):
    """`write` returns with the checkpoint still under way, later changes of the weights do not reach it, and the next
    one waits for it: never two at a time, always in order.
    """
    held, weights = Held(checkpoints), torch.zeros(3)
    with CheckpointWriter(held, KeepConfig()) as writer:
        writer.write(1, {"weights": weights, "nested": [{"also": weights}]})
        weights += 1
        assert held.saved == []
        second = threading.Thread(target=writer.write, args=(2, {"weights": weights}))
        second.start()
        assert held.begun in ([], [1])
        held.go.set()
        second.join()
    assert held.saved == [(1, False), (2, False)]
    first = checkpoints.load("step-00000001.ckpt")
    assert first["weights"].tolist() == first["nested"][0]["also"].tolist() == [0.0] * 3
    assert checkpoints.newest()["weights"].tolist() == [1.0] * 3


class Full(Checkpoints):
    def save(self, step, state, **keep):
        raise StorageError("cannot write step-00000001.ckpt: No space left on device")


@pytest.mark.parametrize("noticed", ["next", "wait", "end"])
def test_a_checkpoint_that_cannot_be_written_stops_the_training(checkpoints, noticed):
    """At the next checkpoint, where somebody waits for it, or at the end."""
    with (
        pytest.raises(StorageError, match="No space left on device"),
        CheckpointWriter(Full(checkpoints.storage, checkpoints.folder), KeepConfig()) as writer,
    ):
        writer.write(1, {})
        if noticed != "end":
            writer.wait() if noticed == "wait" else writer.write(2, {})
            pytest.fail("the error was lost")


def test_the_error_that_stops_a_training_is_not_hidden_by_its_checkpoint(checkpoints, caplog):
    with (
        pytest.raises(ValueError, match="the reason"),
        CheckpointWriter(Full(checkpoints.storage, checkpoints.folder), KeepConfig()) as writer,
    ):
        writer.write(1, {})
        raise ValueError("the reason")
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize("wrong", [{"newest": 0}, {"model": "lowest", "lowest": ""}])
def test_what_to_keep_is_checked(wrong):
    with pytest.raises(ValueError, match="keep\\.(newest|model) is"):
        KeepConfig(**wrong)


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_taken(checkpoints, caplog):
    for step in (1, 2):
        checkpoints.save(step, {"step": step})
    path = "runs/r/checkpoints/step-00000002.ckpt"
    whole = checkpoints.storage.read_bytes(path)
    checkpoints.storage.write_bytes(path, whole[:-20])
    with pytest.raises(InputError, match="step-00000002.ckpt.*truncated or damaged"):
        checkpoints.load("step-00000002.ckpt")
    with caplog.at_level(logging.WARNING):
        assert checkpoints.newest() == {"step": 1}
    assert "step-00000002.ckpt" in caplog.text


def test_a_checkpoint_cut_off_at_any_byte_is_refused(checkpoints):
    checkpoints.save(1, {"step": 1})
    whole = checkpoints.storage.read_bytes("runs/r/checkpoints/step-00000001.ckpt")
    for length in range(len(whole)):
        checkpoints.storage.write_bytes("runs/r/checkpoints/step-00000001.ckpt", whole[:length])
        with pytest.raises(InputError, match="step-00000001.ckpt"):
            checkpoints.load("step-00000001.ckpt")


def test_a_training_that_went_back_over_damaged_checkpoints_keeps_its_own(checkpoints):
    """Those of later steps go: with `newest=1` the damaged one would be the only one that stays."""
    for step in (1, 2, 3):
        checkpoints.save(step, {"step": step}, newest=3)
    for step in (2, 3):
        checkpoints.storage.write_bytes(f"runs/r/checkpoints/step-0000000{step}.ckpt", b"cut short")
    assert checkpoints.newest()["step"] == 1
    checkpoints.save(2, {"step": 2, "again": True}, newest=1)
    assert checkpoints.newest() == {"step": 2, "again": True}
    assert checkpoints.names() == ["step-00000002.ckpt"]


def test_a_foreign_file_is_refused(checkpoints):
    checkpoints.storage.write_bytes("runs/r/checkpoints/step-00000009.ckpt", b"PK\x03\x04 something else")
    with pytest.raises(InputError, match="step-00000009.ckpt is no generator checkpoint"):
        checkpoints.load("step-00000009.ckpt")
    assert checkpoints.newest() is None


def test_global_generators_go_on_where_they_were(checkpoints):
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    random.gauss(0, 1), np.random.standard_normal(), torch.rand(1)
    checkpoints.save(1, {"rng": rng_state()})
    expected = (random.random(), np.random.random(), torch.rand(2).tolist())
    set_rng_state(checkpoints.newest()["rng"])
    assert (random.random(), np.random.random(), torch.rand(2).tolist()) == expected
