"""Training on several hosts: a head that takes no work and workers with addresses of their own, which are lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cluster.storage import Storage
from tests.hosts import PORT, Host, hosts
from tests.redis_server import start_redis
from tests.tiny_shop import make_tiny_shop
from tests.waiting import wait_for
from trainables.runs.folder import RunFolder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

NOTICE_S, LONG = 12, 240
"""A host that is announced to go away stays so long (Ray looks for such announcements every five seconds), and steps
that take longer.
"""
SETTINGS = (
    "batch_size=4", "frame_size=32", "network.widths=[16,16,16]", "network.blocks=1", "discriminator.width=8",
    "looks.references=1", "looks.variants=0", "looks.crops=1", "checkpoint_every=4", "sheet_every=1000",
)  # fmt: skip


@dataclass
class Site:
    """A cluster whose head keeps its state in Redis; every worker host has one CPU, the head none."""

    head: Host
    workers: list[Host]
    redis: str
    storage: Storage

    def start_head(self) -> None:
        self.head.ray(self.head, cpus=0, env={"RAY_REDIS_ADDRESS": self.redis})

    def train(self, host: Host, name: str, *, steps: int = 40) -> subprocess.Popen:
        """`shopreel train generator --workers 2` on that host."""
        settings = [part for setting in (*SETTINGS, f"steps={steps}") for part in ("--set", setting)]
        command = ["-m", "cluster.cli.main", "train", "generator", "--data", "tiny", "--run", name, "--workers", "2"]
        address = f"{self.head.address}:{PORT}"
        return host.start([sys.executable, *command, "--address", address, *settings], log=name)

    def await_checkpoint(self, name: str, process: subprocess.Popen) -> RunFolder:
        folder = RunFolder(self.storage, name)
        wait_for(folder.checkpoints.names, f"a checkpoint of {name}", seconds=600, process=process)
        return folder

    def used(self, folder: RunFolder) -> set[str]:
        """Names of the hosts on which a run's workers are."""
        return {worker["host"] for worker in self.storage.read_json(folder.path("workers.json"))}


@pytest.fixture
def site(settings, storage) -> Iterator[Site]:
    make_tiny_shop(storage, products=9, viewers=0)
    with hosts("head", "redis", "a", "b", "c") as (head, redis, *workers):
        site = Site(head, workers, start_redis(redis), storage)
        site.start_head()
        yield site


def finished(process: subprocess.Popen, host: Host, name: str) -> None:
    assert process.wait(500) == 0, host.said(name)[-3000:]


def assert_whole(folder: RunFolder, steps: int = 40) -> None:
    """The last step is there, and every step once."""
    assert folder.checkpoints.newest()["step"] == steps
    assert [line["step"] for line in folder.stats()] == list(range(1, steps + 1))
    workers = folder.storage.read_json(folder.path("workers.json"))
    assert len(workers) == 2
    assert len({worker["weights"] for worker in workers}) == 1


def test_two_hosts_train_one_network_and_a_third_takes_over_when_one_is_cut_off(site):
    """DDP over two hosts by the command alone. Then the host of a worker is cut off the network in the middle of a run:
    the run goes on with a third host, from the newest checkpoint, to the same last step.
    """
    a, b, c = site.workers
    a.ray(site.head, cpus=1), b.ray(site.head, cpus=1)
    process = site.train(site.head, "two", steps=8)
    finished(process, site.head, "two")
    folder = RunFolder(site.storage, "two")
    assert_whole(folder, 8)
    assert site.used(folder) == {"a", "b"}

    c.ray(site.head, cpus=1)
    process = site.train(site.head, "cut")
    folder = site.await_checkpoint("cut", process)
    lost = next(host for host in site.workers if host.name in site.used(folder))
    lost.cut()
    finished(process, site.head, "cut")
    assert_whole(folder)
    assert site.used(folder) == {"a", "b", "c"} - {lost.name}
    assert min(worker["resumed_from"] for worker in site.storage.read_json(folder.path("workers.json"))) >= 4


def test_a_run_goes_on_after_its_head_was_killed(site):
    """`kill -9` of everything on the head, the command among it, while two hosts train. A new head takes the state over
    from Redis and the hosts stay with it; the same command goes on, and no step is lost or there twice.
    """
    a, b, _ = site.workers
    rays = [a.ray(site.head, cpus=1), b.ray(site.head, cpus=1)]
    folder = site.await_checkpoint("r", site.train(site.head, "r"))
    site.head.kill()
    site.start_head()
    process = site.train(site.head, "r")
    finished(process, site.head, "r")
    assert_whole(folder)
    assert site.used(folder) == {"a", "b"}
    assert min(worker["resumed_from"] for worker in site.storage.read_json(folder.path("workers.json"))) >= 4
    assert [ray.poll() for ray in rays] == [None, None]


def test_preemption_is_no_failure(site):
    """A host is announced to go away (as a cloud does with spot machines) and goes away when its time has come: the run
    goes on elsewhere, says so, and none of the failures it may have is used up.
    """
    for host in site.workers:
        host.ray(site.head, cpus=1)
    process = site.train(site.head, "r", steps=LONG)
    folder = site.await_checkpoint("r", process)
    gone = next(host for host in site.workers if host.name in site.used(folder))
    command = ["-m", "ray.scripts.scripts", "drain-node", f"--address={site.head.address}:{PORT}"]
    command += [f"--node-id={node_id(site, gone)}", "--reason=DRAIN_NODE_REASON_PREEMPTION"]
    command += ["--reason-message=the spot machine is taken back", f"--deadline-remaining-seconds={NOTICE_S}"]
    assert site.head.start([sys.executable, *command], log="drain").wait(120) == 0, site.head.said("drain")
    deadline = time.monotonic() + NOTICE_S
    wait_for(lambda: time.monotonic() > deadline, "the host's time has come")
    assert process.poll() is None, "the run outlasts the notice"
    gone.kill()
    finished(process, site.head, "r")
    assert_whole(folder, LONG)
    assert site.used(folder) == {"a", "b", "c"} - {gone.name}
    assert folder.interruptions() == {"preemptions": 1, "failures": 0}
    assert "1 preemption and 0 failures" in site.head.said("r")


NODE_ID = """
import ray, sys
ray.init(sys.argv[1], log_to_driver=False)
print("NODE", *[node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeManagerAddress"] == sys.argv[2]])
"""


def node_id(site: Site, host: Host) -> str:
    """Ray's name of a host."""
    command = [sys.executable, "-c", NODE_ID, f"{site.head.address}:{PORT}", host.address]
    assert site.head.start(command, log="nodes").wait(120) == 0, site.head.said("nodes")
    return site.head.said("nodes").rsplit("NODE", 1)[1].split()[0]
