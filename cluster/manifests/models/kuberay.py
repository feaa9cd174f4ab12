"""Objects of KubeRay, as its operator of version 1.6 and newer reads them (ray.io/v1)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster.manifests.models.base import Count, Loose, Model, Names, Positive
from cluster.manifests.models.kubernetes import (
    EnvFrom,
    EnvSource,
    EnvVar,
    Labels,
    ObjectMeta,
    PodTemplate,
    Resources,
    SecurityContext,
    VolumeMount,
)


class AutoscalerOptions(Model):
    version: Literal["v1", "v2"] | None = None
    upscaling_mode: Literal["Default", "Aggressive", "Conservative"] | None = None
    idle_timeout_seconds: Count | None = None
    image: str | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    command: list[str] = []
    args: list[str] = []
    env: list[EnvVar] = []
    env_from: list[EnvFrom] = []
    resources: Resources | None = None
    security_context: SecurityContext | None = None
    volume_mounts: list[VolumeMount] = []


class Credential(Model):
    value: str | None = None
    value_from: EnvSource | None = None


class GcsFaultToleranceOptions(Model):
    backend: Literal["redis", "rocksdb"] | None = None
    redis_address: str | None = None
    redis_username: Credential | None = None
    redis_password: Credential | None = None
    external_storage_namespace: str | None = None
    storage: Loose | None = None


class AuthOptions(Model):
    mode: Literal["disabled", "token"] | None = None
    secret_name: str | None = None
    enable_k8s_token_auth: bool | None = Field(None, alias="enableK8sTokenAuth")


class HeadGroup(Model):
    template: PodTemplate
    ray_start_params: Names = {}
    resources: Names = {}
    labels: Labels = {}
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] | None = None
    enable_ingress: bool | None = None
    ingress_options: Loose | None = None
    head_service: Loose | None = None


class ScaleStrategy(Model):
    workers_to_delete: list[str] = []


class WorkerGroup(Model):
    group_name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
    template: PodTemplate
    replicas: Count | None = None
    min_replicas: Count
    max_replicas: Count
    num_of_hosts: Positive = 1
    ray_start_params: Names = {}
    resources: Names = {}
    labels: Labels = {}
    idle_timeout_seconds: Count | None = None
    priority: int | None = None
    suspend: bool | None = None
    scale_strategy: ScaleStrategy | None = None


class TypedStrategy(Model):
    type: Literal["Recreate", "None"]


class RayClusterSpec(Model):
    ray_version: str
    head_group_spec: HeadGroup
    worker_group_specs: list[WorkerGroup] = []
    enable_in_tree_autoscaling: bool | None = None
    autoscaler_options: AutoscalerOptions | None = None
    gcs_fault_tolerance_options: GcsFaultToleranceOptions | None = None
    auth_options: AuthOptions | None = None
    head_service_annotations: Names = {}
    upgrade_strategy: TypedStrategy | None = None
    network_policy: Loose | None = None
    tls_options: Loose | None = None
    history_server_options: Loose | None = None
    managed_by: str | None = None
    suspend: bool | None = None


class RayCluster(Model):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: RayClusterSpec


Policy = Literal["DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone"]


class DeletionPolicy(Model):
    policy: Policy


class DeletionCondition(Model):
    job_status: Literal["SUCCEEDED", "FAILED"] | None = None
    job_deployment_status: Literal["Failed"] | None = None
    ttl_seconds: Count = 0


class DeletionRule(Model):
    policy: Policy
    condition: DeletionCondition


class DeletionStrategy(Model):
    on_success: DeletionPolicy | None = None
    on_failure: DeletionPolicy | None = None
    deletion_rules: list[DeletionRule] = []


class SubmitterConfig(Model):
    backoff_limit: Count | None = None


class RayJobSpec(Model):
    entrypoint: str | None = None
    ray_cluster_spec: RayClusterSpec | None = None
    cluster_selector: Names = {}
    submission_mode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"] | None = None
    runtime_env_yaml: str | None = Field(None, alias="runtimeEnvYAML")
    shutdown_after_job_finishes: bool = False
    ttl_seconds_after_finished: Count = 0
    deletion_strategy: DeletionStrategy | None = None
    backoff_limit: Count = 0
    active_deadline_seconds: Positive | None = None
    pre_running_deadline_seconds: Positive | None = None
    entrypoint_num_cpus: float | None = None
    entrypoint_num_gpus: float | None = None
    entrypoint_resources: str | None = None
    submitter_pod_template: PodTemplate | None = None
    submitter_config: SubmitterConfig | None = None
    metadata: Names = {}
    job_id: str | None = None
    managed_by: str | None = None
    suspend: bool | None = None


class RayJob(Model):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: RayJobSpec


class ClusterUpgradeOptions(Model):
    gateway_class_name: str
    max_surge_percent: Annotated[int, Field(ge=0, le=100)] = 100
    step_size_percent: Annotated[int, Field(ge=0, le=100)]
    interval_seconds: Positive


class UpgradeStrategy(Model):
    type: Literal["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]
    cluster_upgrade_options: ClusterUpgradeOptions | None = None


class RayServiceSpec(Model):
    ray_cluster_config: RayClusterSpec
    serve_config_v2: str = Field(alias="serveConfigV2")
    upgrade_strategy: UpgradeStrategy | None = None
    serve_service: Loose | None = None
    exclude_head_pod_from_serve_svc: bool | None = None
    ray_cluster_deletion_delay_seconds: Count | None = None
    service_unhealthy_second_threshold: Count | None = None
    deployment_unhealthy_second_threshold: Count | None = None
    managed_by: str | None = None
    suspend: bool | None = None


class RayService(Model):
    api_version: str
    kind: str
    metadata: ObjectMeta
    spec: RayServiceSpec
