"""The parts of manifests that several rules look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cluster.manifests.quantities import parse_quantity
from cluster.manifests.source import Document, Node

_CLUSTER_SPEC = {
    "RayCluster": ("spec",),
    "RayJob": ("spec", "rayClusterSpec"),
    "RayService": ("spec", "rayClusterConfig"),
}
_RESERVED_GPU_SUFFIX = "/gpu"  # nvidia.com/gpu, amd.com/gpu


def kind_of(document: Document) -> str | None:
    return document.root.get("kind").text()


def cluster_spec(document: Document) -> Node | None:
    """The Ray cluster that a RayCluster, RayJob or RayService describes."""
    path = _CLUSTER_SPEC.get(kind_of(document) or "")
    spec = document.root.get(*path) if path else None
    return spec if spec is not None and isinstance(spec.value, dict) else None


def worker_groups(spec: Node) -> Iterator[Node]:
    yield from spec.get("workerGroupSpecs").items()


def pods(spec: Node) -> Iterator[Node]:
    """Pod specs of the head and of every worker group."""
    for group in (spec.get("headGroupSpec"), *worker_groups(spec)):
        yield group.get("template", "spec")


def amount(value: Any) -> Decimal | None:
    """The number of a quantity; None where it is missing or none at all (the models say so)."""
    try:
        return parse_quantity(value) if value is not None else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Offer:
    """What one worker group gives to Ray."""

    name: str
    cpus: Decimal
    gpus: Decimal
    workers: int
    """Workers at most."""


def offer(group: Node, *, autoscaling: bool) -> Offer:
    """Cores and GPUs of one worker as KubeRay passes them to `ray start`, and how many workers there may be."""
    resources, start = group.get("template", "spec", "containers", 0, "resources"), group.get("rayStartParams")

    def of(name: str, parameter: str) -> Decimal:
        stated = amount(start.get(parameter).value)
        if stated is not None:
            return stated
        for part in ("limits", "requests"):
            for item in resources.get(part).items():
                if item.key == name or (name == "gpu" and str(item.key).endswith(_RESERVED_GPU_SUFFIX)):
                    return amount(item.value) or Decimal(0)
        return Decimal(0)

    replicas = group.get("maxReplicas") if autoscaling else group.get("replicas")
    return Offer(
        group.get("groupName").text() or "", of("cpu", "num-cpus"), of("gpu", "num-gpus"), replicas.whole() or 0
    )


def offers(spec: Node) -> list[Offer]:
    autoscaling = bool(spec.get("enableInTreeAutoscaling").value)
    return [offer(group, autoscaling=autoscaling) for group in worker_groups(spec)]
