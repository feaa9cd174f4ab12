"""Objects of the Prometheus operator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster.manifests.models.base import Loose, Model
from cluster.manifests.models.kubernetes import KeySelector, LabelSelector, ObjectMeta

Duration = Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m|h|d|w|y))+$")]


class NamespaceSelector(Model):
    any: bool | None = None
    match_names: list[str] = []


class Relabeling(Model):
    source_labels: list[str] = []
    target_label: str | None = None
    action: str | None = None
    regex: str | None = None
    replacement: str | None = None
    separator: str | None = None
    modulus: int | None = None


class Authorization(Model):
    type: str = "Bearer"
    credentials: KeySelector


class Endpoint(Model):
    port: str | None = None
    target_port: str | int | None = None
    path: str | None = None
    scheme: str | None = None
    interval: Duration | None = None
    scrape_timeout: Duration | None = None
    relabelings: list[Relabeling] = []
    metric_relabelings: list[Relabeling] = []
    honor_labels: bool | None = None
    params: dict[str, list[str]] = {}
    authorization: Authorization | None = None
    basic_auth: Loose | None = None
    tls_config: Loose | None = None


class PodMonitorSpec(Model):
    selector: LabelSelector
    pod_metrics_endpoints: Annotated[list[Endpoint], Field(min_length=1)]
    namespace_selector: NamespaceSelector | None = None
    job_label: str | None = None
    pod_target_labels: list[str] = []
    sample_limit: int | None = None


class PodMonitor(Model):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: PodMonitorSpec


class ServiceMonitorSpec(Model):
    selector: LabelSelector
    endpoints: Annotated[list[Endpoint], Field(min_length=1)]
    namespace_selector: NamespaceSelector | None = None
    job_label: str | None = None
    target_labels: list[str] = []
    pod_target_labels: list[str] = []
    sample_limit: int | None = None


class ServiceMonitor(Model):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: ServiceMonitorSpec
