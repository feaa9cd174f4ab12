"""A running server as commands speak to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.errors import ShopreelError

if TYPE_CHECKING:
    import httpx

Url = Annotated[str, typer.Option(help="Base URL of the server.")]
Key = Annotated[str | None, typer.Option(envvar="SHOPREEL_API_KEY", help="API key, where the server asks for one.")]
LOCAL = "http://127.0.0.1:8000"
TIMEOUT_S = 130.0
"""A version is loaded and checked before the answer."""


def connect(url: str, key: str | None) -> httpx.Client:
    """A client of the server at `url`."""
    import httpx

    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT_S)


def ask(client: httpx.Client, method: str, path: str, **arguments: Any) -> httpx.Response:
    """The answer, whatever its status; ShopreelError where no server answers or the key is not good enough."""
    import httpx

    try:
        answer = client.request(method, path, **arguments)
    except httpx.HTTPError as error:
        fix = "start it with `shopreel serve`, or give its address"
        raise ShopreelError(f"no server answers at {client.base_url} ({error}); {fix}") from error
    if answer.status_code in (401, 403):
        raise ShopreelError(f"{client.base_url}: {answer.json()['detail']}; give a key with --key or SHOPREEL_API_KEY")
    return answer
