"""How many replicas run, as Serve's controller says; where it does not, nobody waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

logger = logging.getLogger("ray.serve")

PATIENCE_S = 2.0
"""While the head is away, a question to the controller may take minutes to fail."""


class ReplicaCounts:
    """Replicas that run, for whoever reads the figures: one question at a time, in a thread of its own."""

    def __init__(self, ask: Callable[[], Mapping[str, float]]) -> None:
        """`ask` puts the question, and may take as long as it likes."""
        self._ask = ask
        self._change = threading.Lock()
        self._asked: Future[Mapping[str, float]] | None = None

    def __call__(self) -> Mapping[str, float]:
        """By deployment; nothing where the controller has not answered within `PATIENCE_S`, or could not."""
        with self._change:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                # A daemon: a process that ends does not wait for it either.
                threading.Thread(target=self._answer, args=(self._asked,), daemon=True, name="replica-counts").start()
            asked = self._asked
        try:
            return asked.result(PATIENCE_S)
        except Exception:  # noqa: BLE001 - a figure that is missing must not cost the others; the log has it
            logger.exception("replicas are not counted: Serve's controller does not answer")
            return {}

    def _answer(self, asked: Future[Mapping[str, float]]) -> None:
        try:
            asked.set_result(self._ask())
        except Exception as error:  # noqa: BLE001 - raised to whoever waits
            asked.set_exception(error)
