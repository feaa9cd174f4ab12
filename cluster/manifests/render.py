"""Every manifest of a description, as files of YAML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.manifests.description import ClusterDescription
from cluster.manifests.kuberay import ray_cluster, ray_job, ray_service
from cluster.manifests.monitoring import application_monitor, dashboard_config_map, pod_monitor, service_monitor
from cluster.manifests.ray_up import ray_up
from cluster.manifests.text import to_yaml

HEADER = "# Rendered by `shopreel manifests render`; change the settings and render again.\n"

MANIFESTS: dict[str, Callable[[ClusterDescription], list[dict[str, Any]]]] = {
    "raycluster": lambda d: [ray_cluster(d)],
    "rayjob-train": lambda d: [ray_job(d, "train", d.train)],
    "rayjob-tune": lambda d: [ray_job(d, "tune", d.tune)],
    "rayservice": lambda d: [ray_service(d)],
    "monitoring": lambda d: [service_monitor(d), pod_monitor(d), application_monitor(d), dashboard_config_map(d)],
    "ray-up": lambda d: [ray_up(d)],
}
"""What can be rendered, by the name of its file."""


def render(description: ClusterDescription) -> dict[str, str]:
    """YAML of each manifest by name, without `.yaml`."""
    return {
        name: HEADER + "---\n".join(to_yaml(part) for part in parts(description)) for name, parts in MANIFESTS.items()
    }
