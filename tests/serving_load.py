"""Clients at work on a served tiny shop: what they were answered, and what was acknowledged to them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

from cluster.settings import Settings
from serving.args import AppArgs
from serving.client import EventIn, ProblemError, RetryConfig, ShopClient
from serving.run import serve_app
from tests.e2e.tiny_shop import NAME, PRODUCTS
from tests.integration.test_serving_app import PATIENCE_S, SCALING
from tests.waiting import free_port, wait_for

ONCE = RetryConfig(tries=1)


@contextmanager
def served(settings: Settings, **fields: Any) -> Iterator[str]:
    """The tiny shop, served."""
    args = AppArgs.for_settings(settings, NAME, feed_wait_s=PATIENCE_S, **{"generator_replicas": SCALING, **fields})
    with serve_app(args.model_dump(), port=free_port()) as url:
        yield url


class Load:
    """Clients at work: recommendations, events, and clips that no cache has."""

    def __init__(self, base_url: str, retry: RetryConfig) -> None:
        self._url, self._retry = base_url, retry
        self._numbers = count()
        self._stop = threading.Event()
        self.good: Counter[str] = Counter()
        """Answers by route."""
        self.problems: list[ProblemError] = []
        self.broken: list[Exception] = []
        """Calls that no answer came to."""
        self.acknowledged: set[str] = set()

    def run(self) -> None:
        with ShopClient(self._url, timeout_s=PATIENCE_S, retry=self._retry) as shop:
            while not self._stop.is_set():
                number = next(self._numbers)
                event_id = f"{id(self)}-{number}"
                event = EventIn(viewer=f"v{number}", product_id="p01", event_type="click", event_id=event_id)
                if self._ask("events", shop.record, event):
                    self.acknowledged.add(event_id)
                self._ask("recommend", shop.recommend, f"v{number - 1}", 3)
                style = {"neon": 1 + number % 997, "ink": 1 + number // 997, "sport": 1}
                self._ask("clips", shop.clip, PRODUCTS[number % 12], style)

    def stop(self) -> None:
        self._stop.set()

    def _ask(self, route: str, call: Any, *arguments: Any) -> bool:
        try:
            call(*arguments)
        except ProblemError as problem:
            self.problems.append(problem)
        except Exception as error:  # noqa: BLE001 - the test looks at all of them
            self.broken.append(error)
        else:
            self.good[route] += 1
            return True
        return False

    def going_on(self, more: int = 5) -> None:
        """Return after so many more good answers of every route."""
        wanted = {route: self.good[route] + more for route in ("events", "recommend", "clips")}
        wait_for(lambda: all(self.good[route] >= number for route, number in wanted.items()), "good answers")

    def refused(self, more: int = 5) -> None:
        """Return after so many more problems."""
        wanted = len(self.problems) + more
        wait_for(lambda: len(self.problems) >= wanted, "answers that are no success")


@contextmanager
def load(base_url: str, *, clients: int = 3, retry: RetryConfig = ONCE) -> Iterator[Load]:
    """Load inside the block."""
    made = Load(base_url, retry)
    with ThreadPoolExecutor(clients) as pool:
        working = [pool.submit(made.run) for _ in range(clients)]
        try:
            made.going_on()
            yield made
        finally:
            made.stop()
        for future in working:
            future.result()
