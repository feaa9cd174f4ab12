"""Ray on this machine, started by a command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from cluster import runtime
from cluster.errors import ShopreelError
from cluster.runtime import RAY_ENVIRONMENT, owns_ray, ray_session, resources_within_reach

COMMAND = """
import os
from pathlib import Path
from tests.serving_processes import parent
import ray  # as commands do that need it before they start it
from cluster.runtime import ray_session
from cluster.settings import Settings
import ray._private.services
ray._private.services.find_bootstrap_address = lambda *_: "10.255.255.1:6379"  # what `ray start` notes in /tmp/ray
with ray_session(Settings.load(), num_cpus=1):
    print("NODES", *[node["NodeManagerAddress"] for node in ray.nodes()])
    processes = Path("/proc").glob("[0-9]*")
    print("CHILDREN", *[(p / "cmdline").read_text() for p in processes if parent(p.name) == os.getpid()])
"""


def test_ray_of_one_machine_cannot_be_reached_from_another(settings):
    """Whatever was imported first, every node is at loopback. A cluster that `ray start` made here is let be."""
    environment = {name: value for name, value in os.environ.items() if name not in RAY_ENVIRONMENT}
    done = subprocess.run([sys.executable, "-c", COMMAND], env=environment, capture_output=True, text=True, check=True)
    nodes, children = done.stdout.split("NODES")[1].split("CHILDREN")
    assert nodes.split() == ["127.0.0.1"]
    assert "raylet" in children
    assert "log_monitor" not in children, "it would read every log for a command that prints none of them"


def test_an_address_without_a_cluster_is_refused_at_once(settings, monkeypatch):
    """Ray itself tries for minutes where nothing listens, and knows no dashboard's URL."""
    monkeypatch.setattr(runtime, "ATTACH_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    for address in (nobody, f"ray://{nobody}", "http://127.0.0.1:8265", "head", "no-such-host.invalid:6379"):
        elsewhere = replace(settings, ray_address=address)
        with pytest.raises(ShopreelError, match=rf"(?s)Ray cluster at {address}: .*--address"), ray_session(elsewhere):
            pass


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


def test_what_an_autoscaler_may_add_is_within_reach(ray_local):
    """Its limits are read where the autoscaler of KubeRay writes them: two CPUs are here, up to four GPUs may come."""
    import ray
    from ray._private.state import state
    from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig

    assert resources_within_reach()["CPU"] == 2
    assert "GPU" not in resources_within_reach()
    group = NodeGroupConfig(name="gpu", resources={"CPU": 0, "GPU": 2}, min_count=0, max_count=2)
    gcs = ray._private.worker.global_worker.gcs_client
    place = ray._raylet.GCS_AUTOSCALER_CLUSTER_CONFIG_KEY.encode()
    namespace = ray._raylet.GCS_AUTOSCALER_STATE_NAMESPACE.encode()
    gcs.internal_kv_put(place, ClusterConfig(node_group_configs=[group]).SerializeToString(), True, namespace)
    try:
        assert state.get_cluster_config() is not None
        assert resources_within_reach() == ray.cluster_resources() | {"GPU": 4}
    finally:
        gcs.internal_kv_del(place, False, namespace)
