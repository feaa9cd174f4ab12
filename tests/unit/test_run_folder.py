import errno
import os
import subprocess
import sys

import pytest

from cluster.config import override, to_dict
from cluster.errors import InputError
from tests.generator_tiny import TINY, Recorder
from trainables.runs.folder import RunFolder
from trainables.runs.sinks import StatsSink


@pytest.fixture
def folder(storage) -> RunFolder:
    return RunFolder(storage, "r")


def test_every_step_up_to_a_checkpoint_is_on_disk_and_a_resumed_run_repeats_none(folder):
    killed = StatsSink(folder, checkpoint_every=4)
    for step in range(1, 7):
        killed.log(step, {"loss/total": float(step)})
    assert [line["step"] for line in folder.stats()][:4] == [1, 2, 3, 4]
    resumed = StatsSink(folder, checkpoint_every=4)
    for step in range(5, 9):
        resumed.log(step, {"loss/total": step / 10})
    resumed.close()
    assert [line["step"] for line in folder.stats()] == list(range(1, 9))
    assert folder.stats()[5]["loss/total"] == 0.6


def test_the_last_step_is_on_disk_before_its_checkpoint_too(folder):
    """A process killed between the two would have no step left to repeat."""
    killed = StatsSink(folder, checkpoint_every=4, steps=6)
    for step in range(1, 7):
        killed.log(step, {"loss/total": float(step)})
    StatsSink(folder, checkpoint_every=4, steps=6).close()
    assert [line["step"] for line in folder.stats()] == list(range(1, 7))


def test_another_sink_first_gets_the_record_so_far(folder):
    """What an earlier process logged, without the steps that are repeated; also where nothing is left to train."""
    killed = StatsSink(folder, checkpoint_every=4)
    for step in range(1, 7):
        killed.log(step, {"loss/total": float(step)})
    killed.close()
    for steps, total in (([5, 6, 7], 7), ([], 7)):
        onward = Recorder()
        resumed = StatsSink(folder, 4, onward)
        for step in steps:
            resumed.log(step, {"loss/total": float(step)})
        resumed.close()
        assert onward.lines == [{"step": step, "loss/total": float(step)} for step in range(1, total + 1)]
        assert onward.closed


def test_a_record_that_is_damaged_is_named(folder):
    folder.storage.write_bytes(folder.path("stats.jsonl"), b'{"step": 1}\n{"step": 2, "loss')
    with pytest.raises(InputError, match=r"runs/r/stats\.jsonl is damaged: .*put back a copy, or delete it"):
        StatsSink(folder, checkpoint_every=4).log(3, {})


def test_final_metrics_are_means_of_the_last_tenth(folder):
    sink = StatsSink(folder, checkpoint_every=100)
    for step in range(1, 21):
        sink.log(step, {"loss/total": float(step)})
    sink.close()
    assert folder.final_metrics(20) == {"steps": 20.0, "loss/total": 19.5}


def test_two_commands_never_drive_one_run_at_once(folder, monkeypatch):
    """The second says who holds it; a killed holder lets go of it, and so does one that ends."""
    code = "import sys; from trainables.runs.folder import RunFolder as R; from cluster.storage import Storage as S\n"
    code += "with R(S(sys.argv[1]), 'r').driven(): print('mine', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, folder.storage.root]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"mine\n"
    with monkeypatch.context() as patch:
        patch.setattr("trainables.runs.driver_lock.LOCK_SECONDS", 0)
        said = rf"'r' is being trained by another command \(process {other.pid} on .*give this one another --run name"
        with pytest.raises(InputError, match=said), folder.driven():
            pass
    other.kill()
    other.communicate()
    for _ in range(2):
        with folder.driven():
            assert str(os.getpid()) in folder.storage.read_bytes(folder.path("driver.lock")).decode()


def test_a_file_system_without_locks_costs_a_warning(folder, monkeypatch, caplog):
    def unknown(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unknown)
    with folder.driven():
        assert "runs/r/driver.lock: [Errno 95] Operation not supported; see that no second command" in caplog.text


def test_a_run_name_belongs_to_one_set_of_data_and_settings(folder):
    first = folder.describe("generator", to_dict(TINY), "shop", "hash")
    folder.note(run_id="abc")
    assert folder.describe("generator", to_dict(TINY), "shop", "hash") == first | {"run_id": "abc"}
    with pytest.raises(InputError, match=r"'r' exists with other loss.content_weight \(0.05 → 0.5\)"):
        folder.describe("generator", to_dict(override(TINY, ["loss.content_weight=0.5"])), "shop", "hash")
    with pytest.raises(InputError, match="data_hash"):
        folder.describe("generator", to_dict(TINY), "shop", "another")
    kept = to_dict(override(TINY, ["keep.newest=9"]))
    assert folder.describe("generator", kept, "shop", "hash")["run_id"] == "abc", "what is kept makes no other run"


def test_measures_of_one_term_are_never_compared_with_those_of_another(folder):
    """A run may go on with another `keep.lowest`; what was lowest by the one before says nothing about it."""
    described = "shop", "hash"
    folder.describe("generator", to_dict(override(TINY, ["keep.lowest=gradient_norm"])), *described)
    folder.checkpoints.save(1, {"step": 1}, measure=0.1)
    for _ in range(2):
        kept = folder.describe("generator", to_dict(TINY), *described)["settings"]["keep"]
        assert kept["lowest"] == folder.storage.read_json(folder.path("run.json"))["settings"]["keep"]["lowest"]
        folder.checkpoints.save(2, {"step": 2}, measure=7.0)
        folder.checkpoints.save(3, {"step": 3}, measure=8.0)
        assert folder.checkpoints.best()["step"] == 2


def test_a_training_never_takes_the_name_of_a_recommender(folder):
    folder.storage.write_json(folder.path("config.json"), {"kind": "recommender"})
    with pytest.raises(InputError, match="'r' is one of a recommender; give this one another --run name"):
        folder.describe("generator", to_dict(TINY), "shop", "hash")


def test_a_run_goes_on_with_what_it_began_with_and_one_of_before_just_goes_on(folder):
    described = to_dict(TINY), "shop", "hash"
    folder.describe("generator", *described, start="abc", styles=None)
    assert folder.describe("generator", *described, start="abc", styles=None)["start"] == "abc"
    with pytest.raises(InputError, match=r"'r' exists with other start \(abc → None\), styles \(None → def\)"):
        folder.describe("generator", *described, start=None, styles="def")
    before = RunFolder(folder.storage, "before")
    before.describe("generator", *described)
    assert "start" not in before.describe("generator", *described, start="abc", styles=None)
