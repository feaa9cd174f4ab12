"""One command at a time drives a run or a sweep, or changes a dataset."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cluster.errors import InputError, StorageError
from cluster.storage import Storage, fix_of_a_write

log = logging.getLogger(__name__)

LOCK_SECONDS = 5.0
"""A driver that was killed a moment ago may still be there for so long."""


@contextmanager
def alone(storage: Storage, folder: str, told: str, fix: str) -> Iterator[None]:
    """Inside the block this process alone holds `driver.lock` in a folder of the storage, where the storage is one; of
    another store nobody can be kept out. InputError while another process does: `told` says what it is doing, `fix`
    what else to do than to wait.
    """
    if not storage.is_local:
        yield
        return
    file = Path(storage.path(f"{folder}/driver.lock"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("ab+", buffering=0)
    except OSError as error:
        raise StorageError(f"cannot write {file}: {error}; {fix_of_a_write(error)}, or set SHOPREEL_HOME") from error
    with lock:
        _take(lock, told, fix)
        with suppress(OSError):  # a full disk has no room for who it is, which only the other command would say
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield


def _take(lock: IO[bytes], told: str, fix: str) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            lock.seek(0)
            raise InputError(f"{told} ({lock.read().decode()}); wait until that has ended, or {fix}") from error
        except OSError as error:  # some network file systems know no locks
            return log.warning("%s: %s; see that no second command does the same", lock.name, error)
