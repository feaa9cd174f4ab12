"""Which scope a route asks for. What is not named here is closed: reading takes `read`, anything else takes `admin`."""

from __future__ import annotations

import re
from typing import Literal

Scope = Literal["read", "render", "write-events", "admin"]

PUBLIC = re.compile(r"/|/docs|/openapi\.json|/storefront/.*|/healthz|/readyz|/v1/session")
"""Pages without data, their description, and what a load balancer asks."""
_SCOPES: tuple[tuple[re.Pattern[str], Scope], ...] = (
    (re.compile(r"POST /v1/(feed|recommend|hosts)"), "read"),
    (re.compile(r"POST /v1/events"), "write-events"),
    (re.compile(r"(POST|DELETE) /v1/(clips|jobs)(/.*)?"), "render"),
    (re.compile(r"(GET|HEAD) .*"), "read"),
)


def scope_of(method: str, path: str) -> Scope | None:
    """Scope a request needs; None where it needs no key."""
    if PUBLIC.fullmatch(path):
        return None
    return next((scope for pattern, scope in _SCOPES if pattern.fullmatch(f"{method} {path}")), "admin")


def allows(scopes: frozenset[str], needed: Scope) -> bool:
    """Whether a key with these scopes may do what needs one; admin may do everything."""
    return needed in scopes or "admin" in scopes
