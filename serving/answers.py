"""What the HTTP documentation says of answers."""

from __future__ import annotations

from typing import Any

from serving import problems
from serving.messages import ProblemDocument

_BINARY = {"schema": {"type": "string", "format": "binary"}}
MP4 = {"content": {"video/mp4": _BINARY}}
MP4_OR_WEBP = {"content": {"video/mp4": _BINARY, "image/webp": _BINARY}}
_PROBLEM = {"content": {problems.MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema()}}}


def responses(*statuses: int, **success: Any) -> dict[int | str, dict[str, Any]]:
    """Problem documents of a route by status, and what its 200 holds where FastAPI cannot tell."""
    answers: dict[int | str, dict[str, Any]] = {
        status: {**_PROBLEM, "description": problems.TITLES[status]} for status in (*statuses, 422, 500, 504)
    }
    return {**answers, 200: success} if success else answers
