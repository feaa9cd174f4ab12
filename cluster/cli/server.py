"""A running server as commands speak to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.errors import InputError, ShopreelError

if TYPE_CHECKING:
    import httpx

Url = Annotated[str, typer.Option(help="Base URL of the server.")]
Key = Annotated[str | None, typer.Option(envvar="SHOPREEL_API_KEY", help="API key, where the server asks for one.")]
LOCAL = "http://127.0.0.1:8000"
TIMEOUT_S = 130.0
"""A version is loaded and checked before the answer."""


def connect(url: str, key: str | None) -> httpx.Client:
    """A client of the server at `url`. InputError for a key that no header can carry."""
    import httpx

    if key and not key.isascii():
        raise InputError("--key (SHOPREEL_API_KEY) has characters that no key has; give it as `shopreel keys` made it")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT_S)


def ask(client: httpx.Client, method: str, path: str, **arguments: Any) -> httpx.Response:
    """A successful answer; ShopreelError with the server's reason for any other, or where no server answers."""
    answer = _sent(client, method, path, **arguments)
    if not answer.is_success:
        raise ShopreelError(_reason(answer))
    if answer.headers.get("content-type", "").startswith("text/html"):
        raise ShopreelError(f"{client.base_url} answers {path} with a web page: it is no shopreel; give its address")
    return answer


def why_not_ready(client: httpx.Client) -> str | None:
    """The server's reason, None where it is ready; ShopreelError where no server answers."""
    answer = _sent(client, "GET", "/readyz")
    return None if answer.is_success else _reason(answer)


def _sent(client: httpx.Client, method: str, path: str, **arguments: Any) -> httpx.Response:
    import httpx

    try:
        answer = client.request(method, path, **arguments)
    except httpx.HTTPError as error:
        fix = "start it with `shopreel serve`, or give its address"
        raise ShopreelError(f"no server answers at {client.base_url} ({error}); {fix}") from error
    if answer.status_code in (401, 403):
        raise ShopreelError(f"{client.base_url}: {_reason(answer)}; give a key with --key or SHOPREEL_API_KEY")
    return answer


def _reason(answer: httpx.Response) -> str:
    """What a problem document says; what stands in front of the server answers with none."""
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        return answer.json()["detail"]
    request = f"{answer.request.method} {answer.url}"
    return f"{request} is answered {answer.status_code} {answer.reason_phrase}, by something in front of shopreel"
