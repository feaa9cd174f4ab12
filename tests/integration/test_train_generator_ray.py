"""Training on Ray: replicas agree, shards differ, a killed worker costs nothing, a divergence is said."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cluster.config import override
from cluster.errors import InputError, StorageError
from cluster.storage import Storage
from tests.generator_tiny import TINY, cpu_fabric, differences
from tests.report_killer import KillAtReport
from tests.serving_processes import titles
from tests.small_disk import disk_of
from tests.tiny_shop import make_tiny_shop
from trainables.data.dataset import Dataset
from trainables.generator.assignment import Assignment
from trainables.generator.errors import TrainingDiverged
from trainables.generator.split import split_products
from trainables.generator.worker import work
from trainables.runs.folder import RunFolder

STEPS = 16
CONFIG = override(TINY, [f"steps={STEPS}", "batch_size=4", "checkpoint_every=4"])
LAST = f"step-{STEPS:08d}.ckpt"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_tiny_shop(Storage(str(tmp_path_factory.mktemp("shop"))), products=9, viewers=0)


def task_of(shop: Dataset, run_name: str, config=CONFIG) -> Assignment:
    root = str(Path(shop.storage.path()))
    return Assignment(
        config=config,
        storage_root=root,
        data_name=shop.name,
        run_name=run_name,
        shown=(),
        styles=None,
        start=None,
        sink=None,
    )


def training_products(shop: Dataset) -> list[str]:
    return split_products(shop.clip_products())[0]


@pytest.fixture(scope="module")
def uninterrupted(shop: Dataset, ray_local) -> Iterator[RunFolder]:
    """An undisturbed run; `processes.json` in its folder has the titles of Ray's processes while it stepped."""
    from trainables.generator.ray_train import train_on_ray

    folder = RunFolder(shop.storage, "straight")
    seen: list[int] = []

    def on_step(step: int, _: dict[str, float]) -> None:
        seen.append(step)
        if step == STEPS // 2:
            shop.storage.write_json(folder.path("processes.json"), titles())

    train_on_ray(task_of(shop, "straight"), training_products(shop), workers=2, on_step=on_step)
    assert seen == list(range(1, STEPS + 1))
    yield folder


def test_one_machine_runs_nothing_beside_the_workers_but_their_controller_and_barrier(shop, uninterrupted):
    """Each process of Ray takes a hundredth of the core that a worker steps on."""
    running = [title for title in shop.storage.read_json(uninterrupted.path("processes.json")) if "IDLE" not in title]
    assert running == [
        "ray::RayTrainWorker",
        "ray::RayTrainWorker",
        "ray::SynchronizationActor",
        "ray::TrainController.run",
    ]


def test_two_workers_end_with_the_same_weights_and_train_on_different_shards(shop, uninterrupted):
    first, second = shop.storage.read_json(uninterrupted.path("workers.json"))
    assert (first["rank"], second["rank"]) == (0, 1)
    assert first["pid"] != second["pid"]
    assert first["resumed_from"] == second["resumed_from"] == 0
    assert first["weights"] == second["weights"]
    assert not set(first["products"]) & set(second["products"])
    assert sorted(first["products"] + second["products"]) == sorted(training_products(shop))


def test_a_killed_worker_resumes_from_the_last_checkpoint_to_the_same_bits(shop, uninterrupted):
    from trainables.generator.ray_train import train_on_ray

    folder = RunFolder(shop.storage, "killed")
    killed: list[int] = []

    def kill_after_a_checkpoint() -> None:
        waiting = threading.Event()
        while not shop.storage.list(folder.path("checkpoints")):
            waiting.wait(0.02)
        pid = shop.storage.read_json(folder.path("workers.json"))[1]["pid"]
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill_after_a_checkpoint, daemon=True)
    killer.start()
    train_on_ray(task_of(shop, "killed"), training_products(shop), workers=2)
    killer.join()

    workers = shop.storage.read_json(folder.path("workers.json"))
    assert killed[0] not in [worker["pid"] for worker in workers]
    assert 0 < workers[0]["resumed_from"] < STEPS
    first, second = uninterrupted.checkpoints.load(LAST), folder.checkpoints.load(LAST)
    assert differences(first, second) == []
    assert [line["step"] for line in folder.stats()] == list(range(1, STEPS + 1))
    losses = [[line["loss/total"] for line in run.stats()] for run in (uninterrupted, folder)]
    assert losses[0] == losses[1]


@pytest.mark.faults
@pytest.mark.parametrize(("place", "rank"), [("before", 0), ("in", 0), ("others in", 1), ("after", 1), ("after", 0)])
def test_a_worker_killed_around_report_costs_nothing(shop, uninterrupted, tmp_path, place, rank):
    """SIGKILL before, in and right after `ray.train.report`, at a step whose checkpoint is still being written: the run
    does not hang, and ends with the weights and the record of one that nobody disturbed.
    """
    from trainables.generator.ray_train import train_on_ray

    name = f"killed-{place.replace(' ', '-')}-{rank}"
    folder = RunFolder(shop.storage, name)
    task = replace(task_of(shop, name), sink=KillAtReport(str(tmp_path), rank, step=8, place=place))
    train_on_ray(task, training_products(shop), workers=2)

    assert (tmp_path / "killed").exists()
    workers = shop.storage.read_json(folder.path("workers.json"))
    assert {worker["resumed_from"] for worker in workers} <= {4, 8}
    assert differences(uninterrupted.checkpoints.load(LAST), folder.checkpoints.load(LAST)) == []
    assert [line["step"] for line in folder.stats()] == list(range(1, STEPS + 1))


def test_with_and_without_ray_one_worker_has_the_same_losses(shop, ray_local):
    from trainables.generator.ray_train import train_on_ray

    config = override(TINY, ["batch_size=2"])
    train_on_ray(task_of(shop, "with-ray", config), training_products(shop), workers=1)
    fabric = cpu_fabric()
    torch.set_num_threads(os.cpu_count() or 1)  # as a worker that has the machine to itself
    work(task_of(shop, "without-ray", config), training_products(shop), fabric)
    curves = [RunFolder(shop.storage, name).stats() for name in ("with-ray", "without-ray")]
    assert len(curves[0]) == len(curves[1]) == config.steps
    for with_ray, without in zip(*curves, strict=True):
        losses = {name: value for name, value in without.items() if name.startswith("loss/")}
        assert {name: with_ray[name] for name in losses} == pytest.approx(losses, rel=1e-4, abs=1e-5)


def test_a_divergence_ends_the_run_at_once_with_its_reason(shop, ray_local):
    from trainables.generator.ray_train import train_on_ray

    config = override(TINY, ["loss.content_weight=1e39"])
    with pytest.raises(TrainingDiverged, match="loss term"):
        train_on_ray(task_of(shop, "wild", config), training_products(shop), workers=1)


def test_a_users_error_is_said_as_it_is_and_not_tried_again_and_again(shop, ray_local):
    from trainables.generator.ray_train import train_on_ray

    config = override(CONFIG, ["keep.lowest=loss/tpyo"])
    with pytest.raises(InputError, match="^keep.lowest is 'loss/tpyo'"):
        train_on_ray(task_of(shop, "typo", config), training_products(shop), workers=2)
    assert RunFolder(shop.storage, "typo").interruptions()["failures"] <= 1


@pytest.mark.faults
def test_a_full_disk_ends_a_run_on_ray_in_the_words_of_its_worker(shop, ray_local, tmp_path):
    """The storage root is a file system of its own with no room for a checkpoint."""
    from trainables.generator.ray_train import train_on_ray

    with disk_of(16, tmp_path / "small") as root:
        shutil.copytree(shop.storage.path(), root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("runs"))
        free = shutil.disk_usage(root).free
        (root / "filler").write_bytes(bytes(free - 128 * 1024))
        small = Dataset.open(Storage(str(root)), shop.name)
        with pytest.raises(StorageError, match=r"failed on Ray after 1 restarts: cannot write .*\.ckpt.*No space left"):
            train_on_ray(task_of(small, "full"), training_products(small), workers=2, max_failures=1)
