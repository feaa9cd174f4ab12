"""A sweep on the terminal: a live table while it runs, a summary at its end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ray.tune import Callback
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tuning.config import SweepConfig
from tuning.objective import OBJECTIVE, RUNNING, STEP
from tuning.outcome import TrialOutcome
from tuning.space import Space

ROOMY = 4
"""Settings beside which 80 columns have room for the running measure."""


@dataclass
class _Row:
    number: str
    settings: dict[str, float]
    state: str = "starting"
    step: int = 0
    running: float | None = None
    objective: float | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    def report(self, state: str, result: dict[str, Any]) -> None:
        self.state, self.step = state, result.get(STEP, 0)
        self.running, self.objective = result.get(RUNNING), result.get(OBJECTIVE)

    def end(self, state: str) -> None:
        self.state, self.ended = state, time.monotonic()


class LiveTable(Callback):
    """Tune callback that keeps a rich table up to date; use it as a context manager around the sweep."""

    def __init__(self, title: str, config: SweepConfig, console: Console) -> None:
        """`config` names its space (`sweep.planned`)."""
        self._title, self._trials, self._steps, self._space = title, config.trials, config.steps, config.space
        self._rows: dict[str, _Row] = {}
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=2)

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        if not self._live.console.is_terminal:
            self._live.console.line()  # rich ends the line on terminals alone

    def __getstate__(self) -> dict[str, Any]:
        """Tune writes its callbacks down with the experiment; the terminal is left out."""
        return {name: value for name, value in self.__dict__.items() if name != "_live"}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        for known in trials:
            if known.is_finished() and known.trial_id not in self._rows:
                self._ended_before(known)
        self._row(trial)

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        row = self._row(trial)
        row.report("training", result)
        row.settings = trial.config["settings"]  # others than at first, once it went on from another trial

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        row = self._row(trial)
        row.end("finished" if row.objective is not None else "stopped")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self._row(trial).end("failed")

    def _row(self, trial: Any) -> _Row:
        number = str(trial).rsplit("-", 1)[-1]
        return self._rows.setdefault(trial.trial_id, _Row(number, trial.config["settings"]))

    def _ended_before(self, trial: Any) -> None:
        """A trial of before the sweep was taken up again."""
        row = self._row(trial)
        row.report("training", trial.last_result)
        row.end("failed" if trial.status == "ERROR" else "finished" if row.objective is not None else "stopped")
        row.began = row.ended - trial.last_result.get("time_total_s", 0.0)

    def _table(self) -> Table:
        done = sum(row.ended is not None for row in self._rows.values())
        table = _columns(f"{self._title}: {done} of {self._trials} trials done", self._space)
        for row in sorted(self._rows.values(), key=lambda row: row.number):
            seconds = (row.ended or time.monotonic()) - row.began
            table.add_row(
                row.number,
                *_settings(row.settings, self._space),
                f"{row.step}/{self._steps}",
                *_measured(row.running, row.objective, self._space),
                row.state,
                f"{seconds:.0f} s",
            )
        return table


def summary(title: str, trials: Sequence[TrialOutcome], config: SweepConfig) -> Table:
    """Trials from best to worst; those without a held-out objective last."""
    table = _columns(title, config.space)
    for rank, trial in enumerate(sorted(trials, key=lambda t: (t.objective is None, t.objective or 0.0, t.name))):
        table.add_row(
            trial.name.rsplit("-", 1)[-1],
            *_settings(trial.settings, config.space),
            f"{trial.steps}/{config.steps}",
            *_measured(trial.running, trial.objective, config.space),
            trial.status.removesuffix(" early"),
            f"{trial.seconds:.0f} s",
            style="bold green" if rank == 0 and trial.objective is not None else "",
        )
    return table


def _columns(title: str, space: Space) -> Table:
    table = Table(
        title=title,
        title_style="bold",
        caption="running, held out: lower is better",
        caption_justify="right",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    measures = ("running", "held out") if len(space) <= ROOMY else ("held out",)
    for column in ("#", *(axis.label for axis in space), "steps", *measures, "state", "time"):
        table.add_column(column, justify="left" if column == "state" else "right", no_wrap=True)
    return table


def _settings(settings: dict[str, float], space: Space) -> list[str]:
    """Two digits, and never a power of ten where the number itself is as short."""
    values = [settings[axis.name] for axis in space]
    return [f"{value:.0f}" if 10 <= value < 10_000 else f"{value:.2g}" for value in values]


def _measured(running: float | None, objective: float | None, space: Space) -> list[str]:
    return [_number(running), _number(objective)] if len(space) <= ROOMY else [_number(objective)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
