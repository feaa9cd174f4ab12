"""The Grafana dashboard: what viewers wait for, what the generator does, how trainings go, what the machines carry."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

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


HTTP = (
    _panel(
        "Requests by route and status",
        "reqps",
        "sum by (http_route, http_response_status_code) (rate(http_server_request_duration_seconds_count{%s}[5m]))",
        "http_route, http_response_status_code",
    ),
    _panel(
        "Time to the last byte, p99 by route",
        "s",
        _quantile(0.99, "http_server_request_duration_seconds", "%s", ", http_route"),
        "http_route",
    ),
    Panel("Time to the first byte", "s", _both("http_server_first_byte_seconds", _ANY)),
    _panel("Requests being answered", "short", "sum by (pod) (http_server_active_requests{%s})", "pod"),
    _panel(
        "Feeds, by whether they were degraded",
        "reqps",
        "sum by (degraded) (rate(shopreel_feeds_total{%s}[5m]))",
        "degraded",
    ),
    _panel("Viewers by version", "percentunit", "avg by (version) (shopreel_model_share{%s})", "version"),
)

CLIPS = (
    _panel("Renders by outcome", "cps", "sum by (outcome) (rate(shopreel_renders_total{%s}[5m]))", "outcome"),
    Panel("Time of a render", "s", _both("shopreel_render_seconds", _ANY)),
    Panel("Wait in a generator replica", "s", _both("shopreel_render_queue_seconds", _ANY)),
    Panel("Clips rendered together", "short", _both("shopreel_render_batch_size", _ANY)),
    _panel("Renders in flight", "short", "sum by (pod) (shopreel_renders_in_flight{%s})", "pod"),
    _panel("Refused by the gate", "cps", "sum by (reason) (rate(shopreel_refused_clips_total{%s}[5m]))", "reason"),
    Panel(
        "Clips found in the cache",
        "percentunit",
        (
            (
                f"sum(rate(shopreel_clip_cache_hits_total{{{_ANY}}}[5m])) / (sum(rate("
                f"shopreel_clip_cache_hits_total{{{_ANY}}}[5m])) + sum(rate("
                f"shopreel_clip_cache_misses_total{{{_ANY}}}[5m])))",
                "share",
            ),
        ),
    ),
    _panel("Made ahead of feeds", "cps", "sum by (outcome) (rate(shopreel_clips_ahead_total{%s}[5m]))", "outcome"),
    _panel("Looks chosen", "cps", "sum by (style) (rate(shopreel_looks_chosen_total{%s}[5m]))", "style"),
    _panel("Bytes in the cache", "bytes", "sum by (tier) (shopreel_clip_cache_bytes{%s})", "tier"),
    _panel("Replicas", "short", "max by (deployment) (shopreel_replicas{%s})", "deployment"),
)

SERVE = (
    _panel(
        "Waiting for a replica",
        "short",
        "sum by (deployment) (ray_serve_deployment_queued_queries{%s})",
        "deployment",
    ),
    _panel(
        "Processing, p99 by deployment",
        "ms",
        _quantile(0.99, "ray_serve_deployment_processing_latency_ms", "%s", ", deployment"),
        "deployment",
    ),
    _panel(
        "Errors by deployment",
        "reqps",
        "sum by (deployment) (rate(ray_serve_deployment_error_counter_total{%s}[5m]))",
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
    """The dashboard as JSON."""
    rows = {
        "Answers": HTTP,
        "Clips": CLIPS,
        "Ray Serve": SERVE,
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
