"""Checkpoints of a training: whole or not at all, verified before use, never a pickle that runs code."""

from __future__ import annotations

import hashlib
import io
import logging
import random
from typing import Any

import numpy as np
import torch

from cluster.errors import InputError
from cluster.storage import Storage

MAGIC = b"shopreel generator checkpoint 1\n"
KEPT = 3
log = logging.getLogger(__name__)


class Checkpoints:
    """Checkpoints `step-NNNNNNNN.ckpt` in one folder of the storage; the newest readable one counts."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self.storage, self.folder = storage, folder

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` updates, then drop all but the newest few."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getvalue()
        data = MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload
        self.storage.write_bytes(f"{self.folder}/step-{step:08d}.ckpt", data)
        for name in self._names()[:-KEPT]:
            self.storage.delete(f"{self.folder}/{name}")

    def newest(self) -> dict[str, Any] | None:
        """State of the newest checkpoint that is whole; a damaged one is named in a warning and the one before it is
        taken.
        """
        for name in reversed(self._names()):
            try:
                return self.load(name)
            except InputError as error:
                log.warning("%s; taking the checkpoint before it", error)
        return None

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

    def _names(self) -> list[str]:
        return [name for name in self.storage.list(self.folder) if name.startswith("step-") and name.endswith(".ckpt")]


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
