"""Objects of Kubernetes itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster.manifests.models.base import Count, Loose, Model, Names, Positive, Quantity

Port = Annotated[int, Field(ge=1, le=65535)]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$")]
Labels = dict[str, LabelValue]
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class ObjectMeta(Model):
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$")]
    namespace: DnsLabel | None = None
    labels: Labels = {}
    annotations: Names = {}
    finalizers: list[str] = []


class PodMeta(Model):
    labels: Labels = {}
    annotations: Names = {}


class KeySelector(Model):
    name: str
    key: str
    optional: bool = False


class EnvSource(Model):
    secret_key_ref: KeySelector | None = None
    config_map_key_ref: KeySelector | None = None
    field_ref: Loose | None = None
    resource_field_ref: Loose | None = None


class EnvVar(Model):
    name: Annotated[str, Field(min_length=1)]
    value: str | None = None
    value_from: EnvSource | None = None


class NamedSource(Model):
    name: str
    optional: bool = False


class SecretName(Model):
    name: str


class EnvFrom(Model):
    prefix: str | None = None
    secret_ref: NamedSource | None = None
    config_map_ref: NamedSource | None = None


class Resources(Model):
    limits: dict[str, Quantity] = {}
    requests: dict[str, Quantity] = {}
    claims: list[Loose] = []


class ContainerPort(Model):
    container_port: Port
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$")] | None = None
    protocol: Literal["TCP", "UDP", "SCTP"] | None = None
    host_port: Port | None = None
    host_ip: str | None = Field(None, alias="hostIP")


class VolumeMount(Model):
    name: str
    mount_path: str
    read_only: bool = False
    sub_path: str | None = None
    sub_path_expr: str | None = None
    mount_propagation: str | None = None
    recursive_read_only: str | None = None


class SecurityContext(Model):
    run_as_user: Count | None = None
    run_as_group: Count | None = None
    run_as_non_root: bool | None = None
    allow_privilege_escalation: bool | None = None
    read_only_root_filesystem: bool | None = None
    privileged: bool | None = None
    capabilities: Loose | None = None
    seccomp_profile: Loose | None = None
    se_linux_options: Loose | None = None
    app_armor_profile: Loose | None = None
    proc_mount: str | None = None
    windows_options: Loose | None = None


class Container(Model):
    name: DnsLabel
    image: Annotated[str, Field(pattern=r"^\S+$")]
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    command: list[str] = []
    args: list[str] = []
    working_dir: str | None = None
    env: list[EnvVar] = []
    env_from: list[EnvFrom] = []
    ports: list[ContainerPort] = []
    resources: Resources | None = None
    volume_mounts: list[VolumeMount] = []
    security_context: SecurityContext | None = None
    lifecycle: Loose | None = None
    liveness_probe: Loose | None = None
    readiness_probe: Loose | None = None
    startup_probe: Loose | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
    restart_policy: Literal["Always", "OnFailure", "Never"] | None = None
    resize_policy: list[Loose] = []
    volume_devices: list[Loose] = []
    stdin: bool | None = None
    stdin_once: bool | None = None
    tty: bool | None = None


class SecretVolume(Model):
    secret_name: str
    items: list[Loose] = []
    default_mode: int | None = None
    optional: bool = False


class ConfigMapVolume(Model):
    name: str
    items: list[Loose] = []
    default_mode: int | None = None
    optional: bool = False


class Volume(Model):
    name: DnsLabel
    secret: SecretVolume | None = None
    config_map: ConfigMapVolume | None = None
    empty_dir: Loose | None = None
    persistent_volume_claim: Loose | None = None
    host_path: Loose | None = None
    nfs: Loose | None = None
    csi: Loose | None = None
    projected: Loose | None = None
    ephemeral: Loose | None = None
    downward_api: Loose | None = Field(None, alias="downwardAPI")
    image: Loose | None = None
    aws_elastic_block_store: Loose | None = None
    azure_disk: Loose | None = None
    azure_file: Loose | None = None
    cephfs: Loose | None = None
    gce_persistent_disk: Loose | None = None
    iscsi: Loose | None = None


class Toleration(Model):
    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class PodSecurityContext(Model):
    run_as_user: Count | None = None
    run_as_group: Count | None = None
    run_as_non_root: bool | None = None
    fs_group: Count | None = None
    fs_group_change_policy: str | None = None
    supplemental_groups: list[int] = []
    seccomp_profile: Loose | None = None
    se_linux_options: Loose | None = None
    sysctls: list[Loose] = []
    app_armor_profile: Loose | None = None
    supplemental_groups_policy: str | None = None
    se_linux_change_policy: str | None = None
    windows_options: Loose | None = None


class PodSpec(Model):
    containers: Annotated[list[Container], Field(min_length=1)]
    init_containers: list[Container] = []
    volumes: list[Volume] = []
    restart_policy: Literal["Always", "OnFailure", "Never"] | None = None
    node_selector: Labels = {}
    node_name: str | None = None
    tolerations: list[Toleration] = []
    affinity: Loose | None = None
    topology_spread_constraints: list[Loose] = []
    service_account_name: str | None = None
    automount_service_account_token: bool | None = None
    image_pull_secrets: list[SecretName] = []
    security_context: PodSecurityContext | None = None
    priority_class_name: str | None = None
    runtime_class_name: str | None = None
    scheduler_name: str | None = None
    termination_grace_period_seconds: Count | None = None
    active_deadline_seconds: Positive | None = None
    host_network: bool | None = None
    host_pid: bool | None = Field(None, alias="hostPID")
    host_ipc: bool | None = Field(None, alias="hostIPC")
    host_users: bool | None = None
    host_aliases: list[Loose] = []
    hostname: str | None = None
    subdomain: str | None = None
    set_hostname_as_fqdn: bool | None = Field(None, alias="setHostnameAsFQDN")
    share_process_namespace: bool | None = None
    enable_service_links: bool | None = None
    dns_policy: str | None = None
    dns_config: Loose | None = None
    priority: int | None = None
    preemption_policy: Literal["Never", "PreemptLowerPriority"] | None = None
    readiness_gates: list[Loose] = []
    scheduling_gates: list[Loose] = []
    resource_claims: list[Loose] = []
    resources: Resources | None = None
    overhead: dict[str, Quantity] = {}
    os: Loose | None = None


class PodTemplate(Model):
    metadata: PodMeta | None = None
    spec: PodSpec


class LabelSelector(Model):
    match_labels: Labels = {}
    match_expressions: list[Loose] = []


class ConfigMap(Model):
    api_version: str
    kind: str
    metadata: ObjectMeta
    data: Names = {}
    binary_data: Names = {}
    immutable: bool | None = None


class Secret(Model):
    api_version: str
    kind: str
    metadata: ObjectMeta
    type: str = "Opaque"
    data: Names = {}
    string_data: Names = {}
    immutable: bool | None = None
