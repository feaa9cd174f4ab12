"""`shopreel evaluate looks`: what other ways of choosing looks would have brought, from a server's own log."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cluster.cli.result_files import check_file, writing
from cluster.errors import InputError
from cluster.settings import Settings

if TYPE_CHECKING:
    from trainables.recommender.looks.offpolicy import Estimate
    from trainables.recommender.looks.policies import PolicyEstimate


def command(
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    days: Annotated[float, typer.Option(min=0.01, help="Choices of so many last days; the server keeps 30.")] = 30.0,
    settle_minutes: Annotated[float, typer.Option(min=0, help="Leave out choices of the last minutes.")] = 10.0,
) -> None:
    """Estimate off-policy how often viewers would have taken to other looks.

    Reads what a server with `--set looks.learned=true` logged (SHOPREEL_EVENT_STORE): each look with the chance it had,
    joined with the events that followed. Each way of choosing gets a self-normalised (SNIPS) and a doubly robust
    estimate with 95 % intervals, and the effective sample: how many choices of that way would say as much.

    \b
    Examples:
      shopreel evaluate looks --out looks.json
      SHOPREEL_EVENT_STORE=postgresql+psycopg://shop@db/shop shopreel evaluate looks --days 7 --out looks.json
    """
    from serving.database import now_ms
    from serving.event_store import EventStore
    from serving.look_choices import LookChoices
    from trainables.generator.restyle.presets import preset_codes
    from trainables.recommender.feedback import DAY_MS
    from trainables.recommender.looks.outcomes import outcomes
    from trainables.recommender.looks.policies import compare
    from trainables.recommender.looks.thompson import BanditConfig, LookBandit

    check_file(out)
    url, now = Settings.load().event_store_url, now_ms()
    since = now - int(days * DAY_MS)
    chosen = LookChoices(url).between(since, now - int(settle_minutes * 60_000))
    if not chosen:
        raise InputError(
            f"the event store knows no look that was chosen in the last {days:g} days; "
            "serve with --set looks.learned=true, and set SHOPREEL_EVENT_STORE as the server has it"
        )
    bandit = LookBandit(tuple(preset_codes()), BanditConfig())
    known = outcomes(chosen, EventStore(url).of_looks(since), bandit)
    found = compare(known, bandit.styles)
    with writing(out):
        out.write_text(as_json(found, len(known.style_N)))
    Console().print(_table(found, len(known.style_N)))
    Console().print(f"→ {out}", highlight=False)


def as_json(found: list[PolicyEstimate], choices: int) -> str:
    """The estimates as JSON; what cannot be told, of a look that was never chosen, is null."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {name: plain(inner) for name, inner in value.items()}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    policies = [plain(asdict(row)) for row in found]
    return json.dumps({"choices": choices, "policies": policies}, indent=1, allow_nan=False)


def _table(found: list[PolicyEstimate], choices: int) -> Table:
    table = Table(title=f"Share of slates whose look was taken to, from {choices:,} choices")
    for column in ("look", "SNIPS", "doubly robust", "effective sample"):
        table.add_column(column, justify="left" if column == "look" else "right")
    for row in found:
        effective = f"{row.doubly_robust.effective_choices:,.0f}"
        table.add_row(row.policy, _interval(row.snips), _interval(row.doubly_robust), effective)
    return table


def _interval(estimate: Estimate) -> str:
    if not math.isfinite(estimate.value):
        return "–"
    return f"{estimate.value:.3f} ({estimate.low:.3f}…{estimate.high:.3f})"
