"""OpenTelemetry traces behind a setting: a request at the door, its calls to the models, their work in the replicas.

Where it is off nothing of OpenTelemetry is loaded here. Spans never name a viewer: routes, not paths, and no arguments.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field

from cluster.errors import InputError
from serving.strict import Strict

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "shopreel.request_id"
FLUSH_MS = 1000
_tracer: Tracer | None = None


class TracingArgs(Strict):
    """Where traces go."""

    endpoint: str = Field(
        "",
        pattern=r"^(|https?://\S+|file:///\S+)$",
        description="OTLP (http://HOST:4318/v1/traces), or a folder for JSON lines (file:///DIR); empty: off.",
    )
    share: float = Field(1.0, ge=0, le=1, description="Of requests that are traced, where the caller does not say.")


def start(args: TracingArgs, service: str) -> None:
    """Trace this process from now on, as shopreel-SERVICE. InputError where what is needed is not installed."""
    global _tracer
    if not args.endpoint or _tracer is not None:
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

        exporter = _exporter(args.endpoint, service)
    except ModuleNotFoundError as error:
        fix = 'pip install "shopreel[otel]"'
        raise InputError(f"tracing.endpoint is set and {error.name} is not installed: {fix}") from error
    resource = Resource.create({"service.name": f"shopreel-{service}"})
    provider = TracerProvider(resource=resource, sampler=ParentBasedTraceIdRatio(args.share))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=FLUSH_MS))
    _tracer = provider.get_tracer("shopreel")


def is_on() -> bool:
    """Whether this process traces."""
    return _tracer is not None


def carried() -> dict[str, Any]:
    """Keyword argument that takes the current span along to a `traced` method; nothing where tracing is off."""
    if _tracer is None:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return {"trace": {**carrier, REQUEST_ID: _current_request_id()}}


@contextmanager
def span(name: str, trace: dict[str, str] | None = None, **attributes: Any) -> Iterator[Span | None]:
    """A span around the block, below the current one or the one in `trace`; None where tracing is off."""
    if _tracer is None:
        yield None
        return
    from opentelemetry import context

    token = context.attach(_above(trace))
    try:
        with _tracer.start_as_current_span(name, attributes={REQUEST_ID: _current_request_id(), **attributes}) as made:
            yield made
    finally:
        context.detach(token)


def traced(name: str) -> Callable[[Callable], Callable]:
    """A replica's method with a span of its own, below the caller's; takes `trace` beside its arguments."""

    def around(method: Callable) -> Callable:
        @functools.wraps(method)
        async def called(self: Any, *args: Any, trace: dict[str, str] | None = None) -> Any:
            with span(name, trace):
                return await method(self, *args)

        @functools.wraps(method)
        async def streamed(self: Any, *args: Any, trace: dict[str, str] | None = None) -> Any:
            # Never the current span: a generator goes on in whatever context its reader has.
            said = {REQUEST_ID: (trace or {}).get(REQUEST_ID, "")}
            made = None if _tracer is None else _tracer.start_span(name, _above(trace), attributes=said)
            try:
                async with contextlib.aclosing(method(self, *args)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:
                if made is not None:
                    made.end()

        return streamed if inspect.isasyncgenfunction(method) else called

    return around


class Tracing:
    """ASGI middleware behind the door, which names requests: a span each, below the caller's own where it sends a
    `traceparent`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        said = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        trace = {**said, REQUEST_ID: scope["request_id"]}
        with span(scope["method"], trace, **{"http.request.method": scope["method"]}) as made:

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    made.set_attribute("http.response.status_code", message["status"])
                await send(message)

            try:
                await self.app(scope, receive, noting)
            finally:
                if (route := getattr(scope.get("route"), "path", None)) is not None:
                    made.update_name(f"{scope['method']} {route}")
                    made.set_attribute("http.route", route)


def _above(trace: dict[str, str] | None) -> Context:
    """The current context, or the one a caller sent along."""
    from opentelemetry import context
    from opentelemetry.baggage import set_baggage
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if trace is None:
        return context.get_current()
    sent = TraceContextTextMapPropagator().extract(trace)
    return set_baggage(REQUEST_ID, trace.get(REQUEST_ID, ""), sent)


def _current_request_id() -> str:
    from opentelemetry.baggage import get_baggage

    return str(get_baggage(REQUEST_ID) or "")


def _exporter(endpoint: str, service: str) -> SpanExporter:
    if endpoint.startswith("http"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(endpoint=endpoint)
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    folder = Path(urlsplit(endpoint).path)
    folder.mkdir(parents=True, exist_ok=True)
    lines = (folder / f"{service}-{os.getpid()}.jsonl").open("a")
    return ConsoleSpanExporter(out=lines, formatter=lambda span: span.to_json(indent=None) + "\n")
