"""What a finished training hands to its caller."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.registry import ModelVersion


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """One tracked run and, where it was asked for, the model version it registered."""

    run_name: str
    run_id: str
    """MLflow run."""
    version: ModelVersion | None
    """None for sweep trials, which register nothing."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Final training and held-out metrics."""
    notes: tuple[str, ...] = ()
    """What a user should know of it, a line each."""
