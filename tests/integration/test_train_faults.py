"""Trainings under real faults: a killed driver, a full disk, a cluster that has shrunk or grown."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cluster.config import override
from cluster.runtime import ray_session
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import ensure_experiment
from tests.generator_tiny import TINY
from tests.tiny_shop import make_tiny_shop
from tests.waiting import wait_for
from trainables.generator.assignment import Assignment
from trainables.generator.split import split_products
from trainables.runs.folder import RunFolder

pytestmark = pytest.mark.faults

SETTINGS = (
    "batch_size=4", "frame_size=32", "network.widths=[16,16,16]", "network.blocks=1", "discriminator.width=8",
    "looks.references=1", "looks.variants=0", "looks.crops=1", "checkpoint_every=4", "sheet_every=1000",
)  # fmt: skip


def training(*more: str) -> list[str]:
    settings = [part for setting in (*SETTINGS, *more) for part in ("--set", setting)]
    return [sys.executable, "-m", "cluster.cli.main", "train", "generator", "--data", "tiny", "--run", "r", *settings]


def test_a_driver_that_is_killed_and_started_again_goes_on(settings, storage):
    """`kill -9` of the command after a checkpoint, then the same command: it goes on from there, in the same MLflow
    run, and no step is missing or twice in the record.
    """
    make_tiny_shop(storage, products=9, viewers=0)
    folder = RunFolder(storage, "r")
    driver = subprocess.Popen(training("steps=24"), stdout=subprocess.DEVNULL)
    wait_for(lambda: storage.list(folder.path("checkpoints")), "a checkpoint", process=driver, seconds=240)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()

    subprocess.run(training("steps=24"), check=True, stdout=subprocess.DEVNULL)

    workers = storage.read_json(folder.path("workers.json"))
    assert len(workers) == 2
    assert {worker["resumed_from"] for worker in workers} <= set(range(4, 24, 4))
    assert [line["step"] for line in folder.stats()] == list(range(1, 25))
    client = MlflowClient(settings.tracking_uri)
    experiment = client.get_experiment_by_name("shopreel").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert folder.checkpoints.newest()["step"] == 24


FILL = """
mount -t tmpfs -o size=24m tmpfs "$1" && cp -a "$2/." "$1/" || exit 99
shift 2
( while ! ls "$SHOPREEL_HOME"/runs/r/checkpoints/*.ckpt > /dev/null 2>&1; do sleep 0.02; done
  cat /dev/zero > "$SHOPREEL_HOME/filler" ) 2> /dev/null &
"$@"; code=$?
rm "$SHOPREEL_HOME/filler"; cp -a "$SHOPREEL_HOME/." "$OUT/"; exit $code
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-r", "-m", "true"], check=False, capture_output=True).returncode != 0
    if shutil.which("unshare")
    else True,
    reason="no file system of a test's own can be mounted here (unshare)",
)
def test_a_full_disk_stops_the_run_in_words_and_leaves_the_last_checkpoint_whole(settings, storage, tmp_path):
    """The storage root is a small file system of its own that fills up after the first checkpoint."""
    make_tiny_shop(storage, products=5, viewers=0)
    ensure_experiment(settings)
    small, out = tmp_path / "small", tmp_path / "out"
    small.mkdir(), out.mkdir()
    environment = os.environ | {"SHOPREEL_HOME": str(small), "OUT": str(out)}
    command = ["unshare", "-r", "-m", "sh", "-c", FILL, "sh", str(small), settings.storage_root]
    done = subprocess.run(
        [*command, *training("steps=2000"), "--no-ray"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode not in (0, 99), done.stderr
    last = " ".join(done.stderr.strip().splitlines()[-4:])
    assert "cannot write" in last and "No space left on device" in last and "free space" in last
    assert "Traceback" not in last
    state = RunFolder(Storage(str(out)), "r").checkpoints.newest()
    assert state["step"] >= 4


@pytest.fixture
def three_cpus(tmp_path: Path) -> Iterator[None]:
    with ray_session(Settings.load({"SHOPREEL_HOME": str(tmp_path / "ray")}), num_cpus=3):
        yield


def test_a_run_goes_on_with_another_number_of_workers(settings, storage, three_cpus):
    """One worker, then three: from the newest checkpoint, with the same global batch of six, to equal weights."""
    from trainables.generator.ray_train import train_on_ray

    dataset = make_tiny_shop(storage, products=9, viewers=0)
    products = split_products(dataset.clip_products())[0]
    folder = RunFolder(storage, "elastic")
    for steps, workers in ((4, 1), (8, 3)):
        config = override(TINY, [f"steps={steps}", "batch_size=6", "checkpoint_every=4"])
        task = Assignment(
            config=config, storage_root=settings.storage_root, data_name=dataset.name, run_name="elastic",
            shown=(), styles=None, start=None, sink=None,
        )  # fmt: skip
        train_on_ray(task, products, workers=workers)
        said = storage.read_json(folder.path("workers.json"))
        assert [worker["resumed_from"] for worker in said] == [steps - 4] * workers
        assert len({worker["weights"] for worker in said}) == 1
        state = folder.checkpoints.newest()
        assert (state["step"], state["position"] * workers) == (steps, steps * 6)
    assert [line["step"] for line in folder.stats()] == list(range(1, 9))
