"""HEAD wherever there is GET, as RFC 9110 §9.3.2 has it: the same answer without its body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODILESS = "shopreel.bodiless"
"""Set in the scope of a GET whose body nobody will see: a route that would work for it may leave that."""


class Heads:
    """Pure ASGI middleware right in front of the routes, which know GET alone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        asked = {**scope, "method": "GET", BODILESS: True}
        try:
            await self.app(asked, receive, without_body)
        finally:
            if "route" in asked:  # what figures and traces name the request by
                scope["route"] = asked["route"]
