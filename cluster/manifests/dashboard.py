"""The Grafana dashboard: what viewers wait for, what the generator does, how trainings go, what the machines carry."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cluster.manifests.metrics import Metric, own_metrics
from serving.run import APP_NAME

WIDTH, HEIGHT, COLUMNS = 8, 8, 3
_APP = f'application="{APP_NAME}",ray_io_cluster=~"$cluster"'
_ANY = 'ray_io_cluster=~"$cluster"'


@dataclass(frozen=True)
class Panel:
    """One graph."""

    title: str
    unit: str
    """Grafana's name of the unit: reqps, ms, s, percent, bytes, short."""
    queries: tuple[tuple[str, str], ...]
    """PromQL and the legend of its lines."""


def _quantile(share: float, metric: str, labels: str, by: str = "") -> str:
    return f"histogram_quantile({share}, sum by (le{by}) (rate({metric}_bucket{{{labels}}}[5m])))"


def _both(metric: str, labels: str) -> tuple[tuple[str, str], ...]:
    return tuple((_quantile(share, metric, labels), name) for share, name in ((0.5, "p50"), (0.99, "p99")))


def _panel(title: str, unit: str, query: str, by: str) -> Panel:
    """One query, `%s` for the labels of its series, a line for each value of the labels it is summed by."""
    labels = _APP if "ray_serve" in query else _ANY
    return Panel(
        title, unit, ((query.replace("%s", labels), " ".join(f"{{{{{label}}}}}" for label in by.split(", "))),)
    )


SERVING = (
    _panel(
        "Requests by route and status",
        "reqps",
        "sum by (route, status_code) (rate(ray_serve_num_http_requests_total{%s}[5m]))",
        "route, status_code",
    ),
    Panel("Time to answer", "ms", _both("ray_serve_http_request_latency_ms", _APP)),
    _panel(
        "Errors by deployment",
        "reqps",
        "sum by (deployment) (rate(ray_serve_deployment_error_counter_total{%s}[5m]))",
        "deployment",
    ),
    _panel(
        "Processing, p99 by deployment",
        "ms",
        _quantile(0.99, "ray_serve_deployment_processing_latency_ms", "%s", ", deployment"),
        "deployment",
    ),
    _panel(
        "Waiting for a replica",
        "short",
        "sum by (deployment) (ray_serve_deployment_queued_queries{%s})",
        "deployment",
    ),
    _panel(
        "Healthy replicas",
        "short",
        "sum by (deployment) (ray_serve_deployment_replica_healthy{%s})",
        "deployment",
    ),
)

TRAINING = (
    _panel(
        "Runs by state",
        "short",
        "sum by (ray_train_controller_state) (ray_train_controller_state{%s})",
        "ray_train_controller_state",
    ),
    _panel(
        "Blocked by a report",
        "s",
        "sum by (ray_train_run_name) (rate(ray_train_report_total_blocked_time_s{%s}[5m]))",
        "ray_train_run_name",
    ),
    _panel(
        "Starting workers",
        "s",
        "max by (ray_train_run_name) (ray_train_worker_group_start_total_time_s{%s})",
        "ray_train_run_name",
    ),
)

MACHINES = (
    _panel("GPU use", "percent", "avg by (instance) (ray_node_gpus_utilization{%s})", "instance"),
    _panel("Cores and GPUs in use", "short", 'sum by (Name) (ray_resources{State="USED",Name=~"CPU|GPU",%s})', "Name"),
    _panel("Memory in use", "bytes", "sum by (instance) (ray_node_mem_used{%s})", "instance"),
)


def dashboard(name: str) -> str:
    """The dashboard as JSON: shopreel's own metrics first, one graph for each that the code declares."""
    rows = {
        "Clips and slates": tuple(_own(metric) for metric in own_metrics()),
        "Serving": SERVING,
        "Training": TRAINING,
        "Machines": MACHINES,
    }
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in rows.items():
        panels.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}, "panels": []})
        for place, panel in enumerate(row):
            y = top + 1 + place // COLUMNS * HEIGHT
            panels.append(_graph(panel, {"x": place % COLUMNS * WIDTH, "y": y, "w": WIDTH, "h": HEIGHT}))
        top += 1 + -(-len(row) // COLUMNS) * HEIGHT
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    board = {
        "uid": f"{name}-overview",
        "title": name,
        "tags": ["shopreel", "ray"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_data_source(), _cluster()]},
        "panels": panels,
    }
    return json.dumps(board, indent=2) + "\n"


def _own(metric: Metric) -> Panel:
    labels = ", ".join(metric.labels)
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or metric.name
    title = metric.description.rstrip(".")
    if metric.kind == "histogram":
        return Panel(title, "s" if metric.name.endswith("_seconds") else "short", _both(metric.exported, _ANY))
    value = f"{metric.exported}{{{_ANY}}}"
    query = f"rate({value}[5m])" if metric.kind == "counter" else value
    return Panel(title, "cps" if metric.kind == "counter" else "short", ((f"sum by ({labels}) ({query})", legend),))


def _graph(panel: Panel, position: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": "timeseries",
        "title": panel.title,
        "gridPos": position,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend, "datasource": source}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _cluster() -> dict[str, Any]:
    return {
        "name": "cluster",
        "type": "query",
        "label": "Ray cluster",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "query": "label_values(ray_node_mem_used, ray_io_cluster)",
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
