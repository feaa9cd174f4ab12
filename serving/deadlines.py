"""The caller's deadline: read at the door, bounded, and carried down the chain to every model.

A client sends `X-Request-Timeout: 2.5` (seconds; `Request-Timeout` is read as well). Inside, a deadline is a point in
time, seconds since 1970, so that queues on other machines can honour it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import Problem

HEADERS = ("x-request-timeout", "request-timeout")
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class Deadlines:
    """ASGI middleware: a request that has not begun to answer by its caller's deadline is cancelled, with all that it
    waits for, and answered 504.
    """

    def __init__(self, app: ASGIApp, *, most_s: float) -> None:
        """`most_s`: longest time a caller may ask for, seconds; more is cut to it."""
        self.app = app
        self.most_s = most_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        name = next((name for name in HEADERS if name in headers), None)
        if name is None:
            await self.app(scope, receive, send)
            return
        seconds = min(_seconds(name, headers[name]), self.most_s)
        token = _deadline.set(time.time() + seconds)
        try:
            async with asyncio.timeout(seconds) as patience:

                async def answering(message: Message) -> None:
                    patience.reschedule(None)  # what has begun may end
                    await send(message)

                await self.app(scope, receive, answering)
        except TimeoutError as error:
            if not patience.expired():
                raise
            raise passed() from error
        finally:
            _deadline.reset(token)


def current() -> float | None:
    """The deadline of the request that runs, seconds since 1970; None where its caller gave none."""
    return _deadline.get()


def left() -> float:
    """Seconds until the caller's deadline, infinite where there is none; a Problem 504 where it has passed."""
    deadline = _deadline.get()
    if deadline is None:
        return math.inf
    if (seconds := deadline - time.time()) <= 0:
        raise passed()
    return seconds


def has_passed() -> bool:
    """Whether the caller no longer waits."""
    deadline = _deadline.get()
    return deadline is not None and deadline <= time.time()


def passed() -> Problem:
    """The answer to a caller whose deadline has passed."""
    return Problem(504, "the deadline of this request passed before it could be answered; allow it more time")


@contextlib.contextmanager
def lifted() -> Iterator[None]:
    """Work that is started in the block outlives the request and has no deadline."""
    token = _deadline.set(None)
    try:
        yield
    finally:
        _deadline.reset(token)


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise Problem.field(name, f"is {text[:40]!r}; give seconds above 0, such as 2.5", status=400)
    return seconds
