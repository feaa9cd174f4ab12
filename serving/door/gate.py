"""Who may go on to a route: a key with the right scope, not too often, and not too many at a time."""

from __future__ import annotations

import math
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.door.access import allows, scope_of
from serving.door.keys import ApiKey
from serving.door.rates import TokenBuckets
from serving.door.ring import KeyRing
from serving.door.settings import LimitArgs
from serving.problems import Problem

COOKIE = "shopreel_key"
COOKIE_SCOPES = frozenset({"read", "write-events"})
"""What a key may do from a page's cookie, whatever else it may do: a page that is tricked must not render or erase."""
ALIVE = "/healthz"
BUSY_RETRY_S = 1


class Gate:
    """ASGI middleware in front of the routes: nothing of a body is read before its sender may send it."""

    def __init__(self, app: ASGIApp, *, ring: KeyRing | None, limits: LimitArgs, replicas: int = 1) -> None:
        """`ring`: None where no keys are asked for. `replicas`: ingresses that share a client's rate."""
        self.app = app
        self._ring, self._limits, self._replicas = ring, limits, replicas
        self._buckets = TokenBuckets()
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == ALIVE:
            await self.app(scope, receive, send)
            return
        try:
            await self._check(scope)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._in_flight -= 1

    async def _check(self, scope: Scope) -> None:
        if self._in_flight >= self._limits.in_flight:
            raise Problem(429, "the server is busy; try again", headers={"retry-after": str(BUSY_RETRY_S)})
        needed = scope_of(scope["method"], scope["path"])
        if self._ring is None or needed is None:
            address = scope["client"][0] if scope.get("client") else ""
            self._charge(f"address {address}", self._limits.address_rate, self._limits.address_burst)
            return
        key, scopes = await self._key(self._ring, Headers(scope=scope))
        self._charge(f"key {key.key_id}", key.rate or self._limits.key_rate, self._limits.key_burst)
        if not allows(scopes, needed):
            raise Problem(
                403,
                f"this needs a key with the scope {needed}",
                headers={"www-authenticate": f'Bearer realm="shopreel", error="insufficient_scope", scope="{needed}"'},
            )

    async def _key(self, ring: KeyRing, headers: Headers) -> tuple[ApiKey, frozenset[str]]:
        """The key that was sent, and what it may do here."""
        sent = bearer(headers)
        text = sent or _cookie(headers)
        if text is None:
            raise unauthorised("send an API key as `Authorization: Bearer KEY`")
        key = await ring.find(text)
        if key is None:
            raise unauthorised("the API key is not valid, or not any more", 'error="invalid_token"')
        return key, key.scopes if sent else _narrowed(key.scopes)

    def _charge(self, client: str, rate: float, burst: int) -> None:
        if rate <= 0:
            return
        wait = self._buckets.take(client, rate / self._replicas, max(1.0, burst / self._replicas))
        if wait > 0:
            raise Problem(429, "too many requests; slow down", headers={"retry-after": str(math.ceil(min(wait, 3600)))})


def bearer(headers: Headers) -> str | None:
    """The key of an Authorization header, None where there is none."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" and text.strip() else None


def unauthorised(detail: str, fault: str = "") -> Problem:
    """401, with the challenge RFC 6750 asks for."""
    challenge = ", ".join(part for part in ('Bearer realm="shopreel"', fault) if part)
    return Problem(401, detail, headers={"www-authenticate": challenge})


def _narrowed(scopes: frozenset[str]) -> frozenset[str]:
    return COOKIE_SCOPES if "admin" in scopes else scopes & COOKIE_SCOPES


def _cookie(headers: Headers) -> str | None:
    """The page's key; not for a request that another origin's page has made."""
    origin = headers.get("origin")
    host = headers.get("host")
    if origin not in (None, f"http://{host}", f"https://{host}"):
        return None
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value else None
