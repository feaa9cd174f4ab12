"""A Redis server of the tests' own, on one of their hosts."""

from __future__ import annotations

import shutil

import pytest

from tests.hosts import PORT, Host
from tests.waiting import wait_for


def start_redis(host: Host) -> str:
    """`ADDRESS:PORT` of a fresh server on that host; the test is skipped where Redis is not installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed here (Debian: redis-server)")
    # The host can be reached from the other hosts of the test alone.
    command = ["redis-server", "--bind", host.address, "--port", str(PORT), "--protected-mode", "no"]
    process = host.start([*command, "--save", "", "--appendonly", "no"], log="redis")
    wait_for(lambda: "Ready to accept connections" in host.said("redis"), "Redis is up", seconds=60, process=process)
    return f"{host.address}:{PORT}"
