"""Routes of viewers."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from fastapi import Path as PathParameter

from serving.answers import responses
from serving.erasure import Eraser
from serving.messages import PRINTABLE, ErasureReceipt

ViewerPath = Annotated[str, PathParameter(min_length=1, max_length=128, pattern=PRINTABLE)]


def add(app: FastAPI, eraser: Eraser) -> None:
    """`DELETE /v1/viewers/{viewer}`."""

    @app.delete("/v1/viewers/{viewer:path}", tags=["viewers"], responses=responses(404, 503, 507))
    async def erase(viewer: ViewerPath) -> ErasureReceipt:
        """Forget a viewer: events, rows of the viewing log, clips rendered in a look that was mixed for them.

        The next slate is that of a stranger; what is popular and trending is counted again without the viewer. Asked
        twice it answers twice.
        """
        return await eraser.erase(viewer)
