"""Rules of a RayService: its serveConfigV2 against Ray's schema, the application in the code, and the cluster."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cluster.errors import InputError
from cluster.manifests.models.base import unknown_fields
from cluster.manifests.rules.parts import Offer, cluster_spec, kind_of, offers
from cluster.manifests.rules.traffic import check_traffic
from cluster.manifests.source import Document, Node, Problem, UnreadableError

if TYPE_CHECKING:
    from ray.serve.schema import DeploymentSchema

OWN_PACKAGES = ("cluster", "serving", "trainables", "tuning")
APPLICATION = "serving.app:build"


def check_service(document: Document) -> Iterator[Problem]:
    """Problems of a RayService."""
    text = document.root.get("spec", "serveConfigV2")
    if kind_of(document) != "RayService" or text.text() is None:
        return
    try:
        config = document.embedded(text.path, text.value)
    except UnreadableError as error:
        yield error.problem
        return
    yield from config.twice()
    yield from _schema(config)
    yield from _unique(config, "name", "default")
    yield from _unique(config, "route_prefix", "/")
    yield from _routes(config)
    cluster = cluster_spec(document)
    yield from check_traffic(document.root.get("spec"), config.root.get("http_options"))
    for application in config.root.get("applications").items():
        yield from _application(application, offers(cluster) if cluster is not None else [])


def _schema(config: Document) -> Iterator[Problem]:
    from ray.serve.schema import ServeDeploySchema

    for path, hint in unknown_fields(ServeDeploySchema, config.value):
        yield config.problem(path, f"Ray Serve knows no such field; {hint}")
    applications = list(config.root.get("applications").items())
    shapeless = [
        node
        for node in (*applications, *(entry for part in applications for entry in part.get("deployments").items()))
        if not isinstance(node.value, dict)
    ]
    if shapeless:  # on which Ray's schema breaks
        yield from (node.problem("must be a mapping") for node in shapeless)
        return
    try:
        ServeDeploySchema.model_validate(config.value)
    except ValidationError as error:
        for fault in error.errors():
            if fault["loc"] != ("applications",):  # names and routes that occur twice are pointed at below
                yield config.problem(fault["loc"], fault["msg"])


def _unique(config: Document, field: str, default: str) -> Iterator[Problem]:
    """`default` is Ray's for a field that is missing; null, a route to nowhere, may occur twice."""
    seen: dict[str, int] = {}
    for application in config.root.get("applications").items():
        node = application.get(field)
        value = node.value if isinstance(application.value, dict) and field in application.value else default
        if not isinstance(value, str):
            continue
        if value in seen:
            yield node.problem(f"{value} is also the {field} of the application in line {seen[value]}; change one")
        else:
            seen[value] = config.line(node.path)


def _routes(config: Document) -> Iterator[Problem]:
    for application in config.root.get("applications").items():
        route = application.get("route_prefix")
        if route.text() and (not route.value.startswith("/") or (route.value != "/" and route.value.endswith("/"))):
            yield route.problem(f"is {route.value}; a route begins with '/' and does not end with one, such as /shop")


def _application(application: Node, groups: list[Offer]) -> Iterator[Problem]:
    import_path = application.get("import_path")
    if import_path.text() is None:
        return  # the schema says so
    if import_path.value != APPLICATION:
        yield from _importable(import_path)
        return
    from ray.serve.deployment import deployment_to_schema

    from serving.app import deployments
    from serving.args import AppArgs

    args = AppArgs(data="-", storage_root="-", tracking_uri="-", event_store_url="-")  # where the given ones are wrong
    given = application.get("args")
    for path, hint in unknown_fields(AppArgs, given.value):
        yield given.get(*path).problem(f"the application takes no such argument; {hint}")
    try:
        AppArgs.model_validate(given.value)
        args = AppArgs.parse(given.value)
    except ValidationError as error:
        for fault in error.errors():
            if fault["type"] != "extra_forbidden":
                yield given.get(*fault["loc"]).problem(fault["msg"])
    except InputError as error:
        yield given.problem(str(error))
    built = {name: deployment_to_schema(part) for name, part in deployments(args).items()}
    yield from _deployments(application, built, groups)


def _importable(import_path: Node) -> Iterator[Problem]:
    """An application of ours must be there; other people's code is not imported."""
    module, _, attribute = import_path.value.replace(":", ".").rpartition(".")
    if module.partition(".")[0] not in OWN_PACKAGES:
        return
    try:
        found = hasattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError:
        found = False
    if not found:
        yield import_path.problem(f"{import_path.value} is not in shopreel; the application is {APPLICATION}")


def _deployments(application: Node, built: Mapping[str, DeploymentSchema], groups: list[Offer]) -> Iterator[Problem]:
    entries: dict[str, Node] = {}
    for entry in application.get("deployments").items():
        name = entry.get("name")
        if name.text() in entries:
            yield name.problem(f"{name.value} has two entries; Serve keeps the last, take one out")
        elif name.text() in built:
            entries[name.value] = entry
        elif name.text():
            close = get_close_matches(name.value, built, n=1)
            yield name.problem(
                f"the application has no deployment {name.value}; "
                + (f"did you mean {close[0]}?" if close else f"it has: {', '.join(sorted(built))}")
            )
    for name, deployment in built.items():
        yield from _resources(application, entries.get(name), deployment, groups)


def _resources(
    application: Node, entry: Node | None, deployment: DeploymentSchema, groups: list[Offer]
) -> Iterator[Problem]:
    """What one replica asks for, and all of them together, against what the worker groups give."""
    options: dict[str, Any] = deployment.ray_actor_options.model_dump(exclude_unset=True)
    if entry is not None and isinstance(entry.get("ray_actor_options").value, dict):
        options = entry.get("ray_actor_options").value
    asked = {"GPU": _number(options.get("num_gpus", 0)), "CPU": _number(options.get("num_cpus", 1))}
    if None in asked.values():
        return  # not a number; the schema says so
    if not any(asked.values()):
        yield _place(application, entry, "num_cpus").problem(
            f"a replica of {deployment.name} asks for neither CPU nor GPU, so Ray may put it on the head; "
            "set ray_actor_options.num_cpus"
        )
    most = _most_replicas(entry, deployment)
    stated = entry.get("max_replicas_per_node").whole() if entry is not None else None
    on_a_node = math.inf if stated is None else stated
    for resource, need in asked.items():
        given = {group.name: group.gpus if resource == "GPU" else group.cpus for group in groups}
        asks = f"a replica of {deployment.name} asks for {need} {resource}"
        place = _place(application, entry, f"num_{resource.lower()}s")
        if need and not any(given.values()):
            yield place.problem(f"{asks}, but no worker group has any; add a group, or ask for none")
        elif need and need > max(given.values()):
            yield place.problem(f"{asks}, the largest worker has {max(given.values())}")
        elif need and most is not None:
            total = sum(min(int(given[group.name] / need), on_a_node) * group.workers for group in groups)
            if total < most:
                spread = "" if math.isinf(on_a_node) else f", {on_a_node} on a node"
                yield place.problem(
                    f"up to {most} replicas of {deployment.name} ask for {need} {resource} each{spread}; "
                    f"the worker groups have room for {total}: raise maxReplicas, or lower max_replicas"
                )


def _number(value: Any) -> Decimal | None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return Decimal(str(value))


def _most_replicas(entry: Node | None, deployment: DeploymentSchema) -> int | None:
    """Replicas under load; None where Ray chooses."""
    if entry is not None:
        scaling = entry.get("autoscaling_config")
        stated = scaling.get("max_replicas") if scaling.value else entry.get("num_replicas")
        if stated.whole() is not None:
            return stated.whole()
    built = deployment.model_dump(exclude_unset=True)
    return (built.get("autoscaling_config") or {}).get("max_replicas", built.get("num_replicas"))


def _place(application: Node, entry: Node | None, name: str) -> Node:
    """Where a replica's resource is written: at its deployment, or among the application's arguments."""
    if entry is not None:
        return entry.get("ray_actor_options", name)
    stated = [node for node in application.get("args").walk() if node.path[-1] == name]
    return stated[0] if stated else application.get("args")
