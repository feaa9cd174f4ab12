"""Routes of model versions: what answers, and how another one comes to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, get_args

from fastapi import FastAPI

from serving.answers import responses
from serving.messages import RolloutOut, RolloutRequest, ShadowReport
from serving.problems import Problem
from serving.versions import Kind, Rollout, Versions


def add(app: FastAPI, versions: Versions, model_cards: dict[str, Any], report: Callable[[], ShadowReport]) -> None:
    """What is served, and another version to serve; `model_cards` are those of the deployment, `report` says how a
    challenger compares.
    """

    @app.get("/v1/models", tags=["operation"])
    async def models() -> dict[str, Any]:
        """Model versions the deployment began with, their metrics and lineage, and what is served now."""
        rollouts = {kind: asdict(versions.of(kind).rollout) for kind in get_args(Kind)}
        return {**model_cards, "serving": {**versions.models.model_dump(), "rollout": rollouts}}

    @app.put("/v1/models/{kind}", tags=["operation"], responses=responses(400, 503, 507))
    async def roll(kind: Kind, request: RolloutRequest) -> RolloutOut:
        """Serve another version of the generator or the recommender, to everyone or to a share of viewers, without a
        restart.

        It is loaded first; where that fails the answer says why and nothing changes. An alias is resolved once, now.
        """
        if not request.reference.startswith(kind):
            raise Problem.field("reference", f"{request.reference} is no {kind}; put it to another address")
        if request.shadow and kind != "generator":
            raise Problem.field("shadow", "only renders are compared; for recommenders: shopreel evaluate recommender")
        return _shown(await versions.of(kind).roll(request.reference, request.share, shadow=request.shadow))

    @app.delete("/v1/models/{kind}", tags=["operation"], responses=responses(409, 507))
    async def back(kind: Kind) -> RolloutOut:
        """End a comparison, or else a trial; where there is neither, go back to the version before."""
        return _shown(await versions.of(kind).back())

    @app.get("/v1/models/generator/shadow", tags=["operation"])
    async def compared() -> ShadowReport:
        """Champion and challenger on the same clips, as this ingress replica knows them."""
        return report()


def _shown(rollout: Rollout) -> RolloutOut:
    return RolloutOut(**asdict(rollout))
