"""Several hosts on one machine: network namespaces with addresses of their own behind one switch.

Each host has its own network, host name and temporary folder; files are shared, as on machines that mount one storage.
Nothing of it can be reached from outside, and nothing in it reaches anything else. Needs root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.runtime import CLUSTER_ENVIRONMENT
from tests.waiting import wait_for

ATTEMPTS = 3
"""A node ends itself when its parts need more than 30 s to start, as they may on a busy machine."""
TEMPORARY = "/tmp/shopreel-ray"
"""Where every host sees its own folder; Ray's socket paths must be short."""
ENTER = 'mount --bind "$1" "$2" && hostname "$3" && shift 3 && exec "$@"'
PORT = 6379
REPOSITORY = Path(__file__).resolve().parent.parent
NODE_DEATH = {
    # A lost node is noticed within seconds.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}


class Host:
    """One host; made by `Hosts.add`."""

    def __init__(self, name: str, namespace: str, address: str, port: str, folder: Path) -> None:
        self.name, self.namespace, self.address, self.folder = name, namespace, address, folder
        self._port = port

    def start(self, command: Sequence[str], *, env: dict[str, str] | None = None, log: str) -> subprocess.Popen:
        """Start a process on this host; its output goes to `LOG.txt` in the host's folder."""
        enter = ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "--uts", "sh", "-c", ENTER, "sh"]
        # torch takes the interface that the host name resolves to, and these names resolve to nothing.
        plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment = plain | CLUSTER_ENVIRONMENT | NODE_DEATH | {
            "RAY_AUTH_MODE": "disabled", "GLOO_SOCKET_IFNAME": "eth0", "RAY_TMPDIR": TEMPORARY, "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(REPOSITORY),
        } | (env or {})  # fmt: skip
        with (self.folder / f"{log}.txt").open("a") as sink:
            return subprocess.Popen(
                [*enter, str(self.folder), TEMPORARY, self.name, *command],
                env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def said(self, log: str) -> str:
        """What a process has printed so far."""
        return (self.folder / f"{log}.txt").read_text()

    def ray(self, head: Host, *, cpus: int, env: dict[str, str] | None = None) -> subprocess.Popen:
        """Start Ray on this host, as the head where it is the head itself; waits until it is up."""
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--num-cpus={cpus}"]
        command += [f"--node-ip-address={self.address}", "--object-store-memory=100000000", "--disable-usage-stats"]
        if head is self:
            command += ["--head", f"--port={PORT}", f"--temp-dir={TEMPORARY}", "--include-dashboard=false"]
        else:
            command += [f"--address={head.address}:{PORT}"]
        for _ in range(ATTEMPTS):
            (self.folder / "ray.txt").unlink(missing_ok=True)
            process = self.start(command, env=env, log="ray")
            wait_for(
                lambda p=process: p.poll() is not None or "Ray runtime started" in self.said("ray"),
                f"Ray on {self.name}", seconds=300,
            )  # fmt: skip
            if process.poll() is None:
                return process
        raise AssertionError(f"no Ray on {self.name}: {self.said('ray')[-2000:]}")

    def cut(self) -> None:
        """Take this host off the switch; its processes go on by themselves."""
        run("ip", "-n", self._switch, "link", "set", self._port, "down")

    @property
    def _switch(self) -> str:
        return f"{self.namespace.rsplit('-', 1)[0]}-switch"

    def kill(self) -> None:
        """SIGKILL to every process of this host, and to nothing else."""
        for pid in self._pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended on its own
        wait_for(lambda: not self._pids(), f"{self.name} is dead", seconds=60)
        # Hosts share one table of processes: Ray would take the others' for its own, which this file says still runs.
        (self.folder / "ray_current_cluster").unlink(missing_ok=True)

    def _pids(self) -> list[int]:
        pids = [int(pid) for pid in run("ip", "netns", "pids", self.namespace).split()]
        return [pid for pid in pids if not _is_zombie(pid)]


class Hosts:
    """A switch and the hosts on it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._prefix = folder, f"sr{os.getpid()}"
        self._switch = f"{self._prefix}-switch"
        self._hosts: list[Host] = []

    def __enter__(self) -> Hosts:
        Path(TEMPORARY).mkdir(exist_ok=True)
        run("ip", "netns", "add", self._switch)
        run("ip", "-n", self._switch, "link", "add", "bridge0", "type", "bridge")
        run("ip", "-n", self._switch, "link", "set", "bridge0", "up")
        return self

    def add(self, name: str) -> Host:
        """A host `10.77.0.N`, on the switch and with nothing running."""
        number = len(self._hosts) + 1
        namespace, port, address = f"{self._prefix}-{name}", f"port{number}", f"10.77.0.{number}"
        folder = self._folder / name
        folder.mkdir()
        host = Host(name, namespace, address, port, folder)
        run("ip", "netns", "add", namespace)
        self._hosts.append(host)
        inside, outside = ("ip", "-n", namespace), ("ip", "-n", self._switch)
        run(*inside, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", self._switch)
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "addr", "add", f"{address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "route", "add", "default", "dev", "eth0")
        run(*outside, "link", "set", port, "master", "bridge0", "up")
        return host

    def __exit__(self, *_: object) -> None:
        for host in self._hosts:
            host.kill()
            run("ip", "netns", "delete", host.namespace)
        run("ip", "netns", "delete", self._switch)


@contextmanager
def hosts(*names: str) -> Iterator[list[Host]]:
    """Hosts by these names, gone with everything on them at the end; skips the test where none can be made."""
    if reason := why_not():
        pytest.skip(f"no hosts can be made here: {reason}")
    with (
        tempfile.TemporaryDirectory(prefix="shopreel-hosts-", ignore_cleanup_errors=True) as folder,
        Hosts(Path(folder)) as switch,
    ):
        yield [switch.add(name) for name in names]


def why_not() -> str:
    """What is missing for network namespaces; empty where nothing is."""
    for program in ("ip", "unshare"):
        if shutil.which(program) is None:
            return f"the program {program} is not installed"
    name = f"sr{os.getpid()}-try"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr.strip()
    run("ip", "netns", "delete", name)
    return ""


def run(*command: str) -> str:
    """Output of a program that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
