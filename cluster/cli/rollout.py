"""`shopreel rollout`: another version of a model, while the server goes on answering."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from cluster.cli.server import LOCAL, Key, Url, ask, connect
from cluster.errors import ShopreelError

app = typer.Typer(no_args_is_help=True)


@app.command("to")
def to(
    reference: Annotated[str, typer.Argument(help="generator@challenger, recommender@champion, generator/3.")],
    share: Annotated[float, typer.Option(help="Of viewers that get it, above 0; below 1 it is on trial.")] = 1.0,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Show it to nobody: compare that share of renders, see `rollout report`.")
    ] = False,
    url: Url = LOCAL,
    key: Key = None,
) -> None:
    """Serve a version: to everyone, or on trial to a share of viewers, always the same ones; or compare it unseen.

    It is loaded beside the one that serves; no request fails, and no answer mixes two versions. A version that cannot
    be loaded changes nothing. The key needs the scope admin.

    \b
    Examples:
      shopreel rollout to generator@challenger --share 0.1
      shopreel rollout to generator@challenger --shadow --share 0.2
      shopreel rollout to recommender/4
    """
    kind = "recommender" if reference.startswith("recommender") else "generator"
    wanted = {"reference": reference, "share": share, "shadow": shadow}
    with connect(url, key) as client:
        _show(ask(client, "PUT", f"/v1/models/{kind}", json=wanted))


@app.command("back")
def back(
    model: Annotated[Literal["generator", "recommender"], typer.Argument(help="Of which model.")] = "generator",
    url: Url = LOCAL,
    key: Key = None,
) -> None:
    """End a comparison, or else a trial; where there is neither, go back to the version served before.

    \b
    Examples:
      shopreel rollout back
      shopreel rollout back recommender
    """
    with connect(url, key) as client:
        _show(ask(client, "DELETE", f"/v1/models/{model}"))


@app.command("report")
def report(url: Url = LOCAL, key: Key = None) -> None:
    """Compare the version that serves with the one in its shadow, on the clips both have rendered.

    \b
    Examples:
      shopreel rollout report
    """
    with connect(url, key) as client:
        said = ask(client, "GET", "/v1/models/generator/shadow").json()
    if not said["pairs"]:
        raise ShopreelError(
            f"nothing is compared yet ({said['failed']} renders failed); begin with `shopreel rollout to REF --shadow`"
        )
    table = Table(title=f"{said['pairs']} clips rendered by both", title_style="bold")
    for column in ("", "seconds a clip", "refused", "faults"):
        table.add_column(column)
    for side in (said["champion"], said["challenger"]):
        faults = ", ".join(f"{fault} {count}" for fault, count in side["faults"].items())
        refused = f"{side['refused']} ({side['refused'] / said['pairs']:.1%})"
        table.add_row(side["model"], f"{side['render_seconds']:.3f}", refused, faults or "none")
    Console().print(table)
    if said["difference"] is not None:
        Console().print(f"pixels differ by {said['difference']:.1f} of 255 on average")
    if said["failed"]:
        Console().print(f"[red]{said['challenger']['model']} could not render {said['failed']} clips[/]")


def _show(answer: Any) -> None:
    said = answer.json()
    trial = f", {said['canary']} on trial for {said['share']:.0%} of viewers" if said["canary"] else ""
    shadow = f", {said['shadow']} in the shadow of {said['shadow_share']:.0%} of renders" if said["shadow"] else ""
    Console().print(f"[green]serving {said['serving']}[/]{trial}{shadow}", highlight=False, soft_wrap=True)
