"""Calls from the ingress to the models: deadlines, one retry on a dead replica, and back-pressure as an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from serving.problems import Problem

RETRY_AFTER_S = 2


async def call(handle: DeploymentHandle, method: str, *args: Any, timeout_s: float) -> Any:
    """Await `handle.method(*args)`. All calls are idempotent, so one that met a dead replica is sent once more.

    Raises Problem 429 where the queue is full, 503 where no replica answers in `timeout_s` seconds.
    """
    try:
        try:
            return await _attempt(handle, method, args, timeout_s)
        except (ActorDiedError, ActorUnavailableError):
            return await _attempt(handle, method, args, timeout_s)
    except BackPressureError as error:
        raise Problem(
            429, f"the {handle.deployment_name} is busy; try again", headers={"retry-after": str(RETRY_AFTER_S)}
        ) from error
    except (ActorDiedError, ActorUnavailableError, DeploymentUnavailableError, TimeoutError) as error:
        raise Problem(
            503, f"the {handle.deployment_name} does not answer; try again", headers={"retry-after": str(RETRY_AFTER_S)}
        ) from error


async def _attempt(handle: DeploymentHandle, method: str, args: tuple, timeout_s: float) -> Any:
    response = getattr(handle, method).remote(*args)
    try:
        async with asyncio.timeout(timeout_s):
            return await response
    except (TimeoutError, asyncio.CancelledError):
        response.cancel()  # what nobody waits for any more leaves the queue
        raise
