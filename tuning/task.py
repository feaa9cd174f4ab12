"""What all trials of a sweep share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TrialTask:
    """Picklable."""

    settings: Settings
    sweep_name: str
    data_name: str
    base: Any
    """The config that a trial's point changes."""
    steps: int
    """Of a trial that is not stopped early."""
    stops: bool
    """Whether trials are compared on the way, so that a trial must say how it is doing."""
    exploits: bool
    """Whether trials hand their checkpoints to Tune, so that others can go on from them."""
    start: Path | None
    """Bundle whose weights every trial begins with."""
    workers: int
    parent_run_id: str


def trial_name(sweep_name: str, number: int) -> str:
    """Name of a trial, of its run folder and of its run in MLflow."""
    return f"{sweep_name}-{number:03d}"
