"""Settings of a sweep; they are kept with it, so that it can be taken up again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tuning.space import Axis

SchedulerName = Literal["asha", "pbt", "median", "none"]
SearchName = Literal["optuna", "random", "grid"]
ObjectiveName = Literal["score", "front"]
CHOICES: dict[str, tuple[str, ...]] = {
    "scheduler": ("asha", "pbt", "median", "none"),
    "search": ("optuna", "random", "grid"),
    "objective": ("score", "front"),
}


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """One sweep."""

    trials: int = 8
    """Points of the space to try, ≥ 1. The first one is the base config's own settings, but for a grid."""
    name: str | None = None
    """Name of the sweep; None makes one from the time."""
    steps: int = 100
    """Training steps of a trial that is not stopped early, ≥ 4."""
    scheduler: SchedulerName = "asha"
    """`asha` and `median` stop trials early, `pbt` lets bad trials go on from good ones (all points are drawn at the
    start), `none` lets all run out."""
    search: SearchName = "optuna"
    """`optuna` learns from finished trials (TPE), `random` draws, `grid` walks through an even grid."""
    objective: ObjectiveName = "score"
    """`score`: the held-out measure. `front`: its two parts apart; what is best for some weighing of the two."""
    concurrency: int | None = None
    """Trials at a time, ≥ 1; None works it out from the cluster's GPUs, CPUs and memory."""
    workers_per_trial: int = 1
    """DDP workers of a trial, ≥ 1."""
    reduction_factor: float = 2.0
    """ASHA lets the best 1/reduction_factor of trials pass a rung, > 1; the first rung is a quarter of the steps."""
    seed: int = 0
    """Of the sampler."""
    space: tuple[Axis, ...] = ()
    """What is varied; empty: what the subject varies by itself."""

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("steps", 4), ("concurrency", 1), ("workers_per_trial", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; set it to {least} or above")
        if self.reduction_factor <= 1:
            raise ValueError(f"reduction_factor is {self.reduction_factor}; set it above 1; 2 keeps the better half")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}")
        if self.scheduler == "pbt" and self.workers_per_trial > 1:
            raise ValueError("scheduler pbt takes trials of one worker; leave workers_per_trial at 1")

    @property
    def rung(self) -> int:
        """Steps after which a trial is first compared with others, and checkpoints are written."""
        return max(1, self.steps // 4)
