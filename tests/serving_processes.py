"""The processes of an application served by this process's own Ray, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from serving.run import APP_NAME
from tests.waiting import wait_for

REPLICA = f"ray::ServeReplica:{APP_NAME}:{{}}"
PROXY, CONTROLLER = "ray::ProxyActor", "ray::ServeController"


def pids(title: str) -> set[int]:
    """Processes whose title begins so in this process's own Ray: children of a raylet that is a child of ours."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "cmdline").read_text().startswith(title) and parent(parent(int(folder.name))) == os.getpid():
                found.add(int(folder.name))
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
