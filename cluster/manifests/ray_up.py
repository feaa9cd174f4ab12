"""The cluster file of `ray up`: a cluster without Kubernetes, on AWS or on machines of one's own."""

from __future__ import annotations

import shlex
from typing import Any

from cluster.manifests.description import ClusterDescription
from cluster.manifests.pods import environment

SECRETS = "/etc/shopreel"
CPU_TYPE, GPU_TYPE, HEAD_TYPE = "cpu", "gpu", "head"


def ray_up(description: ClusterDescription) -> dict[str, Any]:
    """Ray's containers run the image. Each machine brings its secrets: /etc/shopreel/{credentials.env,auth_token}."""
    machines = description.ray_up
    variables = environment(description)
    if description.token_secret:
        variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{SECRETS}/auth_token"}
    options = [f"--env={shlex.quote(f'{name}={value}')}" for name, value in variables.items()]
    options += [f"--env-file={SECRETS}/credentials.env", f"--volume={SECRETS}:{SECRETS}:ro"]
    file: dict[str, Any] = {
        "cluster_name": description.name,
        "max_workers": description.cpu_workers.max_replicas + description.gpus,
        "idle_timeout_minutes": 5,
        "provider": _provider(description),
        "auth": {"ssh_user": machines.ssh_user},
        "docker": {"image": description.image, "container_name": "shopreel", "run_options": options},
        "head_start_ray_commands": [
            "ray stop",
            "ray start --head --port=6379 --num-cpus=0 --dashboard-host=0.0.0.0 --metrics-export-port=8080 "
            "--autoscaling-config=~/ray_bootstrap_config.yaml",
        ],
        "worker_start_ray_commands": ["ray stop", "ray start --address=$RAY_HEAD_IP:6379 --metrics-export-port=8080"],
    }
    if machines.provider == "local":
        file["max_workers"] = file["min_workers"] = len(machines.worker_ips)
        file["auth"]["ssh_private_key"] = machines.ssh_private_key
        return file
    return file | {"head_node_type": HEAD_TYPE, "available_node_types": _node_types(description)}


def _provider(description: ClusterDescription) -> dict[str, Any]:
    machines = description.ray_up
    if machines.provider == "aws":
        return {"type": "aws", "region": machines.region, "cache_stopped_nodes": False}
    return {"type": "local", "head_ip": machines.head_ip, "worker_ips": list(machines.worker_ips)}


def _node_types(description: ClusterDescription) -> dict[str, Any]:
    machines, workers = description.ray_up, description.cpu_workers
    types: dict[str, Any] = {
        HEAD_TYPE: {
            "resources": {"CPU": 0},
            "node_config": {"InstanceType": machines.head_type},
            "min_workers": 0,
            "max_workers": 0,
        },
        CPU_TYPE: {
            "resources": {"CPU": workers.cpus},
            "node_config": {"InstanceType": machines.cpu_type},
            "min_workers": workers.min_replicas,
            "max_workers": workers.max_replicas,
        },
    }
    if description.gpus:
        types[GPU_TYPE] = {
            "resources": {"CPU": description.gpu_workers.cpus, "GPU": 1},
            "node_config": {"InstanceType": machines.gpu_type},
            "min_workers": description.gpu_workers.min_replicas,
            "max_workers": description.gpus,
        }
    return types
