"""Rules of one Ray cluster, KubeRay's own among them."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.manifests.rules.parts import amount, cluster_spec, kind_of, pods, worker_groups
from cluster.manifests.source import Document, Node, Problem

LONGEST_NAME = {"RayCluster": 53, "RayJob": 47, "RayService": 47}
"""KubeRay's limits, so that the names of pods and services still fit."""


def check_cluster(document: Document) -> Iterator[Problem]:
    """Problems of the cluster a document describes, if it describes one."""
    spec = cluster_spec(document)
    if spec is None:
        return
    name, longest = document.root.get("metadata", "name"), LONGEST_NAME[kind_of(document)]
    if len(name.text() or "") > longest:
        yield name.problem(f"has {len(name.value)} characters; KubeRay takes {longest} at most")
    yield from _groups(spec)
    for pod in pods(spec):
        yield from _mounts(pod)
        for container in pod.get("containers").items():
            yield from _requests(container)
    if spec.get("autoscalerOptions", "version").value == "v2":
        for pod in pods(spec):
            policy = pod.get("restartPolicy")
            if policy.value not in (None, "Never"):
                yield policy.problem(f"is {policy.value}; autoscaler v2 replaces pods itself: leave it out, or Never")
    if spec.get("autoscalerOptions").value and not spec.get("enableInTreeAutoscaling").value:
        yield spec.get("autoscalerOptions").problem("has no effect; set enableInTreeAutoscaling: true, or leave it out")


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


def _mounts(pod: Node) -> Iterator[Problem]:
    volumes = {volume.get("name").text() for volume in pod.get("volumes").items()}
    for container in (*pod.get("containers").items(), *pod.get("initContainers").items()):
        for mount in container.get("volumeMounts").items():
            name = mount.get("name")
            if name.text() and name.value not in volumes:
                yield name.problem(f"no volume of this pod is called {name.value}; add it to volumes")


def _requests(container: Node) -> Iterator[Problem]:
    for request in container.get("resources", "requests").items():
        limit = container.get("resources", "limits", request.key)
        asked, most = amount(request.value), amount(limit.value)
        if asked is not None and most is not None and asked > most:
            yield request.problem(f"asks for {request.value}, above the limit of {limit.value}")
