"""What an evaluation found: rows a method and seed, their means, intervals over viewers, and how far ours is ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.recommender.protocols.bootstrap import interval
from trainables.recommender.protocols.measure import ACCURACY, Measured


@dataclass(frozen=True)
class Row:
    """One method in one seed."""

    method: str
    seed: int
    setting: str
    """What validation chose."""
    asked: np.ndarray
    """Rows of the viewers."""
    measured: Measured
    seconds: float


@dataclass(frozen=True)
class Summary:
    """One method over all seeds."""

    method: str
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """95 % over viewers, of ACCURACY."""
    settings: list[str]
    """One a seed."""
    seconds: float
    """A seed, tuning included."""


@dataclass(frozen=True)
class Lead:
    """Ours less another method, viewer by viewer."""

    method: str
    differences: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """95 %, paired."""


@dataclass(frozen=True)
class Result:
    protocol: str
    k: int
    seeds: int
    viewers: int
    ours: str
    methods: list[Summary]
    leads: list[Lead]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON: plain numbers, lists and dicts."""
        return {
            "protocol": self.protocol,
            "k": self.k,
            "seeds": self.seeds,
            "viewers": self.viewers,
            "ours": self.ours,
            "notes": list(self.notes),
            "methods": [vars(summary) for summary in self.methods],
            "leads": [vars(lead) for lead in self.leads],
        }


def summarise(rows: Sequence[Row], *, protocol: str, k: int, ours: str, notes: tuple[str, ...] = ()) -> Result:
    """Means over seeds, intervals over viewers; a viewer's value is the mean over the seeds that asked them."""
    names = list(dict.fromkeys(row.method for row in rows))
    by_method = {name: [row for row in rows if row.method == name] for name in names}
    values = {name: {part: _by_viewer(of, part) for part in ACCURACY} for name, of in by_method.items()}
    methods = [
        Summary(
            method=name,
            means={part: float(np.mean([row.measured.means()[part] for row in of])) for part in of[0].measured.means()},
            intervals={part: interval(values[name][part]) for part in ACCURACY},
            settings=[row.setting for row in of],
            seconds=float(np.mean([row.seconds for row in of])),
        )
        for name, of in by_method.items()
    ]
    differences = {
        name: {part: values[ours][part] - values[name][part] for part in ACCURACY} for name in names if name != ours
    }
    leads = [
        Lead(
            name,
            {part: float(value.mean()) for part, value in parts.items()},
            {part: interval(value) for part, value in parts.items()},
        )
        for name, parts in differences.items()
    ]
    viewers = len(values[ours][ACCURACY[0]])
    return Result(protocol, k, len(by_method[ours]), viewers, ours, methods, leads, notes)


def _by_viewer(rows: Sequence[Row], part: str) -> np.ndarray:
    asked = np.unique(np.concatenate([row.asked for row in rows]))
    total, count = np.zeros(len(asked)), np.zeros(len(asked))
    for row in rows:
        at = np.searchsorted(asked, row.asked)
        total[at] += row.measured.by_viewer[part]
        count[at] += 1
    return total / count
