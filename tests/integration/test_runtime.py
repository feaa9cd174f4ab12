"""Ray on this machine, started by a command."""

from __future__ import annotations

import os
import subprocess
import sys

from cluster.runtime import RAY_ENVIRONMENT

COMMAND = """
import os
from pathlib import Path
from tests.serving_processes import parent
import ray  # as commands do that need it before they start it
from cluster.runtime import ray_session
from cluster.settings import Settings
with ray_session(Settings.load(), num_cpus=1):
    print("NODES", *[node["NodeManagerAddress"] for node in ray.nodes()])
    processes = Path("/proc").glob("[0-9]*")
    print("CHILDREN", *[(p / "cmdline").read_text() for p in processes if parent(p.name) == os.getpid()])
"""


def test_ray_of_one_machine_cannot_be_reached_from_another(settings):
    """Whatever was imported first, every node is at loopback."""
    environment = {name: value for name, value in os.environ.items() if name not in RAY_ENVIRONMENT}
    done = subprocess.run([sys.executable, "-c", COMMAND], env=environment, capture_output=True, text=True, check=True)
    nodes, children = done.stdout.split("NODES")[1].split("CHILDREN")
    assert nodes.split() == ["127.0.0.1"]
    assert "raylet" in children
    assert "log_monitor" not in children, "it would read every log for a command that prints none of them"
