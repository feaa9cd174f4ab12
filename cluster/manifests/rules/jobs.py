"""Rules of a RayJob: its command, and what Kueue asks of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches

from cluster.manifests.rules import shell
from cluster.manifests.rules.deletion import check_deletion
from cluster.manifests.rules.parts import Offer, kind_of, offers, worker_groups
from cluster.manifests.source import Document, Node, Problem

PROGRAM = "shopreel"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
ELASTIC_ANNOTATION = "kueue.x-k8s.io/elastic-job"
_SHELLS = ("sh", "bash", "/bin/sh", "/bin/bash")
_SUBMITTED_BY_SHELL = (None, "K8sJobMode", "SidecarMode")

CommandError = Callable[[Sequence[str]], str | None]
"""What is wrong with the arguments of `shopreel`; None where nothing is."""


def check_job(document: Document, command_error: CommandError) -> Iterator[Problem]:
    """Problems of a RayJob."""
    if kind_of(document) != "RayJob":
        return
    yield from _entrypoint(document, command_error)
    yield from _mode(document.root.get("spec"))
    yield from check_deletion(document.root.get("spec"))
    yield from _queue(document)


def _mode(spec: Node) -> Iterator[Problem]:
    """What goes with a cluster of the job's own, and what with each way to submit it."""
    mode, retries, selector = spec.get("submissionMode"), spec.get("backoffLimit"), spec.get("clusterSelector")
    submitted_by_hand = mode.value == "InteractiveMode" or spec.get("submitterPodTemplate").value
    if not spec.get("entrypoint").value and not submitted_by_hand:
        yield spec.get("entrypoint").problem(
            "is missing; give the command, such as shopreel train generator --data shop"
        )
    if not spec.get("rayClusterSpec").value and not selector.value:
        yield spec.get("rayClusterSpec").problem("is missing; give it, or a clusterSelector")
    if selector.value and not selector.get("ray.io/cluster").value:
        yield selector.problem("needs the name of a RayCluster under ray.io/cluster")
    if (retries.whole() or 0) > 0 and (selector.value or mode.value == "InteractiveMode"):
        yield retries.problem("goes neither with clusterSelector nor with InteractiveMode; take it out")
    for field in ("submitterPodTemplate", "submitterConfig"):
        if mode.value in ("SidecarMode", "HTTPMode", "InteractiveMode") and spec.get(field).value:
            yield spec.get(field).problem(f"has no effect in {mode.value}; take it out")


def _entrypoint(document: Document, command_error: CommandError) -> Iterator[Problem]:
    line, mode = document.root.get("spec", "entrypoint"), document.root.get("spec", "submissionMode").value
    try:
        listed = shell.words(line.text() or "")
        between = [word for word in listed if word in shell.BETWEEN_COMMANDS]
        if len(listed) == 3 and listed[0] in _SHELLS and listed[1] == "-c":
            listed = shell.words(listed[2])
    except ValueError as error:
        yield line.problem(f"is no command line: {error}")
        return
    if between and mode in _SUBMITTED_BY_SHELL:
        yield line.problem(f"KubeRay's submitter takes {between[0]} for itself, the job ends there; write sh -c '…'")
    for program, *arguments in shell.commands(listed):
        if program != PROGRAM:
            if get_close_matches(program, [PROGRAM]):
                yield line.problem(f"no program {program}; did you mean {PROGRAM}?")
            continue
        reason = command_error(arguments)
        if reason:
            yield line.problem(f"shopreel does not take this command: {reason}")
        elif arguments[:1] == ["train"]:
            yield from _room(line, arguments, offers(document.root.get("spec", "rayClusterSpec")))


def _room(line: Node, arguments: Sequence[str], groups: Sequence[Offer]) -> Iterator[Problem]:
    """A training's workers take a GPU each where there are any, a core each otherwise."""
    asked = re.search(r"--workers[= ](\d+)", " ".join(arguments))
    gpus, cpus = (sum(getattr(group, kind) * group.workers for group in groups) for kind in ("gpus", "cpus"))
    room, resource = (gpus, "GPUs") if gpus else (cpus, "cores")
    if asked and groups and int(asked[1]) > room:
        yield line.problem(f"asks for {asked[1]} workers, the cluster has {room} {resource}; raise its replicas")


def _queue(document: Document) -> Iterator[Problem]:
    metadata, spec = document.root.get("metadata"), document.root.get("spec")
    for label in metadata.get("labels").items():
        if str(label.key).startswith("kueue.x-k8s.io/queue") and label.key != QUEUE_LABEL:
            yield label.problem(f"Kueue knows no such label; did you mean {QUEUE_LABEL}?")
    queue = metadata.get("labels", QUEUE_LABEL)
    if queue.value is None:
        return
    if not spec.get("shutdownAfterJobFinishes").value:
        yield queue.problem("Kueue admits a job only with spec.shutdownAfterJobFinishes: true")
    if spec.get("clusterSelector").value:
        yield spec.get("clusterSelector").problem("a job that Kueue admits cannot use a running cluster")
    cluster = spec.get("rayClusterSpec")
    elastic = metadata.get("annotations", ELASTIC_ANNOTATION).value == "true"
    if cluster.get("enableInTreeAutoscaling").value and not elastic:
        yield cluster.get("enableInTreeAutoscaling").problem(
            f'Kueue reserves a fixed size; set it to false, or annotate the job {ELASTIC_ANNOTATION}: "true"'
        )
    for group in worker_groups(cluster):
        if group.get("groupName").value == "head":
            yield group.get("groupName").problem("Kueue keeps the name head for the head; rename the group")
