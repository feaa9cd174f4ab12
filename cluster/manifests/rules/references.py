"""Rules of names that point elsewhere: secrets, config maps, ports that are scraped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from cluster.manifests.pods import HEAD_PORTS, WORKER_PORTS
from cluster.manifests.rules.parts import cluster_spec, kind_of, pods
from cluster.manifests.source import Document, Node, Problem

EXTERNAL_SECRETS = "shopreel.io/external-secrets"
"""Annotation of an object: names of secrets that are made outside the manifests, separated by commas."""

EXTERNAL_CONFIG_MAPS = "shopreel.io/external-config-maps"
"""The same for config maps."""

OF_EVERY_NAMESPACE = ("kube-root-ca.crt",)
"""Config maps that Kubernetes makes itself."""

KUBERAY_PORTS = ("metrics", "gcs-server", "dashboard", "client", "serve")
"""Ports that KubeRay adds to pods which name none."""


def check_references(documents: Sequence[Document]) -> Iterator[Problem]:
    """Problems of names across all documents together."""
    secrets = {name: keys for document in documents for name, keys in _provided(document, "Secret")}
    maps = {name: keys for document in documents for name, keys in _provided(document, "ConfigMap")}
    for document in documents:
        external = _external(document, EXTERNAL_SECRETS)
        for name, key in _uses(document, "secret"):
            if name.text() not in external:
                yield from _missing(name, key, secrets, "Secret", EXTERNAL_SECRETS)
        external = _external(document, EXTERNAL_CONFIG_MAPS) | set(OF_EVERY_NAMESPACE)
        for name, key in _uses(document, "configMap"):
            if name.text() not in external:
                yield from _missing(name, key, maps, "ConfigMap", EXTERNAL_CONFIG_MAPS)
    yield from _scraped_ports(documents)


def _external(document: Document, annotation: str) -> set[str]:
    names = document.root.get("metadata", "annotations", annotation).text() or ""
    return {name.strip() for name in names.split(",")}


def _provided(document: Document, kind: str) -> Iterator[tuple[str, set[str]]]:
    if kind_of(document) == kind:
        root = document.root
        keys = {str(item.key) for part in ("data", "stringData", "binaryData") for item in root.get(part).items()}
        yield str(root.get("metadata", "name").value), keys


def _uses(document: Document, what: str) -> Iterator[tuple[Node, Node | None]]:
    """Name and, where one is asked for, key of every secret or config map that an object uses."""
    if kind_of(document) in ("Secret", "ConfigMap"):
        return
    for node in document.root.walk():
        step = node.path[-1] if node.path else None
        if node.get("optional").value is True or not isinstance(node.value, dict):
            continue
        if step == f"{what}KeyRef":
            yield node.get("name"), node.get("key")
        elif step == f"{what}Ref" or (step == "configMap" and what == "configMap"):
            yield node.get("name"), None
        elif what == "secret" and _is_shown_to_targets(node):
            yield node.get("name"), node.get("key")
        elif what == "secret" and step in ("secret", "authOptions") and node.get("secretName").text():
            yield node.get("secretName"), None
        elif what == "secret" and len(node.path) > 1 and node.path[-2] == "imagePullSecrets":
            yield node.get("name"), None


def _is_shown_to_targets(node: Node) -> bool:
    """Whether a key of a secret is what Prometheus logs in with."""
    return (
        node.path[-1:] == ("bearerTokenSecret",)
        or node.path[-2:-1] == ("basicAuth",)
        or (node.path[-2:] == ("authorization", "credentials"))
    )


def _missing(
    name: Node, key: Node | None, provided: dict[str, set[str]], kind: str, annotation: str
) -> Iterator[Problem]:
    if name.text() is None:
        return  # the models say so
    if name.value not in provided:
        yield name.problem(
            f"no {kind} {name.value} is among the manifests; add it; or list it in the annotation {annotation}"
        )
    elif key is not None and key.text() and key.value not in provided[name.value]:
        there = ", ".join(sorted(provided[name.value])) or "no keys"
        yield key.problem(f"{kind} {name.value} has no key {key.value}; it has: {there}")


def _scraped_ports(documents: Sequence[Document]) -> Iterator[Problem]:
    specs = [spec for spec in map(cluster_spec, documents) if spec is not None]
    names = set(KUBERAY_PORTS) if specs else {*KUBERAY_PORTS, *HEAD_PORTS, *WORKER_PORTS}
    for pod in (pod for spec in specs for pod in pods(spec)):
        for container in pod.get("containers").items():
            names |= {str(port.get("name").value) for port in container.get("ports").items()}
    for document in documents:
        field = {"PodMonitor": "podMetricsEndpoints", "ServiceMonitor": "endpoints"}.get(kind_of(document) or "")
        for endpoint in document.root.get("spec", field).items() if field else ():
            port = endpoint.get("port")
            if port.text() and port.value not in names:
                close = get_close_matches(port.value, names, n=1)
                yield port.problem(
                    f"no pod has a port {port.value}; "
                    + (f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(names))}")
                )
