"""Calls over HTTP: one time limit a call, sent along as the server's deadline; idempotent calls are tried again."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from serving.client.errors import (
    BusyError,
    GatewayError,
    ProblemError,
    UnavailableError,
    UnreachableError,
    problem_of,
)

GRACE_S = 1.0
"""What the server's answer to a passed deadline may take to arrive, beyond the deadline itself."""
PINGED_S = 45.0
"""Longest silence of server-sent events: a living server says something every 15 s."""
_LINE_END = re.compile(r"\r\n|\n|\r(?!\Z)")
"""A CR at the end of a piece may have its LF in the next."""
PASSING = (BusyError, GatewayError, UnavailableError)
"""Answers worth another try."""


@dataclass(frozen=True, kw_only=True)
class RetryConfig:
    """When calls that change nothing by being repeated are tried again: after 429, 503, a 5xx of what stands in front
    of the server, and broken connections.
    """

    tries: int = 5
    """Calls in all, ≥ 1; 1 never repeats."""
    first_wait_s: float = 0.25
    """Before the second try, seconds; doubles from try to try. Retry-After, where it is longer, counts instead."""
    longest_wait_s: float = 20.0
    """Between two tries, seconds; a server that asks for more is taken at its word, and the call ends."""

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ValueError(f"retry.tries is {self.tries}; set it to 1 (never repeat) or above")
        if not 0 <= self.first_wait_s <= self.longest_wait_s:
            raise ValueError(
                f"retry.first_wait_s is {self.first_wait_s}; set it to 0…longest_wait_s ({self.longest_wait_s})"
            )

    def wait_s(self, tried: int, asked_s: float | None) -> float | None:
        """Seconds before the next try after `tried` of them; None where there should be none."""
        if tried >= self.tries or (asked_s or 0.0) > self.longest_wait_s:
            return None
        backoff = min(self.longest_wait_s, self.first_wait_s * 2 ** (tried - 1))
        # Full jitter keeps many clients of one restarted server apart; what the server asks for is a lower bound.
        return max(asked_s or 0.0, random.uniform(backoff / 2, backoff))


class Wire:
    """One server, one key. Safe to share between threads, as httpx's client is."""

    def __init__(
        self, base_url: str, key: str | None, timeout_s: float, retry: RetryConfig, sleep: Callable[[float], None]
    ) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=base_url.rstrip("/"), headers=headers)
        self._timeout_s, self._retry, self._sleep = timeout_s, retry, sleep

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def send(self, method: str, path: str, *, repeat: bool = True, **arguments: Any) -> httpx.Response:
        """The whole answer; a ClientError where it is not a success. `repeat`: whether it may be tried again."""
        return self._sent(method, path, repeat=repeat, stream=False, **arguments)

    @contextmanager
    def opened(self, method: str, path: str, *, repeat: bool = True, **arguments: Any) -> Iterator[httpx.Response]:
        """An answer that is read in the block; nothing is tried again once it has begun."""
        response = self._sent(method, path, repeat=repeat, stream=True, **arguments)
        try:
            yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        finally:
            response.close()

    def events(self, path: str) -> Iterator[tuple[str, str]]:
        """Server-sent events, name and data, until the server closes; UnreachableError where it breaks off.

        No deadline goes along: a stream lasts as long as what it tells of.
        """
        with self.opened("GET", path, silence_s=PINGED_S, headers={"accept": "text/event-stream"}) as response:
            name, data = "message", []
            for line in _lines(response.iter_text()):
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not line and data:
                    yield name, "\n".join(data)
                if not line:
                    name, data = "message", []
                elif field == "event":
                    name = value
                elif field == "data":
                    data.append(value)

    def again(self, tried: int, asked_s: float | None, ends: float) -> bool:
        """Wait before the next try and return True, or False where none should follow or time does not allow one."""
        wait_s = self._retry.wait_s(tried, asked_s)
        if wait_s is None or time.monotonic() + wait_s >= ends:
            return False
        self._sleep(wait_s)
        return True

    def _sent(
        self,
        method: str,
        path: str,
        *,
        repeat: bool,
        stream: bool,
        silence_s: float = 0.0,
        headers: dict[str, str] | None = None,
        **arguments: Any,
    ) -> httpx.Response:
        ends, tried = time.monotonic() + self._timeout_s, 0
        said = {**(headers or {}), "x-request-id": uuid.uuid4().hex}
        while True:
            tried, left_s = tried + 1, max(0.001, ends - time.monotonic())
            request = self._http.build_request(
                method,
                path,
                headers=said if silence_s else {**said, "x-request-timeout": f"{left_s:.3f}"},
                timeout=max(silence_s, left_s + GRACE_S),
                **arguments,
            )
            try:
                response = self._http.send(request, stream=stream)
                if response.is_success:
                    return response
                response.read()
                response.close()
                fault: ProblemError | UnreachableError = problem_of(response)
                passing, asked_s = isinstance(fault, PASSING), fault.retry_after_s
            except httpx.TransportError as error:
                fault, passing, asked_s = self._unreachable(error), True, None
                fault.__cause__ = error
            if not (repeat and passing and self.again(tried, asked_s, ends)):
                raise fault

    def _unreachable(self, error: httpx.TransportError) -> UnreachableError:
        return UnreachableError(f"{self._http.base_url} does not answer ({type(error).__name__}: {error})")


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """Lines of a stream of events, which end in CR, LF or both; `str.splitlines` would also cut at line separators of
    Unicode, which an id may hold.
    """
    rest = ""
    for piece in pieces:
        *whole, rest = _LINE_END.split(rest + piece)
        yield from whole
