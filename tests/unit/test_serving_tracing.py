"""Traces: off by default, and one trace from the door to the models with the request's id where they are on."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving import tracing
from serving.args import TracingArgs
from serving.catalogue import Catalogue
from tests.serving_site import make_site


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Spans of this process as they end."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    yield kept
    provider.shutdown()


class Replica:
    """Two methods of a deployment."""

    @tracing.traced("model.answer")
    async def answer(self, number: int) -> int:
        return number + 1

    @tracing.traced("model.stream")
    async def stream(self, number: int) -> AsyncGenerator[int]:
        for piece in range(number):
            yield piece


def test_off_it_loads_nothing_and_carries_nothing() -> None:
    code = (
        "import sys; from serving import tracing, args; tracing.start(args.TracingArgs(), 'x');"
        "print(tracing.carried(), [name for name in sys.modules if name.startswith('opentelemetry.sdk.trace')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "{} []"
    assert asyncio.run(Replica().answer(1)) == 2


def test_a_request_and_the_work_of_a_replica_are_one_trace(
    spans: InMemorySpanExporter, catalogue: Catalogue, storage, tmp_path
) -> None:
    """The route is named, the viewer is not; the caller's own trace is gone on with; the id is that of the answer."""
    site = make_site(catalogue, storage, f"sqlite:///{tmp_path}/events.db")
    recommend = site.recommender.recommend

    async def remote(*args):
        carried = tracing.carried()  # what calls.py sends to another process
        with tracing.span("call model.answer"):
            assert await Replica().answer(1, **carried) == 2
        return await recommend(*args)

    site.recommender.recommend = remote
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = site("POST", "/v1/recommend", json={"viewer": "mia"}, headers={"traceparent": caller})
    site("DELETE", "/v1/viewers/somebody")
    first, call, request, *others = spans.get_finished_spans()
    assert [first.name, call.name, request.name] == ["model.answer", "call model.answer", "POST /v1/recommend"]
    assert {f"{part.context.trace_id:032x}" for part in (first, call, request)} == {caller.split("-")[1]}
    assert first.parent.span_id == call.parent.span_id == request.context.span_id
    assert {part.attributes[tracing.REQUEST_ID] for part in (first, call, request)} == {answer.headers["x-request-id"]}
    assert request.attributes["http.response.status_code"] == 200
    assert not any("somebody" in part.to_json() or "mia" in part.to_json() for part in (first, call, request, *others))


def test_a_stream_that_is_left_ends_its_span_and_its_work(spans: InMemorySpanExporter) -> None:
    async def read_one() -> int:
        async with contextlib.aclosing(Replica().stream(5, trace={})) as pieces:
            return await anext(pieces)

    assert asyncio.run(read_one()) == 0
    assert [span.name for span in spans.get_finished_spans()] == ["model.stream"]


@pytest.mark.parametrize("endpoint", ["collector:4318", "file://", "ftp://x/y"])
def test_an_endpoint_that_is_none_is_named(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        TracingArgs(endpoint=endpoint)
