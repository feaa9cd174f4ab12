"""Several trainings of one task in one table: what their rows are called, and their mean and deviation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

Row = Mapping[str, Any]
"""`method`, measures by name, and what else the row is of, such as `source`."""


def row_name(own: str, model: str, models: Collection[str]) -> str:
    """Of the network's method `own`: that alone where there is one model, else with the model's name."""
    return own if len(models) == 1 else f"{own}, {model}"


def with_means(rows: Sequence[Row], own: Sequence[str], models: Sequence[str], measures: Collection[str]) -> list[Row]:
    """The rows; with several models also, after the rows of each method in `own`, the mean and the sample deviation
    (over N − 1) of its measures over the models, for each source and damage where rows have them.
    """
    if len(models) == 1:
        return list(rows)
    added: dict[int, list[Row]] = {}
    for name in own:
        wanted = {row_name(name, model, models) for model in models}
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place, row in enumerate(rows):
            if row["method"].startswith(f"{name}, "):
                groups.setdefault((row.get("source"), row.get("damage")), []).append(place)
        for places in groups.values():
            alike = [rows[place] for place in places if rows[place]["method"] in wanted]
            added[places[-1]] = _mean_and_deviation(name, alike, measures)
    return [line for place, row in enumerate(rows) for line in (row, *added.get(place, ()))]


def _mean_and_deviation(own: str, rows: Sequence[Row], measures: Collection[str]) -> list[Row]:
    values = {name: [row[name] for row in rows] for name in measures if name in rows[0]}
    mean = {name: float(np.mean(some)) for name, some in values.items()}
    deviation = {name: float(np.std(some, ddof=1)) for name, some in values.items()}
    of = f"of {len(rows)} trainings"
    return [
        {**rows[0], "method": f"{own}, {kind} {of}", **found}
        for kind, found in (("mean", mean), ("deviation", deviation))
    ]
