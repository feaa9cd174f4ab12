"""`GET /metrics`."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from fastapi.responses import Response

from serving.metrics import MEDIA_TYPE, Metrics


def add(app: FastAPI, metrics: Metrics, replica: str) -> None:
    """`replica` tells the figures of one ingress replica from another's."""

    @app.get("/metrics", tags=["operation"], response_class=Response)
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(await asyncio.to_thread(metrics.text, replica), media_type=MEDIA_TYPE)
