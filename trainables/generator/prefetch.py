"""The next batch is made while the current step computes, so that training does not wait for data."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from trainables.generator.sampler import ShardSampler
from trainables.generator.task import ClipSource, Updates


class Batches:
    """Batches in the sampler's order, one made ahead on a thread; a context manager.

    A batch is a function of clips and draws alone (`Updates.batch`), so it does not matter when it is made.
    """

    def __init__(self, updates: Updates, clips: ClipSource, sampler: ShardSampler, clips_a_step: int, steps: int):
        """`steps` batches of `clips_a_step` samples each, from where the sampler stands."""
        self._updates, self._clips, self._sampler = updates, clips, sampler
        self._count, self._left = clips_a_step, steps
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: Future[Any] | None = None
        self.position = sampler.position
        """Samples handed out so far: what a checkpoint must remember, one batch less than have been drawn."""

    def __enter__(self) -> Batches:
        self._make_next()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def next(self) -> Any:
        """The next batch, waited for where it is not ready; what went wrong in making it is raised here."""
        if self._ahead is None:
            raise IndexError("all batches of this training have been handed out")
        batch = self._ahead.result()
        self.position += self._count
        self._make_next()
        return batch

    def _make_next(self) -> None:
        self._ahead = None
        if self._left:
            self._left -= 1
            draws = self._sampler.next(self._count)
            self._ahead = self._thread.submit(self._updates.batch, self._clips, draws)
