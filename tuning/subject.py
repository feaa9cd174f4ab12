"""What a sweep is about: a kind of training with its space, its measures and its trial."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.errors import InputError
from tuning.space import Space

if TYPE_CHECKING:
    from cluster.storage import Storage
    from trainables.data.dataset import Dataset
    from tuning.config import SweepConfig
    from tuning.outcome import TrialOutcome

Stats = Mapping[str, list[dict[str, float]]]
"""Trial → lines of its `stats.jsonl`."""


class Subject(ABC):
    """One kind of training; the module `tuning.<name>.subject` holds it as `SUBJECT`."""

    name: str
    trial_module: str
    """Where `run_trial(point, task)` is: it trains at the point it is given and reports to Tune."""
    config_class: type
    space: Space
    """What is varied where nothing else is asked for."""
    parts: tuple[str, str]
    """What the two parts of the held-out measure are called."""
    shade: str
    """Setting by which the points of the front are coloured."""
    measure: str
    """How the held-out measure comes from its parts, in words."""
    learns_on_gpu: bool = False
    """Whether every worker of a trial takes a GPU where the cluster has enough of them."""
    of_trials: tuple[str, ...] = ()
    """Settings by dotted name that say how long a trial is and not how it learns: `best.yaml` leaves them out."""

    @abstractmethod
    def check(self, config: SweepConfig) -> None:
        """Raises InputError where this kind of training cannot be swept as asked."""

    @abstractmethod
    def prepared(self, base: Any, config: SweepConfig, dataset: Dataset) -> Any:
        """The config that all trials share, made ready for trials of this length."""

    @abstractmethod
    def resources(self, workers: int, gpus: float) -> dict[str, float]:
        """What Tune sets aside for a trial's own process."""

    @abstractmethod
    def running(self, lines: Sequence[Mapping[str, float]]) -> float:
        """The running measure from lines of a trial's `stats.jsonl`, the latest last."""

    def sections(self, storage: Storage, stats: Stats, finished: Sequence[TrialOutcome]) -> str:
        """What the report shows beyond that of every sweep, as HTML."""
        return ""


def subject_named(name: str) -> Subject:
    """`generator` or `recommender`."""
    if name not in ("generator", "recommender"):
        raise InputError(f"there are no sweeps of {name!r}; choose generator or recommender")
    return importlib.import_module(f"tuning.{name}.subject").SUBJECT
