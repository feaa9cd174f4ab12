"""The cluster file of `ray up`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from cluster.manifests.models.base import Count, Loose, Model, Positive


class _RayModel(Model):
    model_config = ConfigDict(alias_generator=None, strict=True, frozen=True)


class Provider(_RayModel):
    type: Literal["aws", "local"]
    region: str | None = None
    availability_zone: str | None = None
    cache_stopped_nodes: bool | None = None
    security_group: Loose | None = None
    use_internal_ips: bool | None = None
    head_ip: str | None = None
    worker_ips: list[str] = []


class Auth(_RayModel):
    ssh_user: str
    ssh_private_key: str | None = None
    ssh_proxy_command: str | None = None


class Docker(_RayModel):
    image: str
    container_name: str
    pull_before_run: bool = True
    run_options: list[str] = []
    head_image: str | None = None
    head_run_options: list[str] = []
    worker_image: str | None = None
    worker_run_options: list[str] = []
    disable_automatic_runtime_detection: bool = False
    disable_shm_size_detection: bool = False


class NodeType(_RayModel):
    node_config: Loose
    resources: dict[str, Annotated[float, Field(ge=0)]] = {}
    min_workers: Count = 0
    max_workers: Count | None = None
    docker: Loose | None = None
    labels: Loose | None = None


class RayUpCluster(_RayModel):
    cluster_name: str
    provider: Provider
    auth: Auth
    docker: Docker
    max_workers: Count
    min_workers: Count | None = None
    upscaling_speed: Annotated[float, Field(ge=0)] | None = None
    idle_timeout_minutes: Positive | None = None
    available_node_types: dict[str, NodeType] = {}
    head_node_type: str | None = None
    head_start_ray_commands: list[str] = []
    worker_start_ray_commands: list[str] = []
    initialization_commands: list[str] = []
    setup_commands: list[str] = []
    head_setup_commands: list[str] = []
    worker_setup_commands: list[str] = []
    file_mounts: dict[str, str] = {}
    cluster_synced_files: list[str] = []
    rsync_exclude: list[str] = []
    rsync_filter: list[str] = []
