"""Rules of how requests reach a RayService, and how they move to a changed one."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.manifests.source import Node, Problem

DEFAULT_PORT = 8000
"""Serve's, where http_options names none."""


def check_traffic(spec: Node, http: Node) -> Iterator[Problem]:
    """Problems of a RayService's spec and of the http_options in its serveConfigV2."""
    yield from _upgrade(spec)
    if not spec.get("serveService").value:
        yield from _port(spec.get("rayClusterConfig", "headGroupSpec"), http)


def _port(head: Node, http: Node) -> Iterator[Problem]:
    """The service points to the container's port, so Serve must listen there, on the pod's address."""
    ports = head.get("template", "spec", "containers", 0, "ports")
    named = {str(port.get("name").value): port.get("containerPort") for port in ports.items()}
    if not any(name == "serve" or name.startswith("serve-") for name in named) and ports.value:
        yield ports.problem("needs a port with the name serve; without it KubeRay makes no service for the application")
    stated, listened = named.get("serve"), http.get("port").whole() or DEFAULT_PORT
    if stated is not None and stated.whole() not in (None, listened):
        yield stated.problem(f"is {stated.value}, but Serve listens on {listened} (http_options.port); make them equal")
    if http.get("host").value in ("127.0.0.1", "localhost"):
        yield http.get("host").problem("is reached from inside the pod alone; write 0.0.0.0")


def _upgrade(spec: Node) -> Iterator[Problem]:
    strategy = spec.get("upgradeStrategy")
    options = strategy.get("clusterUpgradeOptions")
    if strategy.get("type").value != "NewClusterWithIncrementalUpgrade":
        if options.value:
            yield options.problem("has no effect; write type: NewClusterWithIncrementalUpgrade, or take it out")
        return
    if not options.value:
        yield strategy.get("type").problem("needs clusterUpgradeOptions")
    if not spec.get("rayClusterConfig", "enableInTreeAutoscaling").value:
        yield strategy.get("type").problem("needs enableInTreeAutoscaling: true")
    step, surge = options.get("stepSizePercent").whole(), options.get("maxSurgePercent").whole()
    if step is not None and step > (100 if surge is None else surge):
        yield options.get("stepSizePercent").problem(f"is {step}, above maxSurgePercent ({surge})")
