"""A closed-loop load on one URL of this machine: so many connections, each asks again as soon as it is answered."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np

Body = Callable[[int], dict[str, Any]]
"""Number of the request → its JSON."""


@dataclass(frozen=True)
class Load:
    """What came back."""

    seconds: float
    statuses: dict[int, int]
    latencies: tuple[float, ...]
    """Seconds, of those answered 200."""

    @property
    def rate(self) -> float:
        """Requests answered 200, a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Seconds; NaN where nothing was answered 200."""
        return float(np.quantile(self.latencies, share)) if self.latencies else float("nan")


async def load(url: str, body: Body | None, connections: int, seconds: float, numbers: itertools.count) -> Load:
    """POST bodies, or GET where there are none, for `seconds`; what is under way at the end is waited for and counts,
    with the time it takes.

    A 429 is asked again when its Retry-After says so, after a tenth of a second where it says nothing.
    """
    statuses, latencies = Counter(), []
    began = time.perf_counter()

    async def one(client: aiohttp.ClientSession) -> None:
        while time.perf_counter() - began < seconds:
            sent = time.perf_counter()
            data = json.dumps(body(next(numbers))) if body else None
            method, headers = ("POST", {"Content-Type": "application/json"}) if body else ("GET", {})
            async with client.request(method, url, data=data, headers=headers) as answer:
                await answer.read()
            statuses[answer.status] += 1
            if answer.status == 200:
                latencies.append(time.perf_counter() - sent)
            elif answer.status == 429:
                left = began + seconds - time.perf_counter()
                await asyncio.sleep(min(float(answer.headers.get("Retry-After", 0.1)), max(left, 0)))

    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as client:
        await asyncio.gather(*(one(client) for _ in range(connections)))
    return Load(time.perf_counter() - began, dict(statuses), tuple(latencies))
