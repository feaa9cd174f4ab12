"""What the demo prints while it runs: numbered steps with their time, and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(stderr=True)


class Steps:
    """Numbers the steps of a run and times each."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.seconds: dict[str, float] = {}
        self.started = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, run the block, say how long it took."""
        console.print(f"\n[bold cyan][{len(self.seconds) + 1}/{self.total}][/] [bold]{title}[/]")
        start = time.monotonic()
        yield
        self.seconds[title] = round(time.monotonic() - start, 1)
        console.print(f"[dim]      done in {self.seconds[title]:.1f} s[/]")

    @property
    def total_seconds(self) -> float:
        return round(time.monotonic() - self.started, 1)


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar; the block gets `update(done, total, note)`."""
    columns = (TextColumn("      {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=None)

        def update(done: int, total: int, note: str = what) -> None:
            progress.update(task, completed=done, total=total, description=note)

        yield update


def print_summary(rows: list[tuple[str, Any]]) -> None:
    """Two columns: what, and what came out."""
    table = Table(title="shopreel demo", show_header=False, title_style="bold", min_width=72)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, str(value))
    Console().print(table)
