"""Waiting for a condition, and a port to wait on."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any


def wait_for(
    condition: Callable[[], Any], what: str, *, seconds: float = 120, process: subprocess.Popen | None = None
) -> None:
    """Return as soon as the condition holds; fail after `seconds`, or where the process to get there is gone."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, f"its process ended before: {what}"
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)  # between two looks at the condition


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
