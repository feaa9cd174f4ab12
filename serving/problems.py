"""Errors over HTTP: RFC 9457 problem documents. No stack trace, path or host name ever reaches a client."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cluster.errors import StorageError, StorageReadError
from serving.database import DatabaseError

logger = logging.getLogger("ray.serve")

MEDIA_TYPE = "application/problem+json"
MOST_FIELDS, LONGEST_TEXT = 50, 200
"""Fields an answer names, and characters it repeats of what a client sent."""
TITLES = {
    400: "The request cannot be read",
    401: "An API key is needed",
    403: "The API key may not do this",
    404: "Not found",
    405: "Method not allowed",
    408: "The request took too long to arrive",
    409: "Not possible at the moment",
    413: "The request is too large",
    416: "Range not satisfiable",
    415: "Unsupported media type",
    422: "The request is not valid",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available at the moment",
    504: "The deadline passed",
    507: "Out of storage",
}


class Problem(HTTPException):  # noqa: N818 - the RFC's own word
    """An answer other than success. `errors` names fields: `({"field": "k", "message": "…"}, …)`.

    An HTTPException, as that is what FastAPI lets through while it reads a body.
    """

    def __init__(
        self, status: int, detail: str, *, errors: Sequence[dict[str, str]] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.errors = list(errors)

    @classmethod
    def field(cls, field: str, message: str, status: int = 422) -> Problem:
        """One field at fault."""
        return cls(status, f"{field}: {message}", errors=[{"field": field, "message": message}])

    def response(self) -> JSONResponse:
        """The document itself; `type` is a stable name a program can switch on."""
        title = TITLES.get(self.status_code, "Error")
        body: dict[str, Any] = {
            "type": f"urn:shopreel:problem:{self.status_code}",
            "title": title,
            "status": self.status_code,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = self.errors
        return JSONResponse(body, self.status_code, headers=self.headers, media_type=MEDIA_TYPE)


def from_validation(errors: Sequence[Any]) -> Problem:
    """Pydantic's list of errors as one problem: 400 for a body that is no JSON, 422 for fields."""
    for error in errors:
        if error["type"] == "json_invalid":
            return Problem(400, f"the body is not JSON: {error.get('ctx', {}).get('error', error['msg'])}")
        if tuple(error["loc"]) == ("body",) and isinstance(error.get("input"), bytes):
            return Problem(415, "send the body as application/json")
    fields = [
        {"field": _field_name(error["loc"])[:LONGEST_TEXT], "message": error["msg"].removeprefix("Value error, ")}
        for error in errors[:MOST_FIELDS]
    ]
    return Problem(422, "; ".join(f"{f['field']}: {f['message']}" for f in fields[:5]), errors=fields)


def _field_name(location: Sequence[str | int]) -> str:
    parts = [str(part) for part in location if part not in ("body", "query", "path", "header")]
    return ".".join(parts) or "body"


def install(app: FastAPI) -> None:
    """Turn every error of the application into a problem document."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return from_validation(error.errors()).response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        path = request.url.path[:LONGEST_TEXT]
        detail = {404: f"there is no {path}", 405: f"{path} does not take {request.method}"}
        return Problem(
            error.status_code, detail.get(error.status_code, str(error.detail)), headers=dict(error.headers or {})
        ).response()

    @app.exception_handler(StorageError)
    async def storage(_: Request, error: StorageError) -> JSONResponse:
        logger.error("storage: %s", error)
        if isinstance(error, DatabaseError):
            return Problem(503, "the database does not answer; try again", headers={"retry-after": "2"}).response()
        if isinstance(error, StorageReadError):
            return Problem(
                503, "the server cannot read its storage; try again", headers={"retry-after": "2"}
            ).response()
        return Problem(507, "the server cannot write to its storage; nothing of this request was kept").response()


def internal_error() -> Problem:
    """What a client sees of a fault in the server; the log has the rest."""
    return Problem(500, "the server failed to answer this request; it has been logged")
