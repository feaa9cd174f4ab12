"""The processes of this process's own Ray, those of a served application first of all, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from serving.run import APP_NAME
from tests.waiting import wait_for

REPLICA = f"ray::ServeReplica:{APP_NAME}:{{}}"
CONTROLLER, HAPROXY, HAPROXY_MANAGER = "ray::ServeController", "haproxy\0", "ray::HAProxyManager"


def pids(title: str) -> set[int]:
    """Processes whose title begins so in this process's own Ray."""
    return {pid for pid, found in _own().items() if found.startswith(title)}


def titles() -> list[str]:
    """What the workers and actors of this process's own Ray call themselves, in order; Ray's own services left out."""
    return sorted(found.strip("\0 ") for found in _own().values() if found.startswith("ray::") and "Agent" not in found)


def _own() -> dict[int, str]:
    """Children of a raylet that is a child of ours, and their children."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(folder.name)
            if os.getpid() in _ancestors(pid)[1:3]:
                found[pid] = (folder / "cmdline").read_text()
    return found


def _ancestors(pid: int) -> list[int]:
    """Parent first."""
    found = []
    while pid := parent(pid):
        found.append(pid)
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kill(title: str) -> None:
    """SIGKILL to every process of that title; returns when another is there."""
    victims = pids(title)
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pids(title) - victims, f"another {title}")
