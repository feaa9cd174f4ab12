"""A worker of a training that is killed at `ray.train.report`: before it, in it, or right after it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ray.train

BARRIER = "_sync_checkpoint_dir_name_across_ranks"
"""Function of Ray Train in which a report waits for the other workers."""


@dataclass
class KillAtReport:
    """A sink that goes to every worker with its task; there it makes one report end in SIGKILL, the first time.

    `before`: the worker dies instead of reporting. `in`: it dies inside `report`, where it waits for the others.
    `others in`: it dies while another worker is inside and waits for it. `after`: it dies when `report` has returned.
    """

    folder: str
    """Of notes between the workers."""
    rank: int
    step: int
    place: Literal["before", "in", "others in", "after"]

    def log(self, step: int, metrics: dict[str, float]) -> None: ...

    def close(self) -> None: ...

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        plain = ray.train.report

        def report(metrics: dict[str, Any]) -> None:
            if metrics["step"] != self.step or self._noted("killed"):
                return plain(metrics)
            victim = ray.train.get_context().get_world_rank() == self.rank
            if victim and self.place in ("before", "others in"):
                if self.place == "others in":
                    self._await("inside")
                self._die()
            if self.place == ("in" if victim else "others in"):
                threading.Thread(target=self._watch, args=(threading.get_ident(), victim), daemon=True).start()
            elif self.place == "in":  # stays out, so that the victim has to wait inside
                self._await("killed")
            plain(metrics)
            return self._die() if victim else None

        ray.train.report = report

    def _watch(self, thread: int, victim: bool) -> None:
        """Wait until that thread is inside Ray's barrier; then end the process, or tell the victim."""
        pause = threading.Event()
        while not _inside(thread):
            pause.wait(0.01)
        self._die() if victim else self._note("inside")

    def _die(self) -> None:
        self._note("killed")
        os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, name: str) -> None:
        (Path(self.folder) / name).touch()

    def _noted(self, name: str) -> bool:
        return (Path(self.folder) / name).exists()

    def _await(self, name: str) -> None:
        pause = threading.Event()
        while not self._noted(name):
            pause.wait(0.01)


def _inside(thread: int) -> bool:
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if frame.f_code.co_name == BARRIER:
            return True
        frame = frame.f_back
    return False
