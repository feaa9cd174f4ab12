"""Work in the background of a process, done again and again by one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("ray.serve")


class Repeated:
    """Does `work` at once and then every `every_s` seconds, or as soon as it can where a round takes longer.

    A round that fails is logged, and the next one comes as if it had not.
    """

    def __init__(self, name: str, work: Callable[[], None], every_s: float) -> None:
        self._name, self._work, self._every_s = name, work, every_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread = threading.Thread(target=self._run, daemon=True, name=self._name)
        self._thread.start()

    def stop(self) -> None:
        """Begin no further round; returns when the one under way has ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        due = 0.0
        while not self._stop.wait(due):
            started = time.monotonic()
            try:
                self._work()
            except Exception:  # noqa: BLE001 - a thread without a caller: said in the log, tried again
                logger.exception("%s: a round failed; what there was before goes on serving", self._name)
            due = max(0.0, self._every_s - (time.monotonic() - started))
