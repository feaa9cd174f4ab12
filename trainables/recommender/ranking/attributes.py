"""What a source says of viewers and products, as numbers: learned once, kept with the ranker.

Dims: n rows, D columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

NUMERIC_SHARE = 0.95
MOST_KINDS = 64


@dataclass(frozen=True)
class AttributeEncoder:
    """Numbers stay numbers, names of few kinds become codes; what is neither is left out."""

    numeric: tuple[str, ...]
    kinds: dict[str, tuple[str, ...]]

    @classmethod
    def learn(cls, table: pd.DataFrame) -> AttributeEncoder:
        """From a frame of texts, None where nothing is said."""
        numeric, kinds = [], {}
        for name in sorted(table.columns):
            said = table[name].dropna()
            if said.nunique() < 2:
                continue
            if pd.to_numeric(said, errors="coerce").notna().mean() >= NUMERIC_SHARE:
                numeric.append(name)
            elif said.nunique() <= MOST_KINDS:
                kinds[name] = tuple(sorted(said.unique()))
        return cls(tuple(numeric), kinds)

    def encode(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """Column → (n,) floats; NaN for an unsaid number, −1 for an unsaid or unknown kind."""
        found = {}
        for name in self.numeric:
            values = table[name] if name in table else pd.Series(np.nan, table.index)
            found[name] = pd.to_numeric(values, errors="coerce").replace([np.inf, -np.inf], np.nan).to_numpy(float)
        for name, kinds in self.kinds.items():
            values = table[name] if name in table else pd.Series(None, table.index, dtype=object)
            found[name] = pd.Categorical(values, categories=list(kinds)).codes.astype(float)
        return found


def attribute_frame(column: pa.ChunkedArray | None, rows: int) -> pd.DataFrame:
    """A map column as one column of text a key."""
    if column is None:
        return pd.DataFrame(index=range(rows))
    return pd.DataFrame([dict(item or ()) for item in column.to_pylist()], index=range(rows), dtype=object)
