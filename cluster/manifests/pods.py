"""Pods of a Ray cluster on Kubernetes."""

from __future__ import annotations

from typing import Any

from cluster.manifests.description import ClusterDescription
from cluster.runtime import CLUSTER_ENVIRONMENT

GPU = "nvidia.com/gpu"
HEAD_PORTS = {
    "gcs-server": 6379,
    "dashboard": 8265,
    "client": 10001,
    "serve": 8000,
    "metrics": 8080,
    "as-metrics": 44217,  # of the autoscaler
    "dash-metrics": 44227,  # of the dashboard
}
WORKER_PORTS = {"metrics": 8080}


def environment(description: ClusterDescription) -> dict[str, str]:
    """Environment of every process of the cluster, without secrets."""
    stores = description.stores
    variables = {
        "SHOPREEL_HOME": stores.home,
        "SHOPREEL_TRACKING_URI": stores.tracking_uri,
        "SHOPREEL_EVENT_STORE": stores.event_store,
    }
    variables |= CLUSTER_ENVIRONMENT
    if description.token_secret is None:
        variables["RAY_AUTH_MODE"] = "disabled"  # otherwise KubeRay sets it, and the token, itself
    return variables


def head_group(description: ClusterDescription) -> dict[str, Any]:
    """The head, which takes no work: what runs there would be lost with it, and would starve the scheduler."""
    head = description.head
    return {
        "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
        "template": _template(description, "ray-head", HEAD_PORTS, head.cpus, head.memory),
    }


def cpu_group(description: ClusterDescription, least: int, most: int) -> dict[str, Any]:
    workers = description.cpu_workers
    template = _template(description, "ray-worker", WORKER_PORTS, workers.cpus, workers.memory)
    return _group("cpu", least, most, template)


def gpu_group(description: ClusterDescription, least: int, most: int) -> dict[str, Any]:
    workers = description.gpu_workers
    template = _template(description, "ray-worker", WORKER_PORTS, workers.cpus, workers.memory, gpus=1)
    template["spec"]["tolerations"] = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    return _group("gpu", least, most, template)


def _group(name: str, least: int, most: int, template: dict[str, Any]) -> dict[str, Any]:
    return {
        "groupName": name,
        "replicas": least,
        "minReplicas": least,
        "maxReplicas": most,
        "rayStartParams": {},
        "template": template,
    }


def _template(
    description: ClusterDescription, container: str, ports: dict[str, int], cpus: int, memory: str, *, gpus: int = 0
) -> dict[str, Any]:
    # Requests equal limits: Ray counts the limits as its own, and memory that is not there would kill the pod.
    resources = {"cpu": str(cpus), "memory": memory} | ({GPU: str(gpus)} if gpus else {})
    return {
        "spec": {
            "containers": [
                {
                    "name": container,
                    "image": description.image,
                    "ports": [{"name": name, "containerPort": number} for name, number in ports.items()],
                    "env": [{"name": name, "value": value} for name, value in environment(description).items()],
                    "envFrom": [{"secretRef": {"name": description.stores.secret}}],
                    "resources": {"limits": dict(resources), "requests": dict(resources)},
                    "securityContext": {"allowPrivilegeEscalation": False},
                }
            ],
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
        }
    }
