"""The item-item model of large catalogues: cosine with shrinkage, the strongest neighbours of each product kept.

    B_ji = G_ji / (√(G_jj · G_ii) + shrink),  the largest `neighbours` of each column i,  G = XᵀX

A dense matrix of n products takes n² · 4 bytes, 1.6 GB at 2·10⁴ and 40 GB at 10⁵; this one takes n · neighbours · 8.
X is that of the dense model (faded feedback, see ease.py), summed over the same chunks of viewers.

Dims: m products, V viewers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from trainables.recommender import ease
from trainables.recommender.feedback import Feedback

ROWS_A_STEP = 4096


@dataclass(frozen=True, kw_only=True)
class SparseConfig:
    """Settings of the sparse item-item model."""

    above: int = 20_000
    """Products, ≥ 1: a catalogue with more of them gets this model and a shortened content vector."""
    neighbours: int = 100
    """Products kept of each column, ≥ 1."""
    shrink: float = 10.0
    """≥ 0, in units of squared feedback: what few viewers share weighs less."""
    most_a_viewer: int = 300
    """Products of one viewer that enter, newest first, ≥ 1: pairs grow with its square."""

    def __post_init__(self) -> None:
        for name in ("above", "neighbours", "most_a_viewer"):
            if getattr(self, name) < 1:
                raise ValueError(f"sparse.{name} is {getattr(self, name)}; set 1 or more")
        if not self.shrink >= 0:
            raise ValueError(f"sparse.shrink is {self.shrink}; set 0 or more, e.g. 10")


def sparse_item_item(
    feedback: Feedback,
    rows: np.ndarray,
    config: SparseConfig,
    ease_config: ease.EaseConfig,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> sparse.csr_array:
    """B (m, m) CSR float32 over catalogue rows; row j → what one unit of feedback on j adds to the others."""
    behind = np.searchsorted(feedback.viewer_N, feedback.viewer_N, side="right") - np.arange(len(feedback.viewer_N))
    feedback = feedback.where(behind <= config.most_a_viewer)
    chunks = list(ease.viewer_chunks(feedback, rows, ease_config))
    x_Vm = sparse.vstack(chunks, format="csr", dtype=np.float32) if chunks else sparse.csr_array((0, len(rows)))
    x_mV = sparse.csr_array(x_Vm.T)
    length_m = np.sqrt(np.asarray(x_mV.power(2).sum(1)).ravel())
    kept = []
    steps = range(0, len(rows), ROWS_A_STEP)
    for step, first in enumerate(steps):
        # G is symmetric: rows first…last are the columns whose neighbours are chosen here.
        band = sparse.csr_array(x_mV[first : first + ROWS_A_STEP] @ x_Vm).tocoo()
        apart = band.row + first != band.col
        row, column, value = band.row[apart], band.col[apart], band.data[apart]
        value = value / (length_m[row + first] * length_m[column] + config.shrink)
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        strongest = np.arange(len(row)) - np.searchsorted(row, row) < config.neighbours
        entries = (value[strongest].astype(np.float32), (row[strongest] + first, column[strongest]))
        kept.append(sparse.csr_array(entries, shape=(len(rows), len(rows))))
        on_step(step + 1, len(steps))
    total = sum(kept[1:], kept[0]) if kept else sparse.csr_array((0, 0), dtype=np.float32)
    return sparse.csr_array(total.T)
