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

TOKEN_KEY = "auth_token"
"""Under which KubeRay looks for the token in the secret of authOptions."""

Provided = dict[str, dict[str | None, set[str]]]
"""Keys of secrets or config maps, by name and namespace (None where a manifest names none)."""

KUBERAY_PORTS = ("metrics", "gcs-server", "dashboard", "client", "serve")
"""Ports that KubeRay adds to pods which name none."""


def check_references(documents: Sequence[Document]) -> Iterator[Problem]:
    """Problems of names across all documents together."""
    secrets, maps = _provided(documents, "Secret"), _provided(documents, "ConfigMap")
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


def _provided(documents: Sequence[Document], kind: str) -> Provided:
    found: Provided = {}
    for root in (document.root for document in documents if kind_of(document) == kind):
        keys = {str(item.key) for part in ("data", "stringData", "binaryData") for item in root.get(part).items()}
        space = root.get("metadata", "namespace").text()
        found.setdefault(str(root.get("metadata", "name").value), {})[space] = keys
    return found


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
        elif what == "secret" and step == "secret" and node.get("secretName").text():
            yield node.get("secretName"), None
        elif what == "secret" and step == "authOptions" and node.get("secretName").text():
            name = node.get("secretName")
            yield name, Node(document, name.path, TOKEN_KEY)
        elif what == "secret" and len(node.path) > 1 and node.path[-2] == "imagePullSecrets":
            yield node.get("name"), None


def _is_shown_to_targets(node: Node) -> bool:
    """Whether a key of a secret is what Prometheus logs in with."""
    return (
        node.path[-1:] == ("bearerTokenSecret",)
        or node.path[-2:-1] == ("basicAuth",)
        or (node.path[-2:] == ("authorization", "credentials"))
    )


def _missing(name: Node, key: Node | None, provided: Provided, kind: str, annotation: str) -> Iterator[Problem]:
    if name.text() is None:
        return  # the models say so
    own, spaces = name.document.root.get("metadata", "namespace").text(), provided.get(name.value, {})
    keys = next((keys for space, keys in spaces.items() if own is None or space in (None, own)), None)
    if not spaces:
        yield name.problem(
            f"no {kind} {name.value} is among the manifests; add it; or list it in the annotation {annotation}"
        )
    elif keys is None:
        yield name.problem(f"{kind} {name.value} is in namespace {', '.join(map(str, spaces))}, not in {own}")
    elif key is not None and key.text() and key.value not in keys:
        there = ", ".join(sorted(keys)) or "no keys"
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
