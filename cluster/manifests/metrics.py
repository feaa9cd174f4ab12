"""Names of the metrics that a running shopreel exports: its own, read from the code, and Ray's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

PACKAGES = ("cluster", "serving", "trainables", "tuning")
OWN_PREFIXES = ("shopreel_", "http_server_")
_NAME = re.compile(r"\b(?:ray|shopreel|http_server)_[a-z][a-z0-9_]*[a-z0-9]\b")
_LABELS = {"ray_io_cluster", "ray_train_run_name", "ray_train_run_id", "ray_train_worker_world_rank"}
_OF_HISTOGRAM = ("_bucket", "_sum", "_count")
_KINDS = {"Counter": "counter", "Gauge": "gauge", "watch": "gauge", "Histogram": "histogram", "Info": "info"}


@dataclass(frozen=True)
class Metric:
    """One metric of shopreel's own, declared with the Prometheus client and exported at `GET /metrics`."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]

    @property
    def exported(self) -> tuple[str, ...]:
        """Names of its series."""
        if self.kind == "histogram":
            return tuple(self.name + suffix for suffix in _OF_HISTOGRAM)
        return (
            {"counter": f"{self.name.removesuffix('_total')}_total", "info": f"{self.name}_info"}.get(
                self.kind, self.name
            ),
        )


@cache
def own_metrics() -> tuple[Metric, ...]:
    """Every metric that shopreel's code declares, in order of name."""
    found: set[Metric] = set()
    for package in PACKAGES:
        for path in Path(find_spec(package).origin).parent.rglob("*.py"):
            text = path.read_text()
            if any(prefix in text for prefix in OWN_PREFIXES):
                found |= set(_declared(ast.parse(text)))
    return tuple(sorted(found, key=lambda metric: metric.name))


def _declared(module: ast.Module) -> Iterator[Metric]:
    """What calls such as `Counter("shopreel_…", …)` declare."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            kind = _KINDS.get(getattr(node.func, "attr", getattr(node.func, "id", "")))
            name = node.args[0].value
            if kind and isinstance(name, str) and name.startswith(OWN_PREFIXES):
                yield Metric(name, kind)


@cache
def exported_names() -> frozenset[str]:
    """Names a query may use: shopreel's own and those of the dashboards that Ray brings with it."""
    from ray.dashboard.modules.metrics import dashboards

    names = set()
    for folder in dashboards.__path__:
        for path in Path(folder).glob("*_panels.py"):
            names |= names_in(path.read_text())
    bases = {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")}
    own = {name for metric in own_metrics() for name in metric.exported}
    return frozenset(names | own | {base + suffix for base in bases for suffix in _OF_HISTOGRAM})


def names_in(text: str) -> set[str]:
    """Names of metrics that a query uses."""
    return set(_NAME.findall(text)) - _LABELS
