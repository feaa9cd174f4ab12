"""Metric curves on their way to MLflow: buffered, sent in batches from a thread, kept while the server is away.

One call to MLflow costs 30 to 100 ms, so the training loop never waits for one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from cluster.errors import StorageError, without_password
from cluster.mlflow_store import connect

FLUSH_SECONDS = 2.0
METRICS_A_CALL = 1000  # MLflow's own limit
CLOSE_SECONDS = 10.0
REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
"""Answers of MLflow that would be the same another time."""

log = logging.getLogger(__name__)


class _Logged(NamedTuple):
    """Values of one step."""

    step: int
    at_ms: int
    """Since the epoch."""
    values: dict[str, float]


class MlflowSink:
    """Points of one run's metric curves. Picklable; used by one process at a time (rank 0, or the driver).

    Steps are sent in order, again and again while the server is away (one warning each time it goes away), and each is
    stored once. What is sent twice because an answer was lost is equal to the millisecond, and MLflow keeps equal
    points once. What a killed process had sent before is asked for at the first contact and left out. A metric that
    MLflow refuses is left out with a warning, the others are kept.
    """

    def __init__(self, tracking_uri: str, run_id: str, *, flush_seconds: float = FLUSH_SECONDS) -> None:
        self._tracking_uri = tracking_uri
        self._run_id = run_id
        self._flush_seconds = flush_seconds
        self._reset()

    def _reset(self) -> None:
        self._waiting: list[_Logged] = []
        self._stored: dict[str, set[int]] = {}
        self._refused: set[str] = set()
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
            return sum(len(logged.values) for logged in self._waiting)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the values of one step; returns at once."""
        if not metrics:
            return
        now = time.time_ns() // 1_000_000
        with self._changing:
            self._waiting.append(_Logged(step, now, {name: float(value) for name, value in metrics.items()}))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mlflow-sink", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Send what is left; gives up after 10 s of a server that is away, with a warning that counts what it lacks."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
        if unsent := self.unsent:
            log.warning("MLflow at %s lacks %d metric values of run %s", self._where, unsent, self._run_id)
        self._reset()

    @property
    def _where(self) -> str:
        return without_password(self._tracking_uri)

    def _run(self) -> None:
        closing = self._closing  # of this thread: one that `close` gave up ends when the server lets go of it
        while not closing.wait(self._flush_seconds):
            self._flush()
        deadline = time.monotonic() + CLOSE_SECONDS
        while not self._flush() and time.monotonic() < deadline:
            time.sleep(0.5)

    def _flush(self) -> bool:
        """Send everything that waits; False where the server is away and it stays."""
        from mlflow.exceptions import MlflowException

        with self._sending:
            while True:
                with self._changing:
                    batch = _first(self._waiting)
                if not batch:
                    return True
                try:
                    self._client = self._client or connect(self._tracking_uri)
                    self._send(batch)
                except (MlflowException, StorageError, OSError) as error:
                    if not _is_refusal(error):
                        if not self._away:
                            log.warning("MLflow at %s is away, metrics wait: %s", self._where, error)
                        self._away = True
                        return False
                    count = sum(len(logged.values) for logged in batch)
                    log.warning("MLflow refuses %d metric values of run %s: %s", count, self._run_id, error)
                self._away = False
                with self._changing:
                    del self._waiting[: len(batch)]

    def _send(self, batch: list[_Logged]) -> None:
        """All steps of the batch that the store does not have from an earlier process."""
        from mlflow.entities import Metric

        known, points = set(), []
        for logged in batch:
            # One metric speaks for its step: a step is sent in one call.
            first = next(iter(logged.values))
            if first not in self._stored:
                history = self._client.get_metric_history(self._run_id, first)
                self._stored[first] = {point.step for point in history}
            if logged.step in self._stored[first] and (first, logged.step) not in known:
                known.add((first, logged.step))
            else:
                points += [Metric(name, value, logged.at_ms, logged.step) for name, value in logged.values.items()]
        if points:
            self._store(points)
        for first, step in known:  # a training that goes back logs a step anew, and that counts
            self._stored[first].discard(step)

    def _store(self, points: list[Any]) -> None:
        """In one call; where MLflow refuses that, metric by metric, so that it lacks only the one it refuses."""
        from mlflow.exceptions import MlflowException

        points = [point for point in points if point.key not in self._refused]
        names = list(dict.fromkeys(point.key for point in points))
        try:
            if points:
                self._client.log_batch(self._run_id, metrics=points)
        except MlflowException as error:
            if not _is_refusal(error):
                raise
            if len(names) == 1:
                self._refused.add(names[0])
                log.warning(
                    "MLflow refuses metric %r of run %s, it gets no more of it: %s", *names, self._run_id, error
                )
                return
            for name in reversed(names):  # the one that speaks for the step comes last
                self._store([point for point in points if point.key == name])


def _is_refusal(error: Exception) -> bool:
    return getattr(error, "error_code", "") in REFUSALS


def _first(waiting: list[_Logged]) -> list[_Logged]:
    """As many steps as one call takes; MLflow says no to a single step of more."""
    count = points = 0
    for logged in waiting:
        points += len(logged.values)
        if count and points > METRICS_A_CALL:
            break
        count += 1
    return waiting[:count]
