"""What an ingress replica counts, for Prometheus at `GET /metrics`.

HTTP figures carry the names of OpenTelemetry's semantic conventions. Every figure has a label `replica`, so that
several ingress replicas behind one address stay apart: sum over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from serving.render_queue import Served

MEDIA_TYPE = "text/plain; version=1.0.0; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_HTTP = ("http_request_method", "http_route", "http_response_status_code")


class Metrics:
    """One registry of figures; nothing in it is shared between instances."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Histogram(
            "http_server_request_duration_seconds",
            "Time until the last byte of an answer.",
            _HTTP,
            buckets=SECONDS,
            registry=registry,
        )
        self.first_bytes = Histogram(
            "http_server_first_byte_seconds",
            "Time until the first byte of an answer.",
            _HTTP,
            buckets=SECONDS,
            registry=registry,
        )
        self.active = Gauge("http_server_active_requests", "Requests being answered.", registry=registry)
        self.renders = Counter(
            "shopreel_renders",
            "Renders asked of the generator, by what became of them.",
            ("outcome", "model"),
            registry=registry,
        )
        self.in_flight = Gauge(
            "shopreel_renders_in_flight", "Renders asked of the generator and not answered yet.", registry=registry
        )
        self.render_seconds = Histogram(
            "shopreel_render_seconds",
            "Time from the start of a clip's batch until it is encoded, by model and the way its network is run.",
            ("model", "backend"),
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "shopreel_render_queue_seconds",
            "Time a clip waited inside a generator replica.",
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "shopreel_render_batch_size",
            "Clips rendered together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.refusals = Counter(
            "shopreel_refused_clips", "Renders not fit to be shown, by fault.", ("reason",), registry=registry
        )
        self.cache_hits = Counter("shopreel_clip_cache_hits", "Clips found in the cache.", ("tier",), registry=registry)
        self.cache_misses = Counter("shopreel_clip_cache_misses", "Clips not found in the cache.", registry=registry)
        self.ahead = Counter(
            "shopreel_clips_ahead", "Clips of a next feed, made ahead or already kept.", ("outcome",), registry=registry
        )
        self.looks = Counter(
            "shopreel_looks_chosen", "Looks chosen for slates, where looks are learned.", ("style",), registry=registry
        )
        self.feeds = Counter("shopreel_feeds", "Feeds answered.", ("degraded",), registry=registry)

    def rendered(self, served: Served, model: str) -> None:
        """Count a render that was made, refused ones included."""
        self.render_seconds.labels(model, served.backend).observe(served.took_s)
        self.queue_seconds.observe(served.waited_s)
        self.batch_size.observe(served.batch)

    def watch(self, name: str, description: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """A gauge that is read when somebody looks: values by `label`."""

        class Watched:
            def collect(self) -> Iterator[Metric]:
                family = GaugeMetricFamily(name, description, labels=(label,))
                for value, number in read().items():
                    family.add_metric((value,), number)
                yield family

        self._registry.register(Watched())

    def text(self, replica: str) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(_Labelled(self._registry, replica))


class _Labelled:
    """A registry with one more label on every sample."""

    def __init__(self, registry: CollectorRegistry, replica: str) -> None:
        self._registry, self._replica = registry, replica

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [
                sample._replace(labels={**sample.labels, "replica": self._replica}) for sample in family.samples
            ]
            yield family
