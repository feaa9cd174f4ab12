"""Metric curves on their way to MLflow: buffered, sent in batches from a thread, kept while the server is away.

One call to MLflow costs 30 to 100 ms, so the training loop never waits for one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from cluster.errors import StorageError
from cluster.mlflow_store import connect

FLUSH_SECONDS = 2.0
METRICS_A_CALL = 1000  # MLflow's own limit
CLOSE_SECONDS = 10.0

log = logging.getLogger(__name__)

Point = tuple[str, float, int, int]
"""Name, value, milliseconds since the epoch, step."""


class MlflowSink:
    """Points of one run's metric curves. Picklable; used by one process at a time (rank 0, or the driver).

    Points are sent in order, again and again while the server is away (one warning each time it goes away). Each
    carries the time it was logged at, and MLflow stores equal points once: one that is sent twice is there once.
    """

    def __init__(self, tracking_uri: str, run_id: str, *, flush_seconds: float = FLUSH_SECONDS) -> None:
        self._tracking_uri = tracking_uri
        self._run_id = run_id
        self._flush_seconds = flush_seconds
        self._reset()

    def _reset(self) -> None:
        self._points: list[Point] = []
        self._changing = threading.Lock()
        self._sending = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: Any = None
        self._away = False

    def __getstate__(self) -> dict[str, Any]:
        return {"_tracking_uri": self._tracking_uri, "_run_id": self._run_id, "_flush_seconds": self._flush_seconds}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def unsent(self) -> int:
        """Points that MLflow has not confirmed yet."""
        with self._changing:
            return len(self._points)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the values of one step; returns at once."""
        now = time.time_ns() // 1_000_000
        with self._changing:
            self._points += [(name, float(value), now, step) for name, value in metrics.items()]
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mlflow-sink", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Send what is left; gives up after 10 s of an unreachable server, with a warning that counts what was lost."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        deadline = time.monotonic() + CLOSE_SECONDS
        while not self._flush() and time.monotonic() < deadline:
            time.sleep(0.5)
        if lost := self.unsent:
            log.warning("MLflow at %s never took %d metric values of run %s", self._tracking_uri, lost, self._run_id)
        self._reset()

    def _run(self) -> None:
        while not self._closing.wait(self._flush_seconds):
            self._flush()

    def _flush(self) -> bool:
        """Send everything buffered; False where the server is away and the points stay."""
        from mlflow.entities import Metric
        from mlflow.exceptions import MlflowException

        with self._sending:
            while True:
                with self._changing:
                    batch = self._points[:METRICS_A_CALL]
                if not batch:
                    return True
                try:
                    self._client = self._client or connect(self._tracking_uri)
                    self._client.log_batch(self._run_id, metrics=[Metric(*point) for point in batch])
                except (MlflowException, StorageError, OSError) as error:
                    if getattr(error, "error_code", "") not in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
                        if not self._away:
                            log.warning("MLflow at %s is away, metrics wait: %s", self._tracking_uri, error)
                        self._away = True
                        return False
                    log.warning("MLflow refuses %d metric values of run %s: %s", len(batch), self._run_id, error)
                self._away = False
                with self._changing:
                    del self._points[: len(batch)]
