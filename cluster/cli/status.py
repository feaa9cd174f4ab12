"""`shopreel status`: what a running server does, live in the terminal."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.cli.server import LOCAL, Key, Url, ask, connect, why_not_ready
from cluster.errors import ShopreelError

if TYPE_CHECKING:
    import httpx

    from serving.figures import Reading

ROUTES_SHOWN = 10


def command(
    url: Url = LOCAL,
    key: Key = None,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option(help="Look once and end; exit code 1 where the server is not ready.")] = False,
) -> None:
    """Show what a server answers, how fast, and what its generator and cache do, until Ctrl-C.

    A look that fails, while a replica restarts say, shows why; the next one comes as if it had not.

    \b
    Examples:
      shopreel status
      shopreel status --url https://shop.example --every 5
      shopreel status --once
    """
    with connect(url, key) as client:
        before = _read(client)
        if once:
            ready, page = _page(client, before, None)
            Console().print(page)
            raise typer.Exit(0 if ready else 1)
        with Live(_page(client, before, None)[1], refresh_per_second=4, screen=False) as live:
            while True:
                time.sleep(every)
                try:
                    now = _read(client)
                    live.update(_page(client, now, before)[1])
                    before = now
                except ShopreelError as error:
                    live.update(Text(str(error), "bold red"))


def _read(client: httpx.Client) -> Reading:
    from serving.figures import Reading

    return Reading(ask(client, "GET", "/metrics").text, time.monotonic())


def _page(client: httpx.Client, now: Reading, before: Reading | None) -> tuple[bool, Group]:
    """Whether the server is ready, and all there is to show; without `before`, since the server's start."""
    from serving.figures import Reading

    fault, serving = why_not_ready(client), ask(client, "GET", "/v1/models").json()["serving"]
    since = before or Reading("", now.at_s)
    state = Text("ready", "bold green") if fault is None else Text(f"not ready: {fault}", "bold red")
    versions = " · ".join(f"{serving[kind]}{_trial(rollout)}" for kind, rollout in serving["rollout"].items())
    return fault is None, Group(
        Text.assemble((str(client.base_url), "bold"), "  ", state, "  ", (versions, "cyan")),
        _facts(now, since),
        _routes(now, since, rates=before is not None),
    )


def _trial(rollout: dict[str, Any]) -> str:
    return f" ({rollout['canary']} on trial for {rollout['share']:.0%})" if rollout["canary"] else ""


def _facts(now: Reading, since: Reading) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim")
    table.add_column()
    replicas = now.by("shopreel_replicas", "deployment")
    table.add_row("replicas", " · ".join(f"{name} {count:.0f}" for name, count in sorted(replicas.items())))
    table.add_row(
        "renders",
        f"{now.total('shopreel_renders_in_flight'):.0f} in flight · "
        f"{_seconds(now.mean_since(since, 'shopreel_render_seconds'))} each · "
        f"{_seconds(now.mean_since(since, 'shopreel_render_queue_seconds'))} in the queue · "
        f"batches of {_number(now.mean_since(since, 'shopreel_render_batch_size'))}",
    )
    outcomes = sorted(now.by("shopreel_renders_total", "outcome"))
    counts = {outcome: now.since(since, "shopreel_renders_total", outcome=outcome) for outcome in outcomes}
    table.add_row("outcomes", " · ".join(f"{name} {count:.0f}" for name, count in counts.items()) or "none yet")
    hits = now.since(since, "shopreel_clip_cache_hits_total")
    misses = now.since(since, "shopreel_clip_cache_misses_total")
    held = now.by("shopreel_clip_cache_bytes", "tier")
    sizes = " · ".join(f"{tier} {size / 2**20:.1f} MiB" for tier, size in sorted(held.items()))
    table.add_row("clip cache", f"{_share(hits, hits + misses)} hits · {sizes}")
    degraded = now.since(since, "shopreel_feeds_total", degraded="true")
    table.add_row("feeds", f"{_share(degraded, now.since(since, 'shopreel_feeds_total'))} degraded")
    table.add_row("memory", f"{now.total('process_resident_memory_bytes') / 2**20:.0f} MiB in the ingress")
    return table


def _routes(now: Reading, since: Reading, *, rates: bool) -> Table:
    table = Table(box=None, header_style="dim")
    table.add_column("route")
    for column in ("requests/s" if rates else "", "p50 ≤", "p99 ≤", "429", "5xx"):
        table.add_column(column, justify="right")
    for route in now.routes_since(since)[:ROUTES_SHOWN]:
        cells: list[Any] = [route.name, f"{route.per_second:.1f}" if rates else ""]
        cells += [_seconds(route.p50_s), _seconds(route.p99_s)]
        cells += [f"{route.refused:.0%}", Text(f"{route.failed:.0%}", "red" if route.failed else "")]
        table.add_row(*cells)
    return table


def _seconds(value: float) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "> 30 s"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "–"
