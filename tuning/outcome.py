"""What a sweep leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrialOutcome:
    """One trial after the sweep."""

    name: str
    status: Literal["finished", "stopped early", "failed"]
    settings: dict[str, float]
    """Dotted names of the varied settings and their values."""
    steps: int
    """Steps done when it last reported."""
    running: float | None
    """Running measure, see the sweep's `Subject`; None where nothing was reported."""
    objective: float | None
    """Held-out measure, lower is better; None unless finished."""
    parts: tuple[float, float] | None = None
    """The two parts of the objective; None unless finished."""
    seconds: float
    run_id: str | None
    """MLflow child run; None where the trial failed before it began one."""
    error: str | None
    """Why it failed, one line."""


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """All trials and the best settings."""

    name: str
    parent_run_id: str
    trials: tuple[TrialOutcome, ...]
    """In the order they were started."""
    best: TrialOutcome
    best_config_path: str
    """Path or URI of a partial YAML config for `shopreel train … --config`."""
    report_path: str
    """Path or URI of `report.html`."""

    @property
    def best_settings(self) -> dict[str, float]:
        return self.best.settings
