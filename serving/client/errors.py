"""What can go wrong with a call, as exceptions: problem documents (RFC 9457) by status, and silent servers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import ValidationError

from cluster.errors import ShopreelError
from serving.messages import ProblemDocument


class ClientError(ShopreelError):
    """A call that did not end well."""


class UnreachableError(ClientError):
    """No server answers at the address, or it stopped in the middle of an answer."""


class ProblemError(ClientError):
    """The server answered with a problem document."""

    def __init__(self, document: ProblemDocument, request_id: str, retry_after_s: float | None) -> None:
        super().__init__(f"{document.status} {document.title}: {document.detail} (request {request_id})")
        self.status, self.title, self.detail = document.status, document.title, document.detail
        self.errors: Sequence[dict[str, str]] = document.errors
        """Fields at fault: `({"field": "k", "message": "…"}, …)`."""
        self.request_id = request_id
        """Under which the server's logs tell of this call."""
        self.retry_after_s = retry_after_s
        """Seconds the server asks to wait; None where it does not say."""


class InvalidError(ProblemError):
    """400, 408, 413, 415, 422: the request has to be changed; `errors` names the fields."""


class AccessError(ProblemError):
    """401, 403: a key is needed, or one with another scope."""


class MissingError(ProblemError):
    """404: there is no such product, clip or job."""


class BusyError(ProblemError):
    """429, after the last try."""


class UnavailableError(ProblemError):
    """503, after the last try."""


class DeadlineError(ProblemError):
    """504: the call's time passed before the server could answer."""


class ServerError(ProblemError):
    """Any other 5xx, a full storage (507) among them."""


class GatewayError(ProblemError):
    """A 5xx that is no problem document: it comes from what stands in front of the server, whose process died or cannot
    be reached. After the last try.
    """


_BY_STATUS: dict[int, type[ProblemError]] = {
    **dict.fromkeys((400, 408, 413, 415, 422), InvalidError),
    **dict.fromkeys((401, 403), AccessError),
    404: MissingError,
    429: BusyError,
    503: UnavailableError,
    504: DeadlineError,
}


def problem_of(response: httpx.Response) -> ProblemError:
    """The exception an answer stands for; its body has been read. A proxy's own page becomes a document too."""
    status = response.status_code
    try:
        document = ProblemDocument.model_validate_json(response.content)
    except ValidationError:
        said = f"the answer is no problem document: {response.text[:200]!r}"
        document = ProblemDocument(type="about:blank", title=response.reason_phrase, status=status, detail=said)
        kind = GatewayError if status >= 500 else _kind(status)
    else:
        kind = _kind(status)
    # Serve's own proxy repeats the header.
    request_id = response.headers.get("x-request-id", "unknown").partition(",")[0]
    return kind(document, request_id, _retry_after_s(response.headers))


def _kind(status: int) -> type[ProblemError]:
    return _BY_STATUS.get(status, ServerError if status >= 500 else ProblemError)


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """RFC 9110 §10.2.3: seconds, or a date."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
