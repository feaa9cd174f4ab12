"""Rules of Grafana dashboards: JSON, and metrics that somebody really exports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches

from cluster.manifests.metrics import exported_names, names_in
from cluster.manifests.rules.parts import kind_of
from cluster.manifests.source import Document, Node, Problem

DASHBOARD_LABEL = "grafana_dashboard"
"""Label by which Grafana's sidecar finds dashboards."""


def check_dashboard(document: Document) -> Iterator[Problem]:
    """Problems of the dashboards in a ConfigMap."""
    if kind_of(document) != "ConfigMap" or document.root.get("metadata", "labels", DASHBOARD_LABEL).value is None:
        return
    for file in document.root.get("data").items():
        if file.text() is not None:
            yield from _dashboard(file)


def _dashboard(file: Node) -> Iterator[Problem]:
    try:
        json.loads(file.value)
    except json.JSONDecodeError as error:
        yield _at(file, error.lineno, f"is not valid JSON: {error.msg}")
        return
    known = exported_names()
    for number, line in enumerate(file.value.splitlines(), start=1):
        for name in sorted(names_in(line) - known):
            close = get_close_matches(name, known, n=1)
            yield _at(file, number, f"nothing exports {name}" + (f"; did you mean {close[0]}?" if close else ""))


def _at(file: Node, number: int, message: str) -> Problem:
    """A problem in a line of the text; where that is no block of lines, at the text itself."""
    found = file.problem(message)
    line = found.line + number if file.path in file.document.blocks else found.line
    return Problem(found.file, line, found.where, found.message)
