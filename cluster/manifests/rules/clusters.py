"""Rules of one Ray cluster, KubeRay's own among them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster.manifests.rules.fault_tolerance import check_fault_tolerance
from cluster.manifests.rules.parts import cluster_spec, kind_of, pods, worker_groups
from cluster.manifests.rules.pods import check_pod
from cluster.manifests.rules.ray_start import check_start_params
from cluster.manifests.source import Document, Node, Problem

LONGEST_NAME = {"RayCluster": 53, "RayJob": 47, "RayService": 47}
"""KubeRay's limits, so that the names of pods and services still fit."""

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def check_cluster(document: Document) -> Iterator[Problem]:
    """Problems of the cluster a document describes, if it describes one."""
    spec = cluster_spec(document)
    if spec is None:
        return
    yield from _name(document)
    yield from _groups(spec)
    yield from check_fault_tolerance(spec)
    for pod in pods(spec):
        yield from check_pod(pod)
    for group in (spec.get("headGroupSpec"), *worker_groups(spec)):
        yield from _start(group)
    yield from _autoscaler(spec)
    if kind_of(document) != "RayCluster" and spec.get("upgradeStrategy").value:
        yield spec.get("upgradeStrategy").problem("KubeRay takes it in a RayCluster alone; a RayService has its own")


def _name(document: Document) -> Iterator[Problem]:
    name, longest = document.root.get("metadata", "name"), LONGEST_NAME[kind_of(document)]
    if len(name.text() or "") > longest:
        yield name.problem(f"has {len(name.value)} characters; KubeRay takes {longest} at most")
    elif name.text() and not _NAME.fullmatch(name.value):
        yield name.problem(f"is {name.value}; KubeRay takes lower-case letters, digits and '-', a letter first")


def _autoscaler(spec: Node) -> Iterator[Problem]:
    on, version = spec.get("enableInTreeAutoscaling").value, spec.get("autoscalerOptions", "version").value
    if version == "v2":
        for pod in pods(spec):
            policy = pod.get("restartPolicy")
            if policy.value not in (None, "Never"):
                yield policy.problem(f"is {policy.value}; autoscaler v2 replaces pods itself: leave it out, or Never")
    if spec.get("autoscalerOptions").value and not on:
        yield spec.get("autoscalerOptions").problem("has no effect; set enableInTreeAutoscaling: true, or leave it out")
    for group in worker_groups(spec):
        if group.get("suspend").value and on:
            yield group.get("suspend").problem("does not go with enableInTreeAutoscaling")
        for field in ("idleTimeoutSeconds", "priority"):
            if group.get(field).value and not (on and version == "v2"):
                yield group.get(field).problem("needs enableInTreeAutoscaling: true and autoscalerOptions.version: v2")


def _start(group: Node) -> Iterator[Problem]:
    parameters = group.get("rayStartParams")
    yield from check_start_params(parameters)
    for name in ("num-cpus", "num-gpus", "memory", "resources"):
        if parameters.get(name).value and group.get("resources").value:
            yield parameters.get(name).problem("KubeRay takes either this or the group's resources")
    if parameters.get("labels").value is not None:
        yield parameters.get("labels").problem("KubeRay takes them as the group's labels")


def _groups(spec: Node) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for group in worker_groups(spec):
        name = group.get("groupName")
        if name.text() in seen:
            yield name.problem(f"{name.value} is also the name of the group in line {seen[name.value]}; rename one")
        elif name.text():
            seen[name.value] = name.document.line(name.path)
        least, most, now = (group.get(field).whole() for field in ("minReplicas", "maxReplicas", "replicas"))
        if least is not None and most is not None and least > most:
            yield group.get("minReplicas").problem(f"is {least}, above maxReplicas ({most}); lower it, or raise that")
        elif now is not None and most is not None and now > most:
            yield group.get("replicas").problem(f"is {now}, above maxReplicas ({most})")
        elif now is not None and least is not None and now < least:
            yield group.get("replicas").problem(f"is {now}, below minReplicas ({least})")
