"""Objects of the Prometheus operator."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster.manifests.models.base import Count, Loose, Model
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
    oauth2: Loose | None = None
    bearer_token_secret: KeySelector | None = None
    bearer_token_file: str | None = None
    honor_timestamps: bool | None = None
    track_timestamps_staleness: bool | None = None
    follow_redirects: bool | None = None
    enable_http2: bool | None = Field(None, alias="enableHttp2")
    filter_running: bool | None = None
    proxy_url: str | None = None
    proxy_from_environment: bool | None = None
    no_proxy: str | None = None


class MonitorSpec(Model):
    """What both kinds of monitors have."""

    selector: LabelSelector
    selector_mechanism: Literal["RelabelConfig", "RoleSelector"] | None = None
    namespace_selector: NamespaceSelector | None = None
    job_label: str | None = None
    pod_target_labels: list[str] = []
    sample_limit: Count | None = None
    target_limit: Count | None = None
    label_limit: Count | None = None
    label_name_length_limit: Count | None = None
    label_value_length_limit: Count | None = None
    keep_dropped_targets: Count | None = None
    body_size_limit: str | None = None
    scrape_class: str | None = None
    scrape_protocols: list[str] = []
    fallback_scrape_protocol: str | None = None
    attach_metadata: Loose | None = None


class PodMonitorSpec(MonitorSpec):
    pod_metrics_endpoints: Annotated[list[Endpoint], Field(min_length=1)]


class PodMonitor(Model):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: PodMonitorSpec


class ServiceMonitorSpec(MonitorSpec):
    endpoints: Annotated[list[Endpoint], Field(min_length=1)]
    target_labels: list[str] = []
    service_discovery_role: Literal["EndpointSlice", "Endpoints"] | None = None


class ServiceMonitor(Model):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: ServiceMonitorSpec
