"""Where a training sends its numbers: the record of the run, and whoever else follows it."""

from __future__ import annotations

import json
import time
from functools import cached_property
from typing import Protocol

from trainables.runs.folder import RunFolder

FLUSH_SECONDS = 1.0


class MetricSink(Protocol):
    """Where rank 0 sends its numbers."""

    def log(self, step: int, metrics: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class StatsSink:
    """`stats.jsonl`: a line a step, written whole every second or so and before every checkpoint, so that a resumed run
    lacks no step; it overwrites the steps it repeats.

    Every step goes on to another sink, if there is one. That one first gets the steps of the record so far: it knows
    which of them it had before a process was killed, or while its server was away.
    """

    def __init__(
        self, folder: RunFolder, checkpoint_every: int, onward: MetricSink | None = None, *, steps: int | None = None
    ) -> None:
        """`steps` is the last step, where that has a checkpoint as well."""
        self._folder, self._checkpoint_every, self._onward, self._steps = folder, checkpoint_every, onward, steps
        self._begun = False
        self._next_flush = 0.0

    @cached_property
    def _lines(self) -> list[dict[str, float]]:
        """The record so far; read with the first step, so by the one worker that has steps to tell."""
        return self._folder.stats()

    def log(self, step: int, metrics: dict[str, float]) -> None:
        while self._lines and self._lines[-1]["step"] >= step:
            self._lines.pop()
        self._begin()
        if self._onward is not None:
            self._onward.log(step, metrics)
        self._lines.append({"step": step} | {name: float(f"{value:.6g}") for name, value in metrics.items()})
        if time.monotonic() >= self._next_flush or step % self._checkpoint_every == 0 or step == self._steps:
            self._flush()

    def close(self) -> None:
        self._begin()
        self._flush()
        if self._onward is not None:
            self._onward.close()

    def _begin(self) -> None:
        if self._onward is not None and not self._begun:
            for line in self._lines:
                self._onward.log(line["step"], {name: value for name, value in line.items() if name != "step"})
        self._begun = True

    def _flush(self) -> None:
        began = time.monotonic()
        text = "".join(json.dumps(line) + "\n" for line in self._lines)
        self._folder.storage.write_bytes(self._folder.path("stats.jsonl"), text.encode())
        # A long file or a slow storage is written less often: never more than a twentieth of the time.
        self._next_flush = began + max(FLUSH_SECONDS, 20 * (time.monotonic() - began))
