import logging
import random

import numpy as np
import pytest
import torch

from cluster.errors import InputError
from trainables.generator.checkpoints import KEPT, Checkpoints, rng_state, set_rng_state


@pytest.fixture
def checkpoints(storage) -> Checkpoints:
    return Checkpoints(storage, "runs/r/checkpoints")


def test_the_newest_counts_and_old_ones_go(checkpoints):
    for step in range(1, 6):
        checkpoints.save(step, {"step": step, "weights": torch.full((3,), float(step))})
    assert checkpoints.newest()["weights"].tolist() == [5.0] * 3
    assert len(checkpoints.storage.list("runs/r/checkpoints")) == KEPT


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
