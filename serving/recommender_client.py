"""serving.shop.RecommenderClient, over a deployment or inside the process that asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.serve.handle import DeploymentHandle

from cluster.registry import ModelVersion
from serving.args import AppArgs
from serving.calls import answers, call
from serving.contracts import Answer
from serving.recommender import LiveRecommender

if TYPE_CHECKING:
    from trainables.recommender.recommender import Recommendation

RECOMMEND_TIMEOUT_S = 30.0
"""Time enough for another replica to come up where the only one died; a caller in a hurry sets a deadline."""
LOAD_TIMEOUT_S = 120.0
"""A recommender counts the whole log anew before it answers."""
PLAIN = {"request_serialization": "pickle", "response_serialization": "pickle"}
"""Messages between deployments are instances of importable classes: Serve's default, which can carry any, asks Python
about every one of their parts and takes milliseconds for a slate.
"""


class _Bounded:
    """The calls, each with its bound of time."""

    async def recommend(self, *args: Any) -> Answer:
        return await self._asked("recommend", *args, timeout_s=RECOMMEND_TIMEOUT_S)

    async def similar(self, *args: Any) -> list[tuple[str, float]]:
        return await self._asked("similar", *args, timeout_s=RECOMMEND_TIMEOUT_S)

    async def hosts(self, *args: Any) -> list[Recommendation]:
        return await self._asked("hosts", *args, timeout_s=RECOMMEND_TIMEOUT_S)

    async def load(self, model: str) -> None:
        """Have a version at hand; LoadError says why it cannot be loaded."""
        await self._asked("load", model, timeout_s=LOAD_TIMEOUT_S)

    async def _asked(self, method: str, *args: Any, timeout_s: float) -> Any:
        raise NotImplementedError


class RecommenderOnServe(_Bounded):
    """Asks the replicas of a deployment."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle.options(**PLAIN)

    async def _asked(self, method: str, *args: Any, timeout_s: float) -> Any:
        return await call(self._handle, method, *args, timeout_s=timeout_s)


class RecommenderInside(_Bounded):
    """Asks the recommender that this process holds."""

    def __init__(self, args: AppArgs, version: ModelVersion) -> None:
        self._held = LiveRecommender(args, version)

    async def _asked(self, method: str, *args: Any, timeout_s: float) -> Any:
        async with answers("recommender", timeout_s):
            return await getattr(self._held, method)(*args)
