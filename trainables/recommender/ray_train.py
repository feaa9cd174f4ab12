"""The Gram sum of the item-item model on a Ray cluster: a task a chunk of viewers, added up in order.

Chunks and order are those of the local sum, so both give the same matrix to the last bit. A task gets its chunk as a
sparse matrix and returns a sparse one; no more than `IN_FLIGHT` are out at a time, so memory stays bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import ray
from scipy import sparse

from trainables.recommender import ease
from trainables.recommender.feedback import Feedback
from trainables.recommender.train import Progress, counted

IN_FLIGHT = 16


def sum_on_ray(feedback: Feedback, rows: np.ndarray, config: ease.EaseConfig, on_progress: Progress) -> np.ndarray:
    """Dense Gram matrix (m, m) float64; a `GramSum` for `train`. Ray must be up."""
    chunks = -(-len(feedback.viewers) // config.chunk_viewers)
    grams = _in_order(ease.viewer_chunks(feedback, rows, config))
    return ease.sum_grams(grams, len(rows), counted(on_progress, chunks))


def _in_order(chunks: Iterable[sparse.csr_array]) -> Iterator[sparse.csr_array]:
    # A task that dies with its worker is run again; it reads nothing but its argument.
    task = ray.remote(num_cpus=1, max_retries=3)(ease.chunk_gram)
    waiting: deque[ray.ObjectRef] = deque()
    for chunk in chunks:
        waiting.append(task.remote(chunk))
        if len(waiting) >= IN_FLIGHT:
            yield ray.get(waiting.popleft())
    while waiting:
        yield ray.get(waiting.popleft())
