"""The storefront's key: a browser cannot send a header with a `<video>`, so the page trades its key for a cookie."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import Response

from serving.door.gate import COOKIE, bearer, unauthorised
from serving.door.ring import KeyRing

LASTS_S = 12 * 3600


def add_session(app: FastAPI, ring: KeyRing | None) -> None:
    """`/v1/session` opens and closes it; where no keys are asked for it has nothing to do."""

    @app.post("/v1/session", tags=["operation"], status_code=204)
    async def open_session(request: Request) -> Response:
        """Keep the key of the Authorization header in a cookie that scripts cannot read, for 12 hours.

        From the cookie a key may read and write events, whatever else it may do.
        """
        answer = Response(status_code=204)
        if ring is None:
            return answer
        text = bearer(request.headers)
        if text is None or await ring.find(text) is None:
            raise unauthorised("the API key is not valid, or not any more", 'error="invalid_token"')
        encrypted = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
        answer.set_cookie(COOKIE, text, max_age=LASTS_S, httponly=True, samesite="strict", secure=encrypted)
        return answer

    @app.delete("/v1/session", tags=["operation"], status_code=204)
    async def close_session() -> Response:
        """Forget the cookie."""
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer
