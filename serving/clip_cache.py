"""Rendered clips by id, in memory and under the storage root, both bounded in bytes; least recently used go first.

An id is a hash over everything that decides the bytes (product and its pixels, style code, strength, model version),
so a clip never changes under its id and no entry ever needs to be invalidated.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Collection

import numpy as np
import pyarrow.fs as pafs

from cluster.errors import NotFoundError, StorageError
from cluster.storage import Storage

logger = logging.getLogger("ray.serve")

FOLDER = "clips"
ID_DIGITS = 32


def clip_id(source: str, code_S: np.ndarray, strength: float, model: str) -> str:
    """Id of the clip that `model` renders of `source` (a clip's id or a hash of an upload) in a style at a strength."""
    digest = hashlib.sha256(f"{source}\0{strength:.4f}\0{model}\0".encode())
    digest.update(np.round(np.asarray(code_S, np.float64), 4).astype("<f4").tobytes())
    return digest.hexdigest()[:ID_DIGITS]


def original_id(source: str) -> str:
    """Id of a product's own clip as MP4."""
    return hashlib.sha256(f"original\0{source}".encode()).hexdigest()[:ID_DIGITS]


def refusal_id(rendered: str) -> str:
    """Id of the original that is shown instead of a clip that was refused; `rendered` is that clip's id."""
    return hashlib.sha256(f"refused\0{rendered}".encode()).hexdigest()[:ID_DIGITS]


def is_clip_id(text: str) -> bool:
    """Whether a text from outside has the form of a clip id."""
    return len(text) == ID_DIGITS and all(c in "0123456789abcdef" for c in text)


class ClipCache:
    """Two tiers of MP4 bytes, safe to share between threads. Calls block on storage: an event loop uses a thread."""

    def __init__(self, storage: Storage, *, memory_bytes: int, storage_bytes: int) -> None:
        self._storage = storage
        self._memory_bytes = memory_bytes
        self._storage_bytes = storage_bytes
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._in_memory = 0
        self._stored = _stored_sizes(storage)
        self._in_storage = sum(self._stored.values())
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """The clip, or None; StorageReadError where storage cannot be read."""
        if data := self.peek(key):
            return data
        try:
            data = self._storage.read_bytes(_path(key))
        except NotFoundError:
            return None
        with self._lock:
            self._account(key, len(data))
            self._remember(key, data)
        return data

    def peek(self, key: str) -> bytes | None:
        """The clip where it is in memory; never blocks on storage."""
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        return None

    def put(self, key: str, data: bytes) -> None:
        """Keep a clip; where storage cannot be written (a full disk), in memory alone, and the log says so."""
        try:
            self._storage.write_bytes(_path(key), data)
        except StorageError as error:
            logger.error("clip %s is kept in memory only: %s", key, error)
            with self._lock:
                self._remember(key, data)
            return
        with self._lock:
            self._account(key, len(data))
            self._remember(key, data)
            dropped = self._overflow(key)
        for old in dropped:
            self._storage.delete(_path(old))

    def discard(self, keys: Collection[str]) -> int:
        """Forget clips; returns how many of them were kept."""
        with self._lock:
            for key in keys:
                self._in_storage -= self._stored.pop(key, 0)
                self._in_memory -= len(self._memory.pop(key, b""))
        stored = [key for key in _stored_sizes(self._storage) if key in keys]
        for key in stored:
            self._storage.delete(_path(key))
        return len(stored)

    def recount(self) -> None:
        """Know again what is on storage, where other replicas keep and drop clips as well: the bound is for all."""
        found = _stored_sizes(self._storage)
        with self._lock:
            known = {key: found.pop(key) for key in self._stored if key in found}
            self._stored = OrderedDict({**known, **found})  # what is new to this replica is what was kept last
            self._in_storage = sum(self._stored.values())
            dropped = self._overflow()
        for old in dropped:
            self._storage.delete(_path(old))

    def empty_memory(self) -> None:
        """Hold nothing in memory any more; what is on storage stays."""
        with self._lock:
            self._memory.clear()
            self._in_memory = 0

    def sizes(self) -> dict[str, float]:
        """Bytes in each tier."""
        with self._lock:
            return {"memory": self._in_memory, "storage": self._in_storage}

    def _remember(self, key: str, data: bytes) -> None:
        self._in_memory += len(data) - len(self._memory.get(key, b""))
        self._memory[key] = data
        self._memory.move_to_end(key)
        while self._in_memory > self._memory_bytes:
            self._in_memory -= len(self._memory.popitem(last=False)[1])

    def _account(self, key: str, size: int) -> None:
        self._in_storage += size - self._stored.get(key, 0)
        self._stored[key] = size
        self._stored.move_to_end(key)

    def _overflow(self, newest: str | None = None) -> list[str]:
        """Forget the least recently used clips beyond the bound; the newest stays whatever its size."""
        dropped = []
        while self._in_storage > self._storage_bytes and next(iter(self._stored)) != newest:
            key, size = self._stored.popitem(last=False)
            self._in_storage -= size
            self._in_memory -= len(self._memory.pop(key, b""))
            dropped.append(key)
        return dropped


def _path(key: str) -> str:
    return f"{FOLDER}/{key[:2]}/{key}.mp4"


def _stored_sizes(storage: Storage) -> OrderedDict[str, int]:
    """Sizes of the clips on storage, oldest first."""
    selector = pafs.FileSelector(storage.path(FOLDER), recursive=True, allow_not_found=True)
    files = [info for info in storage.filesystem.get_file_info(selector) if info.base_name.endswith(".mp4")]
    files.sort(key=lambda info: info.mtime_ns or 0)
    return OrderedDict((info.base_name.removesuffix(".mp4"), info.size) for info in files)
