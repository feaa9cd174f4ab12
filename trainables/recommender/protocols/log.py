"""A log as protocols see it: who took to what, in which order, and how much.

Dims: V viewers, n products, N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse


@dataclass(frozen=True)
class Log:
    """Pairs of viewer and product, each once, sorted by viewer and then by time; ties stand in the order drawn."""

    viewers: int
    """V."""
    products: int
    """n."""
    viewer_N: np.ndarray
    product_N: np.ndarray
    value_N: np.ndarray
    """float32, how much the product was liked, 0…1."""
    at_N: np.ndarray
    """int64, milliseconds."""

    def where(self, keep: np.ndarray) -> Log:
        """Some of the rows, in the same order."""
        return Log(
            self.viewers,
            self.products,
            self.viewer_N[keep],
            self.product_N[keep],
            self.value_N[keep],
            self.at_N[keep],
        )

    def matrix(self, value_N: np.ndarray | None = None) -> sparse.csr_array:
        """(V, n) CSR float32 of some values; None: 1 a row."""
        values = np.ones(len(self.viewer_N), np.float32) if value_N is None else value_N.astype(np.float32)
        return sparse.csr_array((values, (self.viewer_N, self.product_N)), shape=(self.viewers, self.products))

    @property
    def from_last(self) -> np.ndarray:
        """How many rows of the same viewer come after each: 0 for the last one."""
        return np.searchsorted(self.viewer_N, self.viewer_N, side="right") - 1 - np.arange(len(self.viewer_N))

    @property
    def length(self) -> np.ndarray:
        """How many rows the viewer of each row has."""
        return np.bincount(self.viewer_N, minlength=self.viewers)[self.viewer_N]


def log_of_ratings(events: pa.Table, product_ids: Sequence[str], seed: int) -> Log:
    """Ratings imported as clicks, those of 4 stars and more also as likes: value 1 for a like, else 0.6.

    Of a pair that was clicked more than once the last click counts. Ratings of one viewer at the same moment are put
    into an order drawn at random by the seed (the declared tie-break).
    """
    clicks = _last_of_pairs(events.filter(pc.equal(events["event_type"], "click")))
    likes = events.filter(pc.equal(events["event_type"], "like"))
    viewers, viewer_N = np.unique(clicks["viewer_id"].to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    product_N = pc.index_in(clicks["product_id"], value_set=pa.array(list(product_ids))).to_numpy().astype(np.int64)
    liked = set(zip(likes["viewer_id"].to_pylist(), likes["product_id"].to_pylist(), strict=True))
    pairs = zip(clicks["viewer_id"].to_pylist(), clicks["product_id"].to_pylist(), strict=True)
    value_N = np.array([1.0 if pair in liked else 0.6 for pair in pairs], np.float32)
    at_N = clicks["at"].cast(pa.int64()).to_numpy()
    stored = np.lexsort((product_N, viewer_N))  # the draw must not depend on the order in the files
    drawn_N = np.empty(len(at_N))
    drawn_N[stored] = np.random.default_rng(seed).random(len(at_N))
    order = np.lexsort((drawn_N, at_N, viewer_N))
    return Log(len(viewers), len(product_ids), viewer_N[order], product_N[order], value_N[order], at_N[order])


def _last_of_pairs(events: pa.Table) -> pa.Table:
    """The last event of each pair of viewer and product, in the order of the table."""
    viewer, product = (pc.dictionary_encode(events[name]).combine_chunks() for name in ("viewer_id", "product_id"))
    pair = viewer.indices.to_numpy().astype(np.int64) * max(len(product.dictionary), 1) + product.indices.to_numpy()
    order = np.lexsort((events["at"].cast(pa.int64()).to_numpy(), pair))
    last = np.append(np.diff(pair[order]) != 0, np.ones(min(len(pair), 1), bool))
    return events.take(pa.array(np.sort(order[last])))
