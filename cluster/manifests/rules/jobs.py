"""Rules of a RayJob: its command, and what Kueue asks of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from cluster.manifests.rules.deletion import check_deletion
from cluster.manifests.rules.parts import kind_of, worker_groups
from cluster.manifests.source import Document, Problem

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
ELASTIC_ANNOTATION = "kueue.x-k8s.io/elastic-job"
_BETWEEN_COMMANDS = ("||", "&&", ";", "|", "&")
_SHELLS = ("sh", "bash", "/bin/sh", "/bin/bash")
_SUBMITTED_BY_SHELL = (None, "K8sJobMode", "SidecarMode")

CommandError = Callable[[Sequence[str]], str | None]
"""What is wrong with the arguments of `shopreel`; None where nothing is."""


def check_job(document: Document, command_error: CommandError) -> Iterator[Problem]:
    """Problems of a RayJob."""
    if kind_of(document) != "RayJob":
        return
    yield from _entrypoint(document, command_error)
    yield from check_deletion(document.root.get("spec"))
    yield from _queue(document)


def _entrypoint(document: Document, command_error: CommandError) -> Iterator[Problem]:
    line, mode = document.root.get("spec", "entrypoint"), document.root.get("spec", "submissionMode").value
    try:
        words = _words(line.text() or "")
        parts = [word for word in words if word in _BETWEEN_COMMANDS]
        if len(words) == 3 and words[0] in _SHELLS and words[1] == "-c":
            words = _words(words[2])
    except ValueError as error:
        yield line.problem(f"is no command line: {error}")
        return
    if parts and mode in _SUBMITTED_BY_SHELL:
        yield line.problem(f"KubeRay's submitter takes {parts[0]} for itself, the job ends there; write sh -c '…'")
    for between_words, command in groupby(words, key=_BETWEEN_COMMANDS.__contains__):
        program, *arguments = command
        reason = command_error(arguments) if program == "shopreel" and not between_words else None
        if reason:
            yield line.problem(f"shopreel does not take this command: {reason}")


def _words(line: str) -> list[str]:
    """Words of a shell line, what stands between its commands among them. Raises ValueError for a broken one."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split, words.commenters = True, ""
    return list(words)


def _queue(document: Document) -> Iterator[Problem]:
    metadata, spec = document.root.get("metadata"), document.root.get("spec")
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
