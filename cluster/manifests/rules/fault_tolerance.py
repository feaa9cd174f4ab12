"""Rules of the store outside a Ray cluster that keeps the head's state."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cluster.manifests.source import Node, Problem

REDIS_ADDRESS = re.compile(r"(rediss?://)?[^\s/@,]+:\d+")
"""HOST:PORT; `rediss://` asks for TLS."""

_OF_REDIS = ("redisAddress", "redisUsername", "redisPassword", "externalStorageNamespace")
_SET_BY_KUBERAY = {
    "REDIS_PASSWORD": "redisPassword",
    "REDIS_USERNAME": "redisUsername",
    "RAY_REDIS_ADDRESS": "redisAddress",
}


def check_fault_tolerance(spec: Node) -> Iterator[Problem]:
    """Problems of a cluster's gcsFaultToleranceOptions, KubeRay's own among them."""
    options = spec.get("gcsFaultToleranceOptions")
    head = spec.get("headGroupSpec", "template", "spec", "containers", 0)
    set_by_hand = spec.document.root.get("metadata", "annotations", "ray.io/ft-enabled").value == "true"
    for variable in head.get("env").items():
        field = _SET_BY_KUBERAY.get(str(variable.get("name").value))
        if field and (options.value or not set_by_hand):
            yield variable.problem(f"KubeRay sets it itself; give gcsFaultToleranceOptions.{field}")
    if not isinstance(options.value, dict):
        return
    for credential in (options.get("redisUsername"), options.get("redisPassword")):
        if credential.get("value").value is not None and credential.get("valueFrom").value is not None:
            yield credential.problem("has a value and valueFrom; Kubernetes takes one of them")
    if options.get("backend").value == "rocksdb":
        for field in _OF_REDIS:
            if options.get(field).value:
                yield options.get(field).problem("belongs to Redis; take it out, or write backend: redis")
        return
    address = options.get("redisAddress")
    if not address.value:
        yield address.problem("is needed, such as redis:6379: without it no state is kept")
    elif address.text() and not REDIS_ADDRESS.fullmatch(address.value):
        yield address.problem(f"is {address.value}; write HOST:PORT, such as redis:6379")
    if options.get("storage").value:
        yield options.get("storage").problem("belongs to backend: rocksdb; take it out, or change the backend")
    password = spec.get("headGroupSpec", "rayStartParams", "redis-password")
    if password.value:
        yield password.problem("KubeRay sets it itself; give gcsFaultToleranceOptions.redisPassword")
