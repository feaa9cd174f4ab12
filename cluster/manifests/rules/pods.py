"""Rules of one pod, Kubernetes' own among them."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from cluster.manifests.rules.parts import amount
from cluster.manifests.source import Node, Problem

_NATIVE_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def check_pod(pod: Node) -> Iterator[Problem]:
    """Problems of a pod's spec."""
    containers = [*pod.get("containers").items(), *pod.get("initContainers").items()]
    yield from _twice(container.get("name") for container in containers)
    yield from _twice(volume.get("name") for volume in pod.get("volumes").items())
    volumes = {volume.get("name").text() for volume in pod.get("volumes").items()}
    for container in containers:
        yield from _mounts(container, volumes)
        yield from _twice(port.get("name") for port in container.get("ports").items())
        yield from _environment(container)
        yield from _resources(container)
        yield from _user(container, pod)


def _twice(names: Iterator[Node]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for name in names:
        if name.text() in seen:
            yield name.problem(f"{name.value} is also the name in line {seen[name.value]}; rename one")
        elif name.text():
            seen[name.value] = name.document.line(name.path)


def _mounts(container: Node, volumes: set[str | None]) -> Iterator[Problem]:
    for mount in container.get("volumeMounts").items():
        name = mount.get("name")
        if name.text() and name.value not in volumes:
            yield name.problem(f"no volume of this pod is called {name.value}; add it to volumes")


def _environment(container: Node) -> Iterator[Problem]:
    variables = list(container.get("env").items())
    yield from _twice(variable.get("name") for variable in variables)
    for variable in variables:
        if variable.get("value").text() and variable.get("valueFrom").value:
            yield variable.problem("has a value and valueFrom; Kubernetes takes one of them")


def _resources(container: Node) -> Iterator[Problem]:
    limits, requests = container.get("resources", "limits"), container.get("resources", "requests")
    for item in (*limits.items(), *requests.items()):
        name = str(item.key)
        if "/" not in name and name not in _NATIVE_RESOURCES and not name.startswith("hugepages-"):
            close = get_close_matches(name, _NATIVE_RESOURCES, n=1)
            hint = f"did you mean {close[0]}?" if close else "write cpu, memory or a name such as nvidia.com/gpu"
            yield item.problem(f"Kubernetes knows no resource {name}; {hint}")
    for request in requests.items():
        asked, most = amount(request.value), amount(limits.get(request.key).value)
        if asked is not None and most is not None and asked > most:
            yield request.problem(f"asks for {request.value}, above the limit of {limits.get(request.key).value}")
    for device in (item for part in (limits, requests) for item in part.items() if "/" in str(item.key)):
        given, asked = amount(limits.get(device.key).value), amount(device.value)
        if asked is not None and asked != asked.to_integral_value():
            yield device.problem(f"is {device.value}; {device.key} is given out whole")
        elif asked is not None and (given is None or asked < given):
            yield device.problem(f"{device.key} needs a limit, and a request that equals it")


def _user(container: Node, pod: Node) -> Iterator[Problem]:
    """The kubelet does not start a container that may not run as root and would."""
    contexts = [container.get("securityContext"), pod.get("securityContext")]  # the container's own wins
    user, restricted = (
        next((context.get(field) for context in contexts if context.get(field).value is not None), None)
        for field in ("runAsUser", "runAsNonRoot")
    )
    if user is not None and user.whole() == 0 and restricted is not None and restricted.value is True:
        yield user.problem("is 0, which is root, beside runAsNonRoot: true; write the image's user, 1000")
