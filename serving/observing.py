"""The layer around the door that measures every answer, also those no route gave, and writes the access log."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.metrics import Metrics

logger = logging.getLogger("ray.serve")

NO_ROUTE = "none"
"""Label of what no route answered: unknown paths, and what the door turned away."""
METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
OTHER = "_OTHER"
"""Label of any other method (as OpenTelemetry has it): a stranger may send as many as they can think of."""
CUT_OFF = 499
"""Status of a request whose client left before the answer began (as nginx counts it)."""


class Observer:
    """Pure ASGI middleware."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        first_byte: float | None = None
        status, request_id = CUT_OFF, ""

        async def timed_send(message: Message) -> None:
            nonlocal first_byte, status, request_id
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                request_id = headers.get("x-request-id", "")
                headers.append("server-timing", f"start;dur={(time.perf_counter() - began) * 1000:.1f}")
            elif first_byte is None and message.get("body"):
                first_byte = time.perf_counter() - began
            await send(message)

        with self._metrics.active.track_inprogress():
            try:
                await self.app(scope, receive, timed_send)
            finally:
                total = time.perf_counter() - began
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                method = scope["method"] if scope["method"] in METHODS else OTHER
                labels = (method, route, str(status))
                self._metrics.requests.labels(*labels).observe(total)
                self._metrics.first_bytes.labels(*labels).observe(total if first_byte is None else first_byte)
                if logger.isEnabledFor(logging.INFO):
                    logger.info(
                        "%s %s %d",
                        *labels[:2],
                        status,
                        extra={
                            "http_method": method,
                            "http_route": route,  # never the path itself: it may name a viewer
                            "http_status": status,
                            "duration_ms": round(total * 1000, 1),
                            "client_request_id": request_id,
                        },
                    )
