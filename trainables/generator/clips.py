"""A worker's shard of a dataset's clips, read by key, kept while memory allows. Dims: T frames, H height, W width."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from trainables.data.dataset import Dataset

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
