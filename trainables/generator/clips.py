"""A worker's shard of a dataset's clips, read by key, kept while memory allows, with what the catalogue says of them.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from trainables.data.dataset import Dataset
from trainables.generator.generate.memory import Label

CACHE_BYTES = 1024**3


class DatasetClips:
    """Clips of `product_ids` by index; the least recently used leave a cache of 1 GiB."""

    def __init__(self, dataset: Dataset, product_ids: Sequence[str], cache_bytes: int = CACHE_BYTES) -> None:
        self.product_ids = list(product_ids)
        self._dataset, self._room = dataset, cache_bytes
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return len(self.product_ids)

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 (T, H, W, 3)."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        frames = self._dataset.clip(self.product_ids[index]).frames_THWC
        self._cache[index] = frames
        self._room -= frames.nbytes
        while self._room < 0 and len(self._cache) > 1:
            self._room += self._cache.popitem(last=False)[1].nbytes
        return frames

    def label(self, index: int) -> Label:
        """Category and title by the catalogue; all clips of a dataset are one group."""
        category, title = self._catalogue.get(self.product_ids[index], ("unknown", ""))
        kind = Label().kind if category == "unknown" else category.replace("_", " ").lower()
        return Label(kind=kind, title=title or self.product_ids[index], group=self._dataset.name)

    @cached_property
    def _catalogue(self) -> dict[str, tuple[str, str]]:
        if not self._dataset.has("products"):
            return {}
        rows = self._dataset.arrow("products", ["product_id", "category", "title"]).to_pylist()
        return {row["product_id"]: (row["category"], row["title"]) for row in rows}
