"""What a training tells its workers.

A module of its own, and a light one: Ray Train's controller reads the assignment too, before any worker starts, and
would wait for everything that training imports.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainables.generator.config import TrainConfig
from trainables.runs.sinks import MetricSink


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What every worker of a training is told; picklable."""

    config: TrainConfig
    storage_root: str
    data_name: str
    run_name: str
    shown: tuple[str, ...]
    """Held-out products on the contact sheets."""
    styles: str | None
    """Folder of extra style pictures."""
    start: str | None
    """Bundle whose weights a fresh run begins with."""
    sink: MetricSink | None
    """Where rank 0 sends its numbers besides `stats.jsonl`."""
