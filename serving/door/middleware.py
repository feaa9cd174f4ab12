"""The outermost layer of the HTTP side: request ids, bounds on bodies, security headers, the last catch of errors."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import Problem, internal_error

logger = logging.getLogger("ray.serve")

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
DIGITS = 18
"""Of a length that is still worth reading as a number."""
FORM_OVERHEAD_BYTES = 64 * 1024
_UPLOADS = frozenset({"/v1/clips"})
_VIEWER = re.compile(r"(?<=/v1/viewers/).+", re.DOTALL)


class Door:
    """Pure ASGI middleware; streams bodies through without buffering them."""

    def __init__(
        self, app: ASGIApp, *, json_bytes: int, upload_bytes: int, body_seconds: float, embeddable: bool = False
    ) -> None:
        """Bounds of a body, and of the time it may take to arrive; `embeddable`: other origins may show clips."""
        self.app = app
        self._json_bytes, self._form_bytes = json_bytes, upload_bytes + FORM_OVERHEAD_BYTES
        self._body_seconds = body_seconds
        self._headers = {
            **SECURITY_HEADERS,
            "cross-origin-resource-policy": "cross-origin" if embeddable else "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")
        if not (0 < len(request_id) <= 64 and request_id.isascii() and request_id.isprintable()):
            request_id = uuid.uuid4().hex
        scope["request_id"] = request_id
        started = False

        async def dressed_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                answer = MutableHeaders(scope=message)
                answer["x-request-id"] = request_id
                for name, value in self._headers.items():
                    answer.setdefault(name, value)
                if scope["path"].startswith("/v1/"):
                    answer.setdefault("cache-control", "no-store")
            await send(message)

        try:
            form = headers.get("content-type", "").lower().startswith("multipart/form-data")
            most = self._form_bytes if form and scope["path"] in _UPLOADS else self._json_bytes
            declared = headers.get("content-length", "0")
            if declared.isdecimal() and (len(declared) > DIGITS or int(declared) > most):
                raise _too_large(most)
            await self.app(scope, self._bounded(receive, most), dressed_send)
        except Problem as problem:
            if started:
                raise
            await problem.response()(scope, receive, dressed_send)
        except ClientDisconnect:
            logger.info("request %s was given up by its client before it had arrived", request_id)
        except Exception:  # noqa: BLE001 - the last door: everything is logged, and the client gets a document
            logger.exception("request %s to %s failed", request_id, _VIEWER.sub("…", scope["path"]))
            if started:
                raise
            await internal_error().response()(scope, receive, dressed_send)

    def _bounded(self, receive: Receive, most: int) -> Callable[[], Awaitable[Message]]:
        """The body as it arrives, until it is too large or too slow."""
        read, whole = 0, False
        deadline = asyncio.get_running_loop().time() + self._body_seconds

        async def bounded() -> Message:
            nonlocal read, whole
            try:
                async with asyncio.timeout_at(None if whole else deadline):
                    message = await receive()
            except TimeoutError as error:
                raise Problem(408, f"the body did not arrive within {self._body_seconds:g} s") from error
            whole = not message.get("more_body", False)
            read += len(message.get("body", b""))
            if read > most:
                raise _too_large(most)
            return message

        return bounded


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is larger than {most} bytes")
