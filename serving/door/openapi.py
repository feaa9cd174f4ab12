"""What every route has in common in the API's description: keys, and the answers of the door."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from serving.door.access import scope_of
from serving.door.gate import COOKIE
from serving.messages import ProblemDocument
from serving.problems import MEDIA_TYPE, TITLES

_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, where the server asks for one."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "The storefront's key."},
}
_RETRY = {"retry-after": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_CHALLENGE = {"www-authenticate": {"description": "How to ask (RFC 6750).", "schema": {"type": "string"}}}


def describe_door(app: FastAPI, *, keys: bool) -> None:
    """Add the security schemes, each route's scope, and 400, 401, 403, 408, 413 and 429 to `/openapi.json`.

    `keys`: whether they are asked for; where not, every route says that it does without.
    """
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        schema = plain()
        components = schema.setdefault("components", {})
        components["securitySchemes"] = _SCHEMES
        components.setdefault("schemas", {})["ProblemDocument"] = ProblemDocument.model_json_schema()
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                _describe(operation, method.upper(), path, keys)
        return schema

    app.openapi = described  # type: ignore[method-assign]


def _describe(operation: dict[str, Any], method: str, path: str, keys: bool) -> None:
    needed = scope_of(method, path)
    operation["security"] = [] if needed is None else [{"key": [needed]}, {"session": [needed]}]
    if needed is not None and not keys:
        operation["security"].append({})
    statuses = [400, 408, 413] if "requestBody" in operation else []
    statuses += [429] if needed is None else [401, 403, 429]
    for status in statuses:
        answer = operation["responses"].setdefault(str(status), _problem(status))
        if status in (401, 403):
            answer["headers"] = _CHALLENGE
        if status == 429:
            answer["headers"] = _RETRY


def _problem(status: int) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {"description": TITLES[status], "content": content}
