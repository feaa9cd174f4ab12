"""Rules of how a RayJob's cluster is taken down."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.manifests.source import Node, Problem

_ORDER = ("DeleteWorkers", "DeleteCluster", "DeleteSelf")
_STAYS_AFTER_DEADLINE = "a job past activeDeadlineSeconds never gets the jobStatus FAILED, so that its cluster stays; "


def check_deletion(spec: Node) -> Iterator[Problem]:
    """Problems of the deletion policies of a RayJob's spec, KubeRay's own among them."""
    shut_down, ttl = spec.get("shutdownAfterJobFinishes"), spec.get("ttlSecondsAfterFinished")
    strategy = spec.get("deletionStrategy")
    rules = list(strategy.get("deletionRules").items())
    policies = [node for node in (strategy.get("onSuccess"), strategy.get("onFailure")) if node.value]
    if (ttl.whole() or 0) > 0 and not shut_down.value:
        yield ttl.problem("needs shutdownAfterJobFinishes: true")
    if rules and shut_down.value:
        yield shut_down.problem("KubeRay takes either this or deletionStrategy.deletionRules")
    if rules and policies:
        yield strategy.problem("KubeRay takes either deletionRules or onSuccess and onFailure")
    if strategy.value and not rules and len(policies) < 2:
        yield strategy.problem("needs deletionRules, or both onSuccess and onFailure")
    for policy in (rule.get("policy") for rule in (*rules, *policies)):
        if policy.value == "DeleteWorkers" and spec.get("rayClusterSpec", "enableInTreeAutoscaling").value:
            yield policy.problem("DeleteWorkers does not go with enableInTreeAutoscaling")
        if policy.value in ("DeleteWorkers", "DeleteCluster") and spec.get("clusterSelector").value:
            yield policy.problem(f"{policy.value} does not go with clusterSelector: the cluster is not the job's own")
        if policy.value == "DeleteNone" and shut_down.value:
            yield policy.problem("DeleteNone does not go with shutdownAfterJobFinishes: true")
    yield from _times(rules)
    if spec.get("activeDeadlineSeconds").whole():
        yield from _deadline(strategy, rules, policies)


def _deadline(strategy: Node, rules: list[Node], policies: list[Node]) -> Iterator[Problem]:
    """Kept clusters are meant where nothing is deleted after a failure either."""
    statuses = [rule.get("condition", "jobStatus") for rule in rules]
    failed = next((status for status in statuses if status.value == "FAILED"), None)
    covered = any(rule.get("condition", "jobDeploymentStatus").value == "Failed" for rule in rules)
    if failed is not None and not covered:
        yield failed.problem(_STAYS_AFTER_DEADLINE + "write jobDeploymentStatus: Failed, which any failure has")
    if any(node.key == "onFailure" and node.get("policy").value != "DeleteNone" for node in policies):
        yield strategy.problem(
            _STAYS_AFTER_DEADLINE + "leave deletionStrategy to shutdownAfterJobFinishes, or write deletionRules"
        )


def _times(rules: list[Node]) -> Iterator[Problem]:
    due: dict[object, dict[str, int]] = {}
    for rule in rules:
        condition, policy = rule.get("condition"), rule.get("policy")
        stated = [status for status in map(condition.get, ("jobStatus", "jobDeploymentStatus")) if status.text()]
        if len(stated) != 1:
            yield condition.problem("needs jobStatus or jobDeploymentStatus, one of them")
        elif policy.value in _ORDER:
            rank, seconds = _ORDER.index(policy.value), condition.get("ttlSeconds").whole() or 0
            earlier = due.setdefault(stated[0].path[-1:] + (stated[0].value,), {})
            if policy.value in earlier:
                yield policy.problem(f"{stated[0].value} has two rules for {policy.value}; take one out")
            elif any((seconds - other) * (rank - _ORDER.index(name)) < 0 for name, other in earlier.items()):
                yield condition.get("ttlSeconds").problem(
                    f"workers go first, then the cluster, then the job: the times of {stated[0].value} are out of order"
                )
            earlier[policy.value] = seconds
