"""`POST /v1/clips/stream`: a clip that plays while it is rendered."""

from __future__ import annotations

import json

from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse

from serving import styles
from serving.answers import MP4, responses
from serving.messages import ClipRequest
from serving.renders import Rendered
from serving.shop import Shop


def add(app: FastAPI, shop: Shop) -> None:
    """The route."""

    @app.post(
        "/v1/clips/stream",
        tags=["clips"],
        response_class=Response,
        responses=responses(400, 404, 415, 429, 503, **MP4, description="The clip, as fragmented MP4"),
    )
    async def stream(request: ClipRequest) -> Response:
        """Restyle a product's clip and send it while its frames are being painted, as fragmented MP4.

        A clip that is in the cache comes whole (`x-cache: hit`). Where the render is not fit to be shown the original
        comes back; from a moment in the middle on where the fault shows only there. `x-refused` lists the faults of the
        beginning; `location` has the finished clip once the stream has ended.
        """
        style, model = styles.requested(request.style, shop.presets), shop.versions.models.generator
        made = await shop.stream(request.product_id, style, request.strength, model)
        headers = {
            "location": f"/v1/clips/{made.clip_id}",
            "x-clip-id": made.clip_id,
            "x-model-version": model,
            "x-cache": "hit" if isinstance(made, Rendered) else "miss",
            "x-refused": json.dumps(made.refused),
        }
        if isinstance(made, Rendered):
            return Response(made.data, media_type="video/mp4", headers=headers)
        return StreamingResponse(made.pieces, media_type="video/mp4", headers=headers)
