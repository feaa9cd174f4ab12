"""Routes of model versions: what answers, and how another one comes to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI

from serving.answers import responses
from serving.messages import RolloutOut, RolloutRequest, ShadowReport
from serving.versions import Rollout, Versions


def add(app: FastAPI, versions: Versions, model_cards: dict[str, Any], report: Callable[[], ShadowReport]) -> None:
    """What is served, and another version to serve; `model_cards` are those of the deployment, `report` says how a
    challenger compares.
    """

    @app.get("/v1/models", tags=["operation"])
    async def models() -> dict[str, Any]:
        """Model versions the deployment began with, their metrics and lineage, and what is served now."""
        return {**model_cards, "serving": {**versions.models.model_dump(), "rollout": asdict(versions.rollout)}}

    @app.put("/v1/models/generator", tags=["operation"], responses=responses(400, 503, 507))
    async def roll(request: RolloutRequest) -> RolloutOut:
        """Serve another version of the generator, to everyone or to a share of viewers, without a restart.

        It is loaded first; where that fails the answer says why and nothing changes. An alias is resolved once, now.
        """
        return _shown(await versions.roll(request.reference, request.share, shadow=request.shadow))

    @app.delete("/v1/models/generator", tags=["operation"], responses=responses(409, 507))
    async def back() -> RolloutOut:
        """End a comparison, or else a trial; where there is neither, go back to the version before."""
        return _shown(await versions.back())

    @app.get("/v1/models/generator/shadow", tags=["operation"])
    async def compared() -> ShadowReport:
        """Champion and challenger on the same clips, as this ingress replica knows them."""
        return report()


def _shown(rollout: Rollout) -> RolloutOut:
    return RolloutOut(**asdict(rollout))
