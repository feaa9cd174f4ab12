"""`shopreel evaluate looks`: what other ways of choosing looks would have brought, from a server's own log."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cluster.errors import InputError, StorageError
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
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(
            json.dumps({"choices": len(known.style_N), "policies": [asdict(row) for row in found]}, indent=1)
        )
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}; give another --out") from error
    Console().print(_table(found, len(known.style_N)))
    Console().print(f"→ {out}", highlight=False)


def _table(found: list[PolicyEstimate], choices: int) -> Table:
    table = Table(title=f"Share of slates whose look was taken to, from {choices:,} choices")
    for column in ("look", "SNIPS", "doubly robust", "effective sample"):
        table.add_column(column, justify="left" if column == "look" else "right")
    for row in found:
        effective = f"{row.doubly_robust.effective_choices:,.0f}"
        table.add_row(row.policy, _interval(row.snips), _interval(row.doubly_robust), effective)
    return table


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f}…{estimate.high:.3f})"
