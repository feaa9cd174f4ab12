"""The folder of a run below the storage root: `run.json`, `workers.json`, `stats.jsonl`, `checkpoints/` and
`checkpoints.json`, `interruptions.json`, `sheets/`, `bundle/`.
"""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

import numpy as np

from cluster.config import to_dict
from cluster.errors import InputError
from cluster.storage import Storage
from trainables.generator.checkpoints import Checkpoints
from trainables.generator.config import TrainConfig

FLUSH_SECONDS = 1.0


class MetricSink(Protocol):
    """Where rank 0 sends its numbers."""

    def log(self, step: int, metrics: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class RunFolder:
    """One run by name."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.storage, self.name = storage, name

    def path(self, relative: str) -> str:
        """Path below the storage root."""
        return f"runs/{self.name}/{relative}"

    @property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.storage, self.path("checkpoints"))

    def describe(self, config: TrainConfig, data_name: str, data_hash: str) -> dict[str, Any]:
        """What the run is, written on its first start. A run of that name with other data or settings is refused."""
        wanted = {
            "kind": "generator",
            "data": data_name,
            "data_hash": data_hash,
            "settings": json.loads(json.dumps(to_dict(config))),
        }
        if not self.storage.exists(self.path("run.json")):
            self.storage.write_json(self.path("run.json"), wanted)
            return wanted
        known = self.storage.read_json(self.path("run.json"))
        # What is kept of a run does not change what it computes.
        differences = _differences({key: known.get(key) for key in wanted}, wanted)
        if changes := [change for change in differences if not change.startswith("keep")]:
            raise InputError(
                f"run {self.name!r} exists with other {', '.join(changes[:5])}; give this one another --run name"
            )
        return known

    def note(self, **values: Any) -> None:
        """Add keys to `run.json`."""
        self.storage.write_json(self.path("run.json"), self.storage.read_json(self.path("run.json")) | values)

    def stats(self) -> list[dict[str, Any]]:
        """Lines of `stats.jsonl`, oldest first."""
        if not self.storage.exists(self.path("stats.jsonl")):
            return []
        return [json.loads(line) for line in self.storage.read_bytes(self.path("stats.jsonl")).decode().splitlines()]

    def interruptions(self) -> dict[str, int]:
        """How often workers had to be started again on Ray, over all commands of the run: `preemptions`, `failures`."""
        path = self.path("interruptions.json")
        return {"preemptions": 0, "failures": 0} | (self.storage.read_json(path) if self.storage.exists(path) else {})

    def count_interruption(self, kind: str) -> None:
        """One more of `preemptions` or `failures`."""
        counts = self.interruptions()
        self.storage.write_json(self.path("interruptions.json"), counts | {kind: counts[kind] + 1})

    def final_metrics(self, steps: int) -> dict[str, float]:
        """`steps` and the terms averaged over the last tenth of the steps."""
        last = [line for line in self.stats() if line["step"] > steps - max(steps // 10, 1)]
        names = [name for name in (last[-1] if last else {}) if name != "step"]
        return {"steps": float(steps)} | {
            name: float(np.mean([line[name] for line in last if name in line])) for name in names
        }


class StatsSink:
    """`stats.jsonl`: a line a step, written whole every second or so and before every checkpoint, so that a resumed run
    lacks no step; it overwrites the steps it repeats.

    Every step goes on to another sink, if there is one. That one first gets the steps of the record so far: it knows
    which of them it had before a process was killed, or while its server was away.
    """

    def __init__(self, folder: RunFolder, checkpoint_every: int, onward: MetricSink | None = None) -> None:
        self._folder, self._checkpoint_every, self._onward = folder, checkpoint_every, onward
        self._lines = folder.stats()
        self._begun = False
        self._next_flush = 0.0

    def log(self, step: int, metrics: dict[str, float]) -> None:
        while self._lines and self._lines[-1]["step"] >= step:
            self._lines.pop()
        self._begin()
        if self._onward is not None:
            self._onward.log(step, metrics)
        self._lines.append({"step": step} | {name: float(f"{value:.6g}") for name, value in metrics.items()})
        if time.monotonic() >= self._next_flush or step % self._checkpoint_every == 0:
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


def _differences(known: Any, wanted: Any, name: str = "") -> list[str]:
    """Dotted names whose values differ, with both values."""
    if isinstance(known, dict) and isinstance(wanted, dict):
        keys = [*wanted, *(key for key in known if key not in wanted)]
        found = [_differences(known.get(key), wanted.get(key), f"{name}.{key}" if name else key) for key in keys]
        return [line for lines in found for line in lines]
    return [] if known == wanted else [f"{name.removeprefix('settings.')} ({known} → {wanted})"]
