"""The folder of a run below the storage root: `run.json`, `workers.json`, `stats.jsonl`, `checkpoints/` and
`checkpoints.json`, `interruptions.json`, `sheets/`, `bundle/`, `driver.lock`.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from cluster.errors import InputError
from cluster.storage import Storage
from trainables.runs.checkpoints import Checkpoints
from trainables.runs.driver_lock import alone


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

    def driven(self) -> AbstractContextManager[None]:
        """Inside the block this process alone drives the run, as far as `alone` can see to it."""
        told = f"run {self.name!r} is being trained by another command"
        return alone(self.storage, f"runs/{self.name}", told, "give this one another --run name")

    def describe(
        self, kind: str, settings: dict[str, Any], data_name: str, data_hash: str, **origins: str | None
    ) -> dict[str, Any]:
        """What the run is, written on its first start. A run of that name with other data, settings or origins (digests
        of what else it learns from, by name) is refused; one of before, which does not say its origins, goes on.

        What is kept (`keep.*`) may change: where it goes by another term, what was measured so far counts no more.
        """
        plain = json.loads(json.dumps(settings))
        wanted = {"kind": kind, "data": data_name, "data_hash": data_hash, "settings": plain} | origins
        if not self.storage.exists(self.path("run.json")):
            if self.storage.exists(self.path("config.json")):
                raise InputError(f"run {self.name!r} is one of a recommender; give this one another --run name")
            self.storage.write_json(self.path("run.json"), wanted)
            return wanted
        known = self.noted()
        before = origins | known
        if changes := _differences(_computed({key: before.get(key) for key in wanted}), _computed(wanted)):
            raise InputError(
                f"run {self.name!r} exists with other {', '.join(changes[:5])}; give this one another --run name"
            )
        if known["settings"] != plain:
            if _lowest(known) != _lowest(wanted):
                self.storage.delete(self.path("checkpoints.json"))
            self.note(settings=plain)
        return known | {"settings": plain}

    def noted(self) -> dict[str, Any]:
        """What `run.json` says; empty where there is none yet."""
        path = self.path("run.json")
        return self.storage.read_json(path) if self.storage.exists(path) else {}

    def note(self, **values: Any) -> None:
        """Add keys to `run.json`."""
        self.storage.write_json(self.path("run.json"), self.storage.read_json(self.path("run.json")) | values)

    def stats(self) -> list[dict[str, Any]]:
        """Lines of `stats.jsonl`, oldest first."""
        if not self.storage.exists(self.path("stats.jsonl")):
            return []
        data = self.storage.read_bytes(self.path("stats.jsonl"))
        try:
            return [json.loads(line) for line in data.decode().splitlines()]
        except ValueError as error:
            path = self.storage.uri(self.path("stats.jsonl"))
            raise InputError(f"{path} is damaged: {error}; put back a copy, or delete it") from error

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


def _computed(run: dict[str, Any]) -> dict[str, Any]:
    """A run without the settings of what is kept of it: they do not change what it computes."""
    settings = run["settings"] or {}
    return run | {"settings": {name: value for name, value in settings.items() if name != "keep"}}


def _lowest(run: dict[str, Any]) -> str | None:
    """The term by which a run keeps its best checkpoint."""
    return (run["settings"].get("keep") or {}).get("lowest")


def _differences(known: Any, wanted: Any, name: str = "") -> list[str]:
    """Dotted names whose values differ, with both values."""
    if isinstance(known, dict) and isinstance(wanted, dict):
        keys = [*wanted, *(key for key in known if key not in wanted)]
        found = [_differences(known.get(key), wanted.get(key), f"{name}.{key}" if name else key) for key in keys]
        return [line for lines in found for line in lines]
    return [] if known == wanted else [f"{name.removeprefix('settings.')} ({known} → {wanted})"]
