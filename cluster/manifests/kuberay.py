"""RayCluster, RayJob and RayService from a description."""

from __future__ import annotations

import shlex
from typing import Any

from cluster.manifests.description import ClusterDescription, Job
from cluster.manifests.pods import cpu_group, gpu_group, head_group
from cluster.manifests.rules.jobs import QUEUE_LABEL
from cluster.manifests.rules.references import EXTERNAL_SECRETS
from cluster.manifests.serve_config import serve_config
from cluster.manifests.versions import pinned_version


def ray_cluster(description: ClusterDescription) -> dict[str, Any]:
    """A cluster that stands, for `shopreel submit`; it grows and shrinks with its work."""
    groups = [cpu_group(description, description.cpu_workers.min_replicas, description.cpu_workers.max_replicas)]
    if description.gpus:
        groups.append(gpu_group(description, description.gpu_workers.min_replicas, description.gpus))
    spec = {**_cluster(description, groups), **_autoscaling(), **_fault_tolerance(description)}
    return _object(description, "RayCluster", "", spec)


def ray_job(description: ClusterDescription, name: str, job: Job) -> dict[str, Any]:
    """A cluster for one command, of the size the command needs, taken down when it has ended."""
    group = (gpu_group if description.gpus else cpu_group)(description, job.workers, job.workers)
    return _object(
        description,
        "RayJob",
        f"-{name}",
        {
            "entrypoint": _entrypoint(job),
            "submissionMode": "K8sJobMode",
            "backoffLimit": job.retries,
            "activeDeadlineSeconds": job.deadline_s,
            **_deletion(description, job),
            "rayClusterSpec": _cluster(description, [group]),
        },
        labels={QUEUE_LABEL: description.queue} if description.queue else {},
    )


def _entrypoint(job: Job) -> str:
    """One command: KubeRay's submitter puts it into a shell line of its own, which would take `||` for itself."""
    if not job.resume:
        return f"shopreel {job.command}"
    return shlex.join(["sh", "-c", f"shopreel {job.resume} || shopreel {job.command}"])


def _deletion(description: ClusterDescription, job: Job) -> dict[str, Any]:
    """Workers go at once, the head with its logs after `keep_s`; Kueue insists on its own, coarser way.

    A job past its deadline is Failed as a deployment while its Ray job still counts as running, so that rules of
    jobStatus FAILED (onFailure is one) would leave its cluster standing.
    """
    if description.queue:
        return {"shutdownAfterJobFinishes": True, "ttlSecondsAfterFinished": job.keep_s}
    rules = [
        {"policy": policy, "condition": condition | {"ttlSeconds": seconds}}
        for condition in ({"jobStatus": "SUCCEEDED"}, {"jobDeploymentStatus": "Failed"})
        for policy, seconds in (("DeleteWorkers", 0), ("DeleteCluster", job.keep_s))
    ]
    return {"deletionStrategy": {"deletionRules": rules}}


def ray_service(description: ClusterDescription) -> dict[str, Any]:
    """The application on a cluster of its own. A changed cluster comes up beside the old one before traffic moves."""
    replicas = description.service.replicas
    most = max(description.cpu_workers.max_replicas, replicas)
    groups = [cpu_group(description, max(description.cpu_workers.min_replicas, replicas), most)]
    if description.gpus:
        groups.append(gpu_group(description, max(1, description.gpu_workers.min_replicas), description.gpus))
    return _object(
        description,
        "RayService",
        "-serve",
        {
            "upgradeStrategy": {"type": "NewCluster"},
            "excludeHeadPodFromServeSvc": True,
            "rayClusterDeletionDelaySeconds": 120,
            "serveConfigV2": serve_config(description),
            "rayClusterConfig": {
                **_cluster(description, groups),
                **_autoscaling(),
                **_fault_tolerance(description),
            },
        },
    )


def _object(
    description: ClusterDescription, kind: str, suffix: str, spec: dict[str, Any], labels: dict[str, str] | None = None
) -> dict[str, Any]:
    secrets = [description.stores.secret, description.token_secret]
    if kind != "RayJob":
        secrets.append(description.redis.secret)
    metadata: dict[str, Any] = {"name": f"{description.name}{suffix}", "namespace": description.namespace}
    if labels:
        metadata["labels"] = labels
    metadata["annotations"] = {EXTERNAL_SECRETS: ",".join(secret for secret in secrets if secret)}
    return {"apiVersion": "ray.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _cluster(description: ClusterDescription, groups: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = {"rayVersion": pinned_version("ray")}
    if description.token_secret:
        spec["authOptions"] = {"mode": "token", "secretName": description.token_secret}
    return spec | {"headGroupSpec": head_group(description), "workerGroupSpecs": groups}


def _autoscaling() -> dict[str, Any]:
    return {
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2", "upscalingMode": "Default", "idleTimeoutSeconds": 120},
    }


def _fault_tolerance(description: ClusterDescription) -> dict[str, Any]:
    redis = description.redis
    password = {"valueFrom": {"secretKeyRef": {"name": redis.secret, "key": redis.key}}}
    return {"gcsFaultToleranceOptions": {"redisAddress": redis.address, "redisPassword": password}}
