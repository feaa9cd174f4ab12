"""Typed models of the Kubernetes, KubeRay, Prometheus and Ray objects that run shopreel, by kind."""

from __future__ import annotations

from cluster.manifests.models.base import Model
from cluster.manifests.models.kuberay import RayCluster, RayJob, RayService
from cluster.manifests.models.kubernetes import ConfigMap, Secret
from cluster.manifests.models.monitoring import PodMonitor, ServiceMonitor
from cluster.manifests.models.ray_up import RayUpCluster

KINDS: dict[str, type[Model]] = {
    model.__name__: model for model in (RayCluster, RayJob, RayService, ConfigMap, Secret, PodMonitor, ServiceMonitor)
}
"""Model of each kind of Kubernetes object that is checked."""

API_VERSIONS = {
    "RayCluster": "ray.io/v1",
    "RayJob": "ray.io/v1",
    "RayService": "ray.io/v1",
    "ConfigMap": "v1",
    "Secret": "v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
}

__all__ = ["API_VERSIONS", "KINDS", "Model", "RayUpCluster"]
