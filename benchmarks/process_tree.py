"""A command as a process tree of this machine (Linux): started, waited for, measured, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

TICKS = os.sysconf("SC_CLK_TCK")
SETTLED = 0.2
"""Cores below which a server has ended what it does once after its start."""


@contextmanager
def running(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[int]:
    """The pid of a command in a session of its own; the whole tree is ended after the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=os.environ | dict(environment), stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process.pid
        finally:
            members = tree(process.pid)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pid in members & set(_parents()):
                os.kill(pid, signal.SIGKILL)


def tree(pid: int) -> set[int]:
    """A process and all that came from it."""
    parents, found = _parents(), {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def cpu_seconds(pids: set[int]) -> float:
    """User and system time of these processes so far."""
    return sum(int(fields[11]) + int(fields[12]) for fields in map(_stat, pids) if fields) / TICKS


def cores_used(pid: int, seconds: float = 1.0) -> float:
    """By a process and all that came from it, over the next `seconds`."""
    before = cpu_seconds(tree(pid))
    time.sleep(seconds)
    return (cpu_seconds(tree(pid)) - before) / seconds


def machine_cpu_seconds() -> float:
    """Busy time of all cores so far."""
    user, nice, system, _idle, _wait, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + sum(rest[:2])) / TICKS


def resident_mib(pids: set[int]) -> float:
    """Proportional share of memory, MiB: what several processes share counts once."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1024


def answered(url: str, body: dict[str, Any] | None = None) -> bool:
    """Whether a GET, or a POST where there is a body, is answered 200."""
    try:
        return httpx.request("POST" if body else "GET", url, json=body, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def wait_until(ready, pid: int, log: Path, seconds: float = 180.0) -> float:
    """Seconds until `ready()` is true; RuntimeError with the end of the log where the process ends or time runs out."""
    began = time.perf_counter()
    while not ready():
        if time.perf_counter() - began > seconds or has_ended(pid):
            raise RuntimeError(f"it did not come up:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)
    return time.perf_counter() - began


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or waits for its parent to take notice."""
    fields = _stat(pid)
    return fields is None or fields[0] == "Z"


def _parents() -> dict[int, int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return {pid: int(fields[1]) for pid in pids if (fields := _stat(pid))}


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat after the name (which may hold spaces); None where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
