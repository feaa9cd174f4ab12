"""`shopreel keys`: who may ask the HTTP side."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cluster.errors import InputError
from cluster.settings import Settings

if TYPE_CHECKING:
    from serving.door.keys import KeyStore

app = typer.Typer(no_args_is_help=True)
notes = Console(stderr=True)
_LENGTH = re.compile(r"(\d+)([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.callback()
def keys() -> None:
    """Who may ask the HTTP side. Keys live in the database of the events (SHOPREEL_EVENT_STORE)."""


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Who uses it, e.g. storefront.")],
    scope: Annotated[list[str], typer.Option(help="read, render, write-events or admin; repeat for more.")],
    expires: Annotated[
        str | None, typer.Option(help="How long it lives, e.g. 12h or 90d; without end if left out.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Requests a second; limits.key_rate of the server if left out.")
    ] = None,
) -> None:
    """Make a key and print it, this once: only a digest of it is kept.

    read: feeds, recommendations, products, clips. render: clips in a style asked for. write-events: what viewers did.
    admin: all of that, and erasing a viewer.

    \b
    Examples:
      shopreel keys create --name storefront --scope read --scope write-events --expires 90d
      shopreel keys create --name studio --scope read --scope render --rate 5
    """
    text, key = _store().create(name, scope, lifetime=_length("--expires", expires), rate=rate)
    _show_once(text, f"{key.key_id} ({', '.join(sorted(key.scopes))})")


@app.command("list")
def list_() -> None:
    """Every key that was made, and whether it still opens anything."""
    from serving.database import now_ms

    table = Table("id", "name", "scopes", "made", "expires", "state")
    now = now_ms()
    for key in _store().all():
        table.add_row(
            key.key_id,
            key.name,
            ", ".join(sorted(key.scopes)),
            _day(key.created_at_ms),
            _day(key.expires_at_ms),
            key.state(now),
        )
    Console().print(table)


@app.command("rotate")
def rotate(
    key_id: Annotated[str, typer.Argument(help="Id, as in `shopreel keys list`.")],
    grace: Annotated[str, typer.Option(help="How long the old key goes on, e.g. 0m, 12h or 7d.")] = "1d",
) -> None:
    """Make a key in place of another, which goes on for a while so that nobody is locked out."""
    text, key = _store().rotate(key_id, grace=_length("--grace", grace) or timedelta(0))
    _show_once(text, f"{key.key_id} takes the place of {key_id}")


@app.command("revoke")
def revoke(key_id: Annotated[str, typer.Argument(help="Id, as in `shopreel keys list`.")]) -> None:
    """End a key; running servers refuse it within two seconds."""
    _store().revoke(key_id)
    notes.print(f"{key_id} is revoked", highlight=False)


def _store() -> KeyStore:
    from serving.door.keys import KeyStore

    return KeyStore(Settings.load().event_store_url)


def _show_once(text: str, what: str) -> None:
    print(text)
    notes.print(f"key {what}; it is not shown again", highlight=False)


def _length(flag: str, text: str | None) -> timedelta | None:
    if text is None:
        return None
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise InputError(f"{flag} is {text!r}; write a number and m, h or d, such as 90d")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError as error:
        raise InputError(f"{flag} is {text!r}; that is longer than time itself") from error


def _day(at_ms: int | None) -> str:
    return "never" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"
