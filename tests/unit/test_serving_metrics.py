"""What an operator sees of the HTTP side: figures, timings and log lines."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import Metrics
from serving.render_queue import Served
from serving.replica_counts import ReplicaCounts
from tests.serving_site import Site


def figures(text: str) -> dict[tuple[str, str], float]:
    """Values by sample name and labels (without replica and bucket)."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(v for k, v in sorted(sample.labels.items()) if k not in ("replica", "le"))
            found[sample.name, labels] = sample.value
    return found


def test_answers_are_counted_by_route_and_status(site: Site) -> None:
    """The route, never the path: a path may name a product or a viewer, and there is no end of them."""
    site("GET", "/v1/products/p00/similar")
    site("GET", "/v1/products/p01/similar")
    site("GET", "/v1/products/nope/similar")
    site("GET", "/no/such/page")
    site("HEAD", "/healthz")
    found = figures(site("GET", "/metrics").text)
    name = "http_server_request_duration_seconds_count"
    assert {labels: value for (sample, labels), value in found.items() if sample == name} == {
        "GET,200,/v1/products/{product_id:path}/similar": 2,
        "GET,404,/v1/products/{product_id:path}/similar": 1,
        "GET,404,none": 1,
        "HEAD,200,/healthz": 1,
    }


def test_what_the_door_turns_away_is_counted_too(site: Site) -> None:
    site("POST", "/v1/events", content=b"x" * 10**7, headers={"content-type": "application/json"})
    found = figures(site("GET", "/metrics").text)
    assert found["http_server_request_duration_seconds_count", "POST,413,none"] == 1


def test_methods_that_strangers_think_of_are_counted_as_one(site: Site) -> None:
    for number in range(5):
        site(f"BREW{number}", "/v1/feed")
    found = figures(site("GET", "/metrics").text)
    assert {labels for name, labels in found if name == "http_server_first_byte_seconds_count"} == {
        "_OTHER,405,/v1/feed"
    }


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
def test_a_client_that_leaves_while_it_sends_is_no_fault_of_the_server(
    site: Site, caplog: pytest.LogCaptureFixture, content_type: str
) -> None:
    arriving = iter([{"type": "http.request", "body": b"--x", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[dict] = []

    async def receive() -> dict:
        return next(arriving)

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/clips",
        "raw_path": b"/v1/clips",
        "query_string": b"",
        "headers": [(b"content-type", content_type.encode())],
    }
    asyncio.run(site.app(scope, receive, send))
    assert sent == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    found = figures(site("GET", "/metrics").text)
    assert found["http_server_request_duration_seconds_count", "POST,499,/v1/clips"] == 1


def test_cache_hits_by_tier_and_misses(site: Site) -> None:
    body = {"product_id": "p00", "style": "neon"}
    for _ in range(3):
        site("POST", "/v1/clips", json=body)
    site.shop._renders._cache._memory.clear()
    site("POST", "/v1/clips", json=body)
    found = figures(site("GET", "/metrics").text)
    assert found["shopreel_clip_cache_misses_total", ""] == 1
    assert found["shopreel_clip_cache_hits_total", "memory"] == 2
    assert found["shopreel_clip_cache_hits_total", "storage"] == 1


def test_degraded_feeds_are_counted(site: Site) -> None:
    site("POST", "/v1/feed", json={"viewer": "x", "k": 1})
    site.generator.failure = RuntimeError("no GPU")
    site("POST", "/v1/feed", json={"viewer": "x", "k": 2})
    found = figures(site("GET", "/metrics").text)
    assert (found["shopreel_feeds_total", "false"], found["shopreel_feeds_total", "true"]) == (1, 1)


def test_figures_of_replicas_stay_apart_and_gauges_are_read_when_asked() -> None:
    metrics, sizes = Metrics(), {"memory": 1.0}
    metrics.watch("shopreel_clip_cache_bytes", "Bytes.", "tier", lambda: sizes)
    metrics.rendered(Served(b"", waited_s=0.5, took_s=0.2, batch=3, backend="bfloat16"), "generator/3")
    sizes["memory"] = 7.0
    text = metrics.text("abc").decode()
    assert 'shopreel_clip_cache_bytes{replica="abc",tier="memory"} 7.0' in text
    found = figures(text)
    assert found["shopreel_render_batch_size_sum", ""] == 3
    assert found["shopreel_render_queue_seconds_sum", ""] == 0.5
    assert found["shopreel_render_seconds_sum", "bfloat16,generator/3"] == 0.2


def test_a_controller_that_does_not_answer_costs_its_own_figure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the figures are read, one question waits for it; once it answers, the figure is back."""
    monkeypatch.setattr("serving.replica_counts.PATIENCE_S", 0.01)
    metrics, asked, back = Metrics(), [], threading.Event()

    def controller() -> dict[str, float]:
        asked.append(True)
        assert back.wait(30)
        return {"generator": 2.0}

    metrics.watch("shopreel_replicas", "Replicas.", "deployment", ReplicaCounts(controller))
    metrics.feeds.labels("false").inc()
    for _ in range(3):
        found = figures(metrics.text("a").decode())
        assert found["shopreel_feeds_total", "false"] == 1
        assert ("shopreel_replicas", "generator") not in found
    assert len(asked) == 1
    back.set()
    monkeypatch.setattr("serving.replica_counts.PATIENCE_S", 30)
    assert figures(metrics.text("a").decode())["shopreel_replicas", "generator"] == 2


def test_stages_of_a_feed_are_in_server_timing(site: Site) -> None:
    timing = site("POST", "/v1/feed", json={"viewer": "x", "k": 1}).headers["server-timing"]
    assert [part.strip().partition(";")[0] for part in timing.split(",")] == ["recommend", "render", "total", "start"]


def test_log_line_of_a_request_has_its_id_and_no_path(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ray.serve"):
        site("GET", "/v1/products/secret-product/clip", headers={"x-request-id": "abc"})
    (line,) = [record for record in caplog.records if hasattr(record, "http_route")]
    said: dict[str, Any] = vars(line)
    assert (said["client_request_id"], said["http_status"]) == ("abc", 404)
    assert said["http_route"] == "/v1/products/{product_id:path}/clip"
    assert "secret-product" not in line.getMessage()
