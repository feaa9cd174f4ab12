"""Ray on this machine, started by a command."""

from __future__ import annotations

import os
import subprocess
import sys

from cluster.runtime import RAY_ENVIRONMENT, owns_ray, resources_within_reach

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
