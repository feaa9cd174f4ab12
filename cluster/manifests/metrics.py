"""Names of the metrics that a running shopreel exports: its own, read from the code, and Ray's."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

PACKAGES = ("cluster", "serving", "trainables", "tuning")
OWN_PREFIX = "shopreel_"
_EXPORTED = re.compile(r"\bray_[a-z][a-z0-9_]*[a-z0-9]\b")
_LABELS = {"ray_io_cluster", "ray_train_run_name", "ray_train_run_id", "ray_train_worker_world_rank"}
_OF_HISTOGRAM = ("_bucket", "_sum", "_count")
_KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram"}


@dataclass(frozen=True)
class Metric:
    """One metric of shopreel's own, declared with Ray's metrics API."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    labels: tuple[str, ...]

    @property
    def exported(self) -> str:
        """Name on Ray's /metrics; histograms carry the suffixes of Prometheus behind it."""
        total = "_total" if self.kind == "counter" and not self.name.endswith("_total") else ""
        return f"ray_{self.name}{total}"


@cache
def own_metrics() -> tuple[Metric, ...]:
    """Every metric that shopreel's code declares, in order of name."""
    found = {}
    for package in PACKAGES:
        for path in Path(find_spec(package).origin).parent.rglob("*.py"):
            text = path.read_text()
            if OWN_PREFIX in text:
                found |= {metric.name: metric for metric in map(_metric, ast.walk(ast.parse(text))) if metric}
    return tuple(found[name] for name in sorted(found))


def _metric(node: ast.AST) -> Metric | None:
    """The metric that a call such as `Counter("shopreel_…", description=…, tag_keys=…)` declares."""
    if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
        return None
    kind = _KINDS.get(getattr(node.func, "attr", getattr(node.func, "id", "")))
    name = node.args[0].value
    if kind is None or not isinstance(name, str) or not name.startswith(OWN_PREFIX):
        return None
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    description = ast.literal_eval(keywords["description"]) if "description" in keywords else name
    labels = ast.literal_eval(keywords["tag_keys"]) if "tag_keys" in keywords else ()
    return Metric(name, kind, description, tuple(labels))


@cache
def exported_names() -> frozenset[str]:
    """Names a query may use: shopreel's own and those of the dashboards that Ray brings with it."""
    from ray.dashboard.modules.metrics import dashboards

    names = set()
    for folder in dashboards.__path__:
        for path in Path(folder).glob("*_panels.py"):
            names |= names_in(path.read_text())
    names |= {metric.exported for metric in own_metrics()}
    bases = {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")}
    bases |= {metric.exported for metric in own_metrics() if metric.kind == "histogram"}
    return frozenset(names | {base + suffix for base in bases for suffix in _OF_HISTOGRAM})


def names_in(text: str) -> set[str]:
    """Names of exported metrics that a query uses."""
    return set(_EXPORTED.findall(text)) - _LABELS
