"""Blocks out of a catalogue's table: creator, tags, category, and the attributes a source brought along as text.

What an attribute is follows from its values. Numbers and dates with many values become soft bins between their
quantiles (a value lies between two bins and belongs to each by its nearness), so that a linear model can follow any
curve; all else is a choice among values. Values that only one product has tell products apart and nothing more: they
are left out. So are attributes whose known values are all the same.

Dims: n products, d numbers of a block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

BINS = 12
MOST_VALUES = 1024
"""Values of a choice that get a column, most frequent first."""
ATTRIBUTE = "attribute "
"""Before the name of an attribute's block."""
FEW_VALUES = 12
"""A number with at most this many values is a choice."""
MOSTLY = 0.95
"""Share of the known values that must be numbers for the attribute to be one."""


def catalogue_blocks(products: pa.Table, most_values: int = MOST_VALUES) -> dict[str, np.ndarray]:
    """Blocks of a `products` table by name: `category`, `tags`, `creator` and one an attribute, `attribute NAME`.

    Each is (n, d) float32 with zero rows where a product lacks it; blocks that say nothing are left out.
    """
    rows = products.select([n for n in ("category", "tags", "creator", "attributes") if n in products.column_names])
    columns = rows.to_pydict()
    bags = {
        "category": [() if value == "unknown" else (value,) for value in columns["category"]],
        "tags": [tuple(value or ()) for value in columns["tags"]],
        "creator": [(value,) if value else () for value in columns["creator"]],
    }
    blocks = {name: choices(bag, most_values) for name, bag in bags.items()}
    attributes = [dict(value or ()) for value in columns.get("attributes", [])]
    for name in sorted({name for row in attributes for name in row}):
        blocks[ATTRIBUTE + name] = attribute_block(name, [row.get(name) for row in attributes], most_values)
    return {name: block for name, block in blocks.items() if len(np.unique(block[block.any(1)], axis=0)) > 1}


def attribute_block(name: str, values: Sequence[str | None], most_values: int = MOST_VALUES) -> np.ndarray:
    """Block of one attribute; None and empty text are missing values. A name that ends in `id` is never a number."""
    known = [value for value in values if value]
    if len(set(known)) > FEW_VALUES and not name.lower().endswith("id"):
        for reading in (_number, _day):
            read_n = np.array([reading(value) if value else np.nan for value in values])
            if np.isfinite(read_n).sum() >= MOSTLY * len(known):
                return soft_bins(read_n)
    return choices([(value,) if value else () for value in values], most_values)


def choices(bags: Sequence[Iterable[str]], most_values: int = MOST_VALUES) -> np.ndarray:
    """(n, d) of 0 and 1: which of the values that several products have, most frequent first, a product has."""
    counts = Counter(value for bag in bags for value in set(bag))
    shared = sorted((value for value in counts if counts[value] > 1), key=lambda value: (-counts[value], value))
    column = {value: i for i, value in enumerate(shared[:most_values])}
    block = np.zeros((len(bags), len(column)), np.float32)
    for row, bag in enumerate(bags):
        block[row, [column[value] for value in set(bag) if value in column]] = 1
    return block


def soft_bins(values_n: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(n, ≤ bins) float32: a value's share in the two quantiles around it, 1 in all; zeros for NaN."""
    known_n = np.isfinite(values_n)
    if not known_n.any():
        return np.zeros((len(values_n), 0), np.float32)
    knots = np.unique(np.quantile(values_n[known_n], np.linspace(0, 1, bins)))
    block = np.zeros((len(values_n), len(knots)), np.float32)
    if len(knots) == 1:
        return block
    rows = np.flatnonzero(known_n)
    left = np.clip(np.searchsorted(knots, values_n[rows], side="right") - 1, 0, len(knots) - 2)
    nearness = (values_n[rows] - knots[left]) / (knots[left + 1] - knots[left])
    block[rows, left], block[rows, left + 1] = 1 - nearness, nearness
    return block


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return np.nan
    return value if np.isfinite(value) else np.nan


def _day(text: str) -> float:
    """Days since year 1 of an ISO date, whatever time of day follows it."""
    try:
        return float(date.fromisoformat(text[:10]).toordinal())
    except ValueError:
        return np.nan
