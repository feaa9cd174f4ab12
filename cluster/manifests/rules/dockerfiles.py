"""Rules of the Dockerfile: its versions are those of the library and of constraints.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

from cluster.manifests.source import Problem
from cluster.manifests.versions import DISTRIBUTION, library_version, pinned_version

_PYTHON = re.compile(r"^FROM\s+(?:--\S+\s+)*(?:\S*/)?python:(\d+\.\d+(?:\.\d+)?)", re.IGNORECASE)
_RAY = re.compile(r"^FROM\s+(?:--\S+\s+)*(?:\S*/)?rayproject/ray(?:-ml)?:(\d+\.\d+\.\d+)", re.IGNORECASE)
_PIN = re.compile(r"(?<![\w.-])([A-Za-z][\w.-]*)(?:\[[^]]*\])?==([\w.+!]+)")
_VERSION_LABEL = re.compile(r"org\.opencontainers\.image\.version=\"?([^\s\"]+)")
_RAY_LABEL = re.compile(r"\bio\.ray\.version=\"?([^\s\"]+)")


def check_dockerfile(path: Path) -> Iterator[Problem]:
    """Problems of a Dockerfile; pins are compared with the constraints.txt beside it where there is one."""
    constraints = path.with_name("constraints.txt")
    pins = dict(_PIN.findall(constraints.read_text())) if constraints.is_file() else {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        for message in _faults(line, pins):
            yield Problem(str(path), number, "", message)


def _faults(line: str, pins: dict[str, str]) -> Iterator[str]:
    if line.lstrip().startswith("#"):
        return
    python = _PYTHON.match(line)
    wanted = metadata(DISTRIBUTION)["Requires-Python"]
    if python and not SpecifierSet(wanted).contains(python[1] if python[1].count(".") == 2 else f"{python[1]}.99"):
        yield f"Python {python[1]} does not fit requires-python {wanted}"
    for pattern in (_RAY, _RAY_LABEL):
        ray = pattern.search(line)
        if ray and ray[1] != pinned_version("ray"):
            yield f"Ray {ray[1]} is not the pinned {pinned_version('ray')}"
    label = _VERSION_LABEL.search(line)
    if label and label[1] != library_version():
        yield f"the image's version {label[1]} is not that of shopreel, {library_version()}"
    for package, version in _PIN.findall(line):
        if package in pins and pins[package] != version:
            yield f"{package}=={version} is not the {pins[package]} of constraints.txt"
