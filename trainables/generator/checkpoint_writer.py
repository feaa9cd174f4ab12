"""Checkpoints written while the training goes on: the state is copied, then serialised and stored by a thread."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import torch

from cluster.errors import StorageError
from trainables.generator.config import KeepConfig
from trainables.runs.checkpoints import Checkpoints

log = logging.getLogger(__name__)


class CheckpointWriter:
    """Writes the checkpoints of one training, one at a time and in order, inside a `with` block.

    What goes wrong in the thread (StorageError: a full disk, a store that is away) is raised by the next `write` or
    `wait`, and at the end of the block at the latest.
    """

    def __init__(self, checkpoints: Checkpoints, keep: KeepConfig) -> None:
        self._checkpoints, self._keep = checkpoints, keep
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._under_way: Future[None] | None = None

    def write(self, step: int, state: dict[str, Any], measure: float | None = None) -> None:
        """Copy the state after `step` updates and return; waits for the checkpoint before it."""
        self.wait()
        copied = snapshot(state)
        self._under_way = self._thread.submit(
            self._checkpoints.save, step, copied, measure=measure, newest=self._keep.newest
        )

    def wait(self) -> None:
        """Return when everything given to `write` is in the storage."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except StorageError as failure:
            if error is None:
                raise
            log.warning("%s", failure)  # the first error is the one to act on
        finally:
            self._thread.shutdown()


def snapshot(state: Any) -> Any:
    """Copy of a nested state that shares no tensor with it; tensors end up on the CPU."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: snapshot(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(snapshot(value) for value in state)
    return state
