"""Checkpoints of a training: whole or not at all, verified before use, never a pickle that runs code."""

from __future__ import annotations

import hashlib
import io
import logging
import math
import random
from typing import Any

import numpy as np
import torch

from cluster.errors import InputError
from cluster.storage import Storage

MAGIC = b"shopreel generator checkpoint 1\n"
log = logging.getLogger(__name__)


class Checkpoints:
    """Checkpoints `step-NNNNNNNN.ckpt` in one folder of the storage, and beside it `FOLDER.json` with the measure of
    each. The newest readable one counts.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self.storage, self.folder = storage, folder

    def save(self, step: int, state: dict[str, Any], *, measure: float | None = None, newest: int = 3) -> None:
        """Write the state after `step` updates, then drop all but the `newest` and the one of the lowest measure."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getvalue()
        data = MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload
        name = f"step-{step:08d}.ckpt"
        measures, before = self.measures(), self.names()
        if measure is not None:
            # Before the file, so that no checkpoint is ever without its measure.
            measures = {known: value for known, value in measures.items() if known in before} | {name: measure}
            self.storage.write_json(f"{self.folder}.json", measures)
        self.storage.write_bytes(f"{self.folder}/{name}", data)
        # The training went back over those of later steps, which were damaged: they must not outlive this one.
        later = [known for known in before if known > name]
        names = sorted({*before, name}.difference(later))
        best = _by_measure(names, measures)[:1]
        # What a killed process had begun to write goes as well: a folder has one writer.
        begun = [known for known in self.storage.list(self.folder) if known.endswith(".tmp")]
        for old in [*later, *(known for known in names[:-newest] if known not in best), *begun]:
            self.storage.delete(f"{self.folder}/{old}")

    def newest(self) -> dict[str, Any] | None:
        """State of the newest checkpoint that is whole; a damaged one is named in a warning and the one before it is
        taken.
        """
        return self._first_whole(self.names()[::-1])

    def best(self) -> dict[str, Any] | None:
        """State of the whole checkpoint with the lowest measure; the newest where none was measured."""
        return self._first_whole(_by_measure(self.names(), self.measures())) or self.newest()

    def names(self) -> list[str]:
        """File names, the oldest first."""
        return [name for name in self.storage.list(self.folder) if name.startswith("step-") and name.endswith(".ckpt")]

    def measures(self) -> dict[str, float]:
        """Measures by file name, of the checkpoints that have one; lower is better."""
        path = f"{self.folder}.json"
        return self.storage.read_json(path) if self.storage.exists(path) else {}

    def load(self, name: str) -> dict[str, Any]:
        """One checkpoint by file name; a truncated or foreign file is refused with its path."""
        path = self.storage.uri(f"{self.folder}/{name}")
        data = self.storage.read_bytes(f"{self.folder}/{name}")
        if not data.startswith(MAGIC):
            raise InputError(f"{path} is no generator checkpoint")
        digest, payload = data[len(MAGIC) : len(MAGIC) + 64], data[len(MAGIC) + 65 :]
        if hashlib.sha256(payload).hexdigest().encode() != digest:
            raise InputError(f"checkpoint {path} does not match its checksum; it is truncated or damaged")
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)

    def _first_whole(self, names: list[str]) -> dict[str, Any] | None:
        for name in names:
            try:
                return self.load(name)
            except InputError as error:
                log.warning("%s; taking the checkpoint before it", error)
        return None


def _by_measure(names: list[str], measures: dict[str, float]) -> list[str]:
    """The names that have a measure, the lowest first; of equal ones the older. One that is no number says nothing."""
    known = [name for name in names if math.isfinite(measures.get(name, math.nan))]
    return sorted(known, key=lambda name: (measures[name], name))


def seed_everything(seed: int, rank: int, step: int) -> None:
    """Start python's, numpy's and torch's global generators for a step. What else draws from them in this process (a
    scheduler's thread, a library) then has no say in the training.
    """
    value = int(np.random.default_rng((seed, rank, 2, step)).integers(2**32))
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def rng_state() -> dict[str, Any]:
    """State of python's, numpy's and torch's global generators, as tensors and plain numbers."""
    version, internal, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    state = {
        "python": [version, torch.tensor(internal, dtype=torch.int64), gauss],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Put the global generators back where `rng_state` found them."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal.tolist()), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
