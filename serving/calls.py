"""Calls from the ingress to the models: deadlines, one retry on a dead replica, and back-pressure as an answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from serving import deadlines, tracing
from serving.problems import Problem
from serving.render_queue import DeadlinePassedError

RETRY_AFTER_S = 2


async def stream(handle: DeploymentHandle, method: str, *args: Any, timeout_s: float) -> AsyncGenerator[Any]:
    """Messages of `handle.method(*args)`. One that met a dead replica before its first message is sent once more.

    Raises as `call` does where the first message fails or does not come in time; what nobody reads is cancelled.
    """
    messages = handle.options(stream=True)
    for last_try in (False, True):
        response = getattr(messages, method).remote(*args, **tracing.carried())
        try:
            async with answers(handle.deployment_name, timeout_s):
                try:
                    first = await anext(response)
                except (ActorDiedError, ActorUnavailableError):
                    if last_try:
                        raise
                    continue
            yield first
            async for message in response:
                yield message
            return
        finally:
            response.cancel()


async def call(handle: DeploymentHandle, method: str, *args: Any, timeout_s: float) -> Any:
    """Await `handle.method(*args)`. All calls are idempotent, so one that met a dead replica is sent once more.

    Raises Problem 429 where the queue is full, 503 where no replica answers in `timeout_s` seconds, 504 where the
    caller's deadline passes before that; what was asked of the replica is then cancelled.
    """
    with tracing.span(f"call {handle.deployment_name}.{method}"):
        async with answers(handle.deployment_name, timeout_s):
            try:
                return await _attempt(handle, method, args)
            except (ActorDiedError, ActorUnavailableError):
                return await _attempt(handle, method, args)


@contextlib.asynccontextmanager
async def answers(who: str, timeout_s: float) -> AsyncIterator[None]:
    """What keeps a model from answering becomes a Problem, with the status that `call` says."""
    try:
        async with asyncio.timeout(min(timeout_s, deadlines.left())):
            yield
    except BackPressureError as error:
        raise Problem(429, f"the {who} is busy; try again", headers={"retry-after": str(RETRY_AFTER_S)}) from error
    except DeadlinePassedError as error:
        raise deadlines.passed() from error
    except (ActorDiedError, ActorUnavailableError, DeploymentUnavailableError, TimeoutError) as error:
        if deadlines.has_passed():
            raise deadlines.passed() from error
        raise Problem(
            503, f"the {who} does not answer; try again", headers={"retry-after": str(RETRY_AFTER_S)}
        ) from error


async def _attempt(handle: DeploymentHandle, method: str, args: tuple) -> Any:
    response = getattr(handle, method).remote(*args, **tracing.carried())
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()  # what nobody waits for any more leaves the queue
        raise
