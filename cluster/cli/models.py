"""`shopreel models`: what is registered, which version serves, and how another one comes to serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cluster.errors import NotFoundError
from cluster.settings import Settings

if TYPE_CHECKING:
    from cluster.registry import ModelVersion

app = typer.Typer(no_args_is_help=True)

Reference = Annotated[str, typer.Argument(help="generator@champion, generator@challenger or generator/3.")]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow registry; default SQLite under SHOPREEL_HOME.")]

HEADLINES = ("heldout/style_distance", "heldout/content_ssim", "heldout/static_flicker", "ndcg_at_10", "recall_at_10")

notes = Console(stderr=True)


@app.command("list")
def list_models(tracking_uri: TrackingUri = None) -> None:
    """List every registered version with its aliases and metrics.

    \b
    Examples:
      shopreel models list
    """
    from cluster.registry import Registry

    registry = Registry(Settings.load(tracking_uri=tracking_uri))
    names = registry.names()
    if not names:
        notes.print("no models yet; train one with [bold]shopreel train generator --data NAME[/]")
        return
    table = Table(title="models", title_style="bold")
    for column in ("model", "aliases", "registered (UTC)", "data", "code", "held out"):
        table.add_column(column, overflow="fold")
    for name in names:
        for version in registry.versions(name):
            table.add_row(
                version.reference,
                ", ".join(version.aliases),
                f"{version.created_at:%Y-%m-%d %H:%M}",
                version.lineage.get("data_name", ""),
                version.lineage.get("code_version", "")[:12],
                _headline(version),
            )
    Console().print(table)


@app.command("show")
def show(reference: Reference, tracking_uri: TrackingUri = None) -> None:
    """Show one version: run, data and code it came from, metrics, files, and why it was promoted.

    \b
    Examples:
      shopreel models show generator@champion
      shopreel models show recommender/2
    """
    from cluster.registry import Registry

    version = Registry(Settings.load(tracking_uri=tracking_uri)).resolve(reference)
    table = Table(title=version.reference, title_style="bold", show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("aliases", ", ".join(version.aliases) or "none")
    table.add_row("registered", f"{version.created_at:%Y-%m-%d %H:%M:%S} UTC")
    table.add_row("MLflow run", version.run_id)
    for key, value in sorted(version.lineage.items()):
        table.add_row(key, value)
    for key, value in sorted(version.metrics.items()):
        table.add_row(key, f"{value:.6g}")
    for file, digest in version.checksums.items():
        table.add_row(file, f"sha256 {digest}")
    for reason in version.gate:
        table.add_row("gate", reason)
    Console().print(table)


@app.command("add-starter")
def add_starter(
    task: Annotated[str, typer.Option(help="restyle, repair, enhance or generate.")] = "restyle",
    tracking_uri: TrackingUri = None,
) -> None:
    """Register the weights that come with shopreel as a challenger, to serve them or to beat them.

    \b
    Examples:
      shopreel models add-starter
      shopreel models promote generator@challenger --data shop
    """
    from trainables.generator.starter.registration import register_starter

    version = register_starter(Settings.load(tracking_uri=tracking_uri), task)
    Console().print(f"{version.reference} holds the starter weights of {task}", highlight=False)


@app.command("promote")
def promote(
    reference: Reference,
    data: Annotated[str | None, typer.Option(help="Dataset to judge on; default the one it was trained on.")] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Make a version the champion, if it is no worse than the champion on held-out data.

    Both are measured now, on the same held-out products or events. Refused: exit code 6, and the champion stays.

    \b
    Examples:
      shopreel models promote generator@challenger
      shopreel models promote recommender/4 --data spring
    """
    from cluster.registry import PromotionRefusedError, Registry
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from trainables.promotion import promote as judge_and_promote

    settings = Settings.load(tracking_uri=tracking_uri)
    registry = Registry(settings)
    version = registry.resolve(reference)
    name = data or version.lineage.get("data_name")
    if not name:
        raise NotFoundError(f"{version.reference} does not say what it was trained on; give --data NAME")
    dataset = Dataset.open(Storage(settings.storage_root), name)
    with notes.status(f"measuring {version.reference} and the champion on held-out data of {name}"):
        outcome = judge_and_promote(registry, version, dataset)
    console = Console()
    for reason in outcome.decision.reasons:
        console.print(reason, highlight=False, markup=False)
    before = outcome.champion.reference if outcome.champion else "none"
    if not outcome.decision.passed:
        raise PromotionRefusedError(f"{version.reference} is not promoted; the champion stays: {before}")
    console.print(f"[green]champion: {version.reference}[/] (before: {before})", highlight=False)


@app.command("rollback")
def rollback(
    name: Annotated[str, typer.Argument(help="generator or recommender.")], tracking_uri: TrackingUri = None
) -> None:
    """Make the champion before this one the champion again.

    \b
    Examples:
      shopreel models rollback generator
    """
    from cluster.registry import Registry

    version = Registry(Settings.load(tracking_uri=tracking_uri)).rollback(name)
    Console().print(f"[green]champion: {version.reference}[/]", highlight=False)


def _headline(version: ModelVersion) -> str:
    """The few metrics a person compares versions by; `show` has them all."""
    known = [name for name in HEADLINES if name in version.metrics]
    return "\n".join(f"{name.split('/')[-1]} {version.metrics[name]:.4g}" for name in known)
