"""`shopreel rollout`: another version of the generator, while the server goes on answering."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from cluster.cli.server import LOCAL, Key, Url, ask, connect
from cluster.errors import ShopreelError

app = typer.Typer(no_args_is_help=True)


@app.command("to")
def to(
    reference: Annotated[str, typer.Argument(help="generator@champion, generator@challenger or generator/3.")],
    share: Annotated[float, typer.Option(help="Of viewers that get it, above 0; below 1 it is on trial.")] = 1.0,
    url: Url = LOCAL,
    key: Key = None,
) -> None:
    """Serve a version: to everyone, or on trial to a share of viewers, always the same ones.

    It is loaded beside the one that serves; no request fails, and no answer mixes two versions. A version that cannot
    be loaded changes nothing. The key needs the scope admin.

    \b
    Examples:
      shopreel rollout to generator@challenger --share 0.1
      shopreel rollout to generator/4
    """
    with connect(url, key) as client:
        _show(ask(client, "PUT", "/v1/models/generator", json={"reference": reference, "share": share}))


@app.command("back")
def back(url: Url = LOCAL, key: Key = None) -> None:
    """End a trial; where there is none, go back to the version served before.

    \b
    Examples:
      shopreel rollout back
    """
    with connect(url, key) as client:
        _show(ask(client, "DELETE", "/v1/models/generator"))


def _show(answer: Any) -> None:
    said = answer.json()
    if answer.status_code != 200:
        raise ShopreelError(said["detail"])
    trial = f", {said['canary']} on trial for {said['share']:.0%} of viewers" if said["canary"] else ""
    Console().print(f"[green]serving {said['generator']}[/]{trial}", highlight=False)
