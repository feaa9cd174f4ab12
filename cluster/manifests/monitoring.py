"""How Prometheus scrapes the clusters, and the dashboard that Grafana shows."""

from __future__ import annotations

from typing import Any

from cluster.manifests.dashboard import dashboard
from cluster.manifests.description import ClusterDescription
from cluster.manifests.rules.dashboards import DASHBOARD_LABEL
from cluster.manifests.rules.references import EXTERNAL_SECRETS

HEAD_METRICS = ("metrics", "as-metrics", "dash-metrics")


def service_monitor(description: ClusterDescription) -> dict[str, Any]:
    """Heads, found by the service that KubeRay makes for each."""
    endpoints = [_endpoint(description, port, "service") for port in HEAD_METRICS]
    spec = {"jobLabel": "ray.io/cluster", "selector": _nodes("head"), "endpoints": endpoints}
    return _monitor(description, "ServiceMonitor", "heads", spec)


def application_monitor(description: ClusterDescription) -> dict[str, Any]:
    """The application's own figures, from the proxy of every node; it asks the ingress replica beside it."""
    monitoring = description.monitoring
    api_key = {"type": "Bearer", "credentials": {"name": monitoring.secret, "key": monitoring.key}}
    endpoint = _endpoint(description, "serve", "pod") | {"path": "/metrics", "authorization": api_key}
    # KubeRay's label of the service that it makes for a RayService of this name.
    selector = {"matchLabels": {"ray.io/serve": f"{description.name}-serve-serve"}}
    spec = {"jobLabel": "ray.io/serve", "selector": selector, "endpoints": [endpoint]}
    monitor = _monitor(description, "ServiceMonitor", "application", spec)
    monitor["metadata"]["annotations"] = {EXTERNAL_SECRETS: monitoring.secret}
    return monitor


def pod_monitor(description: ClusterDescription) -> dict[str, Any]:
    """Workers, which no service stands for."""
    endpoints = [_endpoint(description, "metrics", "pod")]
    spec = {"jobLabel": "ray.io/cluster", "selector": _nodes("worker"), "podMetricsEndpoints": endpoints}
    return _monitor(description, "PodMonitor", "workers", spec)


def dashboard_config_map(description: ClusterDescription) -> dict[str, Any]:
    """The dashboard, as Grafana's sidecar picks it up."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{description.name}-dashboard",
            "namespace": description.namespace,
            "labels": {DASHBOARD_LABEL: "1"},
        },
        "data": {f"{description.name}.json": dashboard(description.name)},
    }


def _nodes(kind: str) -> dict[str, Any]:
    return {"matchLabels": {"ray.io/node-type": kind, "app.kubernetes.io/created-by": "kuberay-operator"}}


def _endpoint(description: ClusterDescription, port: str, found_by: str) -> dict[str, Any]:
    cluster = {
        "sourceLabels": [f"__meta_kubernetes_{found_by}_label_ray_io_cluster"],
        "targetLabel": "ray_io_cluster",
    }
    return {"port": port, "interval": description.monitoring.interval, "relabelings": [cluster]}


def _monitor(description: ClusterDescription, kind: str, of: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": kind,
        "metadata": {
            "name": f"{description.name}-{of}",
            "namespace": description.namespace,
            "labels": {"release": description.monitoring.release},
        },
        "spec": {"namespaceSelector": {"matchNames": [description.namespace]}, **spec},
    }
