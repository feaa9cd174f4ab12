"""The outermost layer of the HTTP side: request ids, a bound on bodies, security headers, the last catch of errors."""

from __future__ import annotations

import logging
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import Problem, internal_error

logger = logging.getLogger("ray.serve")

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Door:
    """Pure ASGI middleware; streams bodies through without buffering them."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_headers = Headers(scope=scope)
        request_id = request_headers.get("x-request-id", "")
        if not (0 < len(request_id) <= 64 and request_id.isascii() and request_id.isprintable()):
            request_id = uuid.uuid4().hex
        started = False
        read = 0

        async def bounded_receive() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.max_body_bytes:
                raise self._too_large()
            return message

        async def dressed_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            declared = request_headers.get("content-length", "0")
            if declared.isdigit() and int(declared) > self.max_body_bytes:
                raise self._too_large()
            await self.app(scope, bounded_receive, dressed_send)
        except Problem as problem:
            if started:
                raise
            await problem.response()(scope, receive, dressed_send)
        except Exception:  # noqa: BLE001 - the last door: everything is logged, and the client gets a document
            logger.exception("request %s to %s failed", request_id, scope["path"])
            if started:
                raise
            await internal_error().response()(scope, receive, dressed_send)

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self.max_body_bytes} bytes")
