"""Windows of a clip side by side, a core each.

A network of many small layers gains little from several cores on one layer: each layer waits for its slowest share. Two
cores on a window each take a quarter less time than both on one window after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

Place, Result = TypeVar("Place"), TypeVar("Result")


def side_by_side(work: Callable[[Place], Result], places: Sequence[Place], threads: int) -> Iterator[Result]:
    """What `work` gives for each place, in order, on so many threads, on which torch takes no others. What has not
    begun when the iterator is closed, or when something fails, is not done.
    """
    if threads == 1 or len(places) == 1:
        yield from map(work, places)
        return
    waiting = [_pool(threads).submit(work, place) for place in places]
    try:
        for each in waiting:
            yield each.result()
    finally:
        for each in waiting:
            each.cancel()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Kept as long as the process: torch prepares its convolutions anew for every thread."""
    all_there = threading.Barrier(threads)
    pool = ThreadPoolExecutor(threads, "paint", initializer=_alone)
    for each in [pool.submit(all_there.wait) for _ in range(threads)]:
        each.result()
    torch.set_num_threads(threads)  # that of the threads to come, which those of the pool have set too
    return pool


def _alone() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread takes over what was set last, by whomever, when it first asks
