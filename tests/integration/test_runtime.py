"""Ray on this machine, started by a command."""

from __future__ import annotations

import os
import subprocess
import sys

from cluster.runtime import RAY_ENVIRONMENT, owns_ray

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


ATTACHED = """
import sys
from dataclasses import replace
from cluster.runtime import owns_ray, ray_session
from cluster.settings import Settings
with ray_session(replace(Settings.load(), ray_address=sys.argv[1])):
    print("OWNS", owns_ray())
"""


def test_a_process_that_attaches_to_a_ray_does_not_own_it(ray_local):
    """What a run leaves out where Ray ends with it must stay where others go on using it."""
    import ray

    assert owns_ray()
    address = ray.get_runtime_context().gcs_address
    done = subprocess.run([sys.executable, "-c", ATTACHED, address], capture_output=True, text=True, check=True)
    assert done.stdout.split("OWNS")[1].split() == ["False"]
