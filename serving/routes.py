"""The HTTP side: a FastAPI application over a Shop. Runs under Serve, and in a test without it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from serving import (
    feed_routes,
    job_routes,
    media,
    metric_routes,
    posters,
    problems,
    stream_routes,
    styles,
    tracing,
    version_routes,
    viewer_routes,
)
from serving.answers import MP4, MP4_OR_WEBP, responses
from serving.args import DemoViewer
from serving.consent import Consent
from serving.deadlines import Deadlines
from serving.door.gate import Gate
from serving.door.head import Heads
from serving.door.middleware import Door
from serving.door.openapi import describe_door
from serving.door.ring import KeyRing
from serving.door.session import add_session
from serving.door.settings import AccessArgs, LimitArgs
from serving.erasure import Eraser
from serving.feeds import Feeds
from serving.haproxy import CALL_HEADER
from serving.jobs import Jobs
from serving.messages import (
    MAX_RECOMMEND,
    ClipProvenance,
    ClipRequest,
    EventBatch,
    EventsStored,
    Hosts,
    HostsRequest,
    RecommendRequest,
    Similar,
    Slate,
)
from serving.observing import Observer
from serving.problems import Problem
from serving.shop import Rendered, Shop

STOREFRONT = Path(__file__).parent / "storefront"
FOREVER = "private, max-age=31536000, immutable"
BRIEFLY = "private, max-age=300"
ProductPath = Annotated[str, PathParameter(min_length=1, max_length=256)]


class PageFiles(StaticFiles):
    """What the pages consist of. A browser asks each time whether it has changed, or it would go on for days with the
    scripts of the version before.
    """

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = "no-cache"
        return response


def build_http(
    shop: Shop,
    feeds: Feeds,
    jobs: Jobs,
    eraser: Eraser,
    *,
    model_cards: dict[str, Any],
    viewers: tuple[DemoViewer, ...],
    access: AccessArgs,
    limits: LimitArgs,
    upload_bytes: int,
    ring: KeyRing | None = None,
    replicas: int = 1,
    most_s: float = 120.0,
    replica: str = "0",
) -> FastAPI:
    """The application; `model_cards` is what `GET /v1/models` answers. `ring`: the keys, None where none are asked for;
    `replicas`: ingresses that share a client's rate; `most_s`: longest deadline a caller may set, seconds;
    `replica`: this ingress's name among the others.
    """
    app = FastAPI(
        title="shopreel",
        summary="What should this viewer see, and in which look?",
        description="Errors are problem documents (RFC 9457, application/problem+json) that name the fields at fault.",
        version="1",
        strict_content_type=False,  # a JSON body without a content type is read as JSON
        redoc_url=None,
        docs_url=None,
    )
    app.add_middleware(Heads)
    app.add_middleware(Deadlines, most_s=most_s)
    app.add_middleware(Gate, ring=ring, limits=limits, replicas=replicas)
    if tracing.is_on():
        app.add_middleware(tracing.Tracing)
    app.add_middleware(
        Door,
        json_bytes=limits.json_bytes,
        upload_bytes=upload_bytes,
        body_seconds=limits.body_seconds,
        embeddable=bool(access.allowed_origins),
    )
    # Around the door: its own answers, of faults and deadlines, are for the listed origins' pages as well.
    if access.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.allowed_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "range", "x-request-id", "x-request-timeout"],
            expose_headers=[
                "location",
                "retry-after",
                "x-cache",
                "x-clip-id",
                "x-model-version",
                "x-refused",
                "x-request-id",
            ],
        )
    app.add_middleware(Observer, metrics=shop.metrics)
    problems.install(app)
    consent = Consent(access.assume_consent)
    _add_slates(app, shop, consent)
    feed_routes.add(app, feeds, consent)
    job_routes.add(app, jobs)
    _add_clips(app, shop)
    stream_routes.add(app, shop)
    _add_products(app, shop)
    _add_health(app, shop)
    version_routes.add(app, shop.versions, model_cards, shop.shadow_report)
    _add_storefront(app, shop, viewers)
    viewer_routes.add(app, eraser)
    metric_routes.add(app, shop.metrics, replica)
    add_session(app, ring)
    describe_door(app, keys=ring is not None)
    return app


def _add_slates(app: FastAPI, shop: Shop, consent: Consent) -> None:
    @app.post("/v1/recommend", tags=["slates"], responses=responses(400))
    async def recommend(request: RecommendRequest) -> Slate:
        """Products for a viewer, without clips."""
        return await shop.slate(consent.viewer(request), request.k)

    @app.post("/v1/hosts", tags=["slates"], responses=responses(400, 404, 503))
    async def hosts(request: HostsRequest) -> Hosts:
        """Creators for a viewer, or the best of the hosts who are live now.

        The first request of a server makes it count its creators and waits for that; 503 with Retry-After where it
        takes longer than 20 seconds. 404 in a shop whose products do not say who made them.
        """
        return await shop.hosts(consent.viewer(request), request.k, request.live)

    @app.post("/v1/events", tags=["slates"], status_code=202, responses=responses(400, 507))
    async def events(batch: EventBatch, request: Request) -> EventsStored:
        """What viewers did: one event or a list. On disk when this answers; the next slate knows them.

        All or nothing: where one event is wrong, none is stored and the answer names each fault, so that the same
        request can be mended and sent again. An `event_id` seen before is accepted and not stored twice.
        """
        agreed = [event for event in batch.root if consent.given(event)]
        refused = len(batch.root) - len(agreed)
        stored = await shop.record(agreed, call=request.headers.get(CALL_HEADER, ""))
        return EventsStored(accepted=len(batch.root), stored=stored, without_consent=refused)


def _add_clips(app: FastAPI, shop: Shop) -> None:
    schema = {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ClipRequest.model_json_schema()},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file", "style"],
                        "properties": {
                            "file": {
                                "type": "string",
                                "format": "binary",
                                "description": "A clip, any common container.",
                            },
                            "style": {
                                "type": "string",
                                "description": "A preset's name, or weights or a style code as JSON.",
                            },
                            "strength": {"type": "number", "default": 1.0, "minimum": 0, "maximum": 1},
                        },
                    }
                },
            },
        }
    }

    @app.post(
        "/v1/clips",
        tags=["clips"],
        response_class=Response,
        openapi_extra=schema,
        responses=responses(400, 404, 413, 415, 429, 503, **MP4_OR_WEBP, description="The clip"),
    )
    async def restyle(request: Request) -> Response:
        """Restyle a product's clip (JSON) or an uploaded clip (multipart) and answer with the MP4.

        Where the render is not fit to be shown the original comes back, and `x-refused` lists why (else it is `[]`).
        With `Accept: image/webp` the answer is the clip's first frame.
        """
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        model = shop.versions.models.generator  # once: another version may be rolled out while this one renders
        if content_type == "multipart/form-data":
            with shop.uploads.place():
                rendered = await _restyle_form(request, shop, model)
        elif content_type in ("application/json", ""):
            rendered = await _restyle_json(await request.body(), shop, model)
        else:
            raise Problem(415, f"send application/json or multipart/form-data, not {content_type[:60]!r}")
        extra = {
            "location": f"/v1/clips/{rendered.clip_id}",
            "x-clip-id": rendered.clip_id,
            "x-model-version": model,
            "x-cache": "hit" if rendered.cached else "miss",
            "x-refused": json.dumps(rendered.refused),
            "vary": "accept",
        }
        if posters.wanted(request.headers):
            picture = await asyncio.to_thread(posters.webp, rendered.data)
            return Response(picture, media_type=posters.MEDIA_TYPE, headers=extra)
        return Response(rendered.data, media_type="video/mp4", headers=extra)

    @app.get(
        "/v1/clips/{clip_id}",
        tags=["clips"],
        response_class=Response,
        responses=responses(404, 416, 503, **MP4_OR_WEBP, description="The clip"),
    )
    async def clip(clip_id: str, request: Request) -> Response:
        """A rendered clip. It never changes under its id: Range, ETag and caching work as for a file.

        With `Accept: image/webp` the answer is its first frame, as a poster.
        """
        data, tag, media_type = await shop.clip(clip_id), clip_id, "video/mp4"
        if posters.wanted(request.headers):
            data, tag, media_type = await asyncio.to_thread(posters.webp, data), f"{clip_id}-poster", posters.MEDIA_TYPE
        return media.respond(
            data,
            tag=tag,
            media_type=media_type,
            headers=request.headers,
            cache_control=FOREVER,
            extra={"vary": "accept"},
        )

    @app.get("/v1/clips/{clip_id}/provenance", tags=["clips"], responses=responses(404, 503))
    async def provenance(clip_id: str) -> ClipProvenance:
        """Where a clip comes from: whether it is generated, by which model, from which product and look; where a render
        was refused, why."""
        return await shop.provenance(clip_id)


def _add_products(app: FastAPI, shop: Shop) -> None:
    @app.get(
        "/v1/products/{product_id:path}/clip",
        tags=["products"],
        response_class=Response,
        responses=responses(404, 416, 503, **MP4, description="The clip"),
    )
    async def original(product_id: ProductPath, request: Request) -> Response:
        """The product's own clip, as it was imported."""
        made = await shop.original(product_id)
        return media.respond(
            made.data, tag=made.clip_id, media_type="video/mp4", headers=request.headers, cache_control=BRIEFLY
        )

    @app.get(
        "/v1/products/{product_id:path}/poster.jpg",
        tags=["products"],
        response_class=Response,
        responses=responses(404, 503, content={"image/jpeg": {}}, description="First frame of the product's own clip"),
    )
    async def poster(product_id: ProductPath) -> Response:
        """First frame of the product's own clip."""
        return Response(await shop.poster(product_id), media_type="image/jpeg", headers={"cache-control": BRIEFLY})

    @app.get("/v1/products/{product_id:path}/similar", tags=["products"], responses=responses(404))
    async def similar(product_id: ProductPath, k: Annotated[int, Query(ge=1, le=MAX_RECOMMEND)] = 8) -> Similar:
        """Products most like this one."""
        return await shop.similar(product_id, k)


def _add_health(app: FastAPI, shop: Shop) -> None:
    @app.get("/healthz", tags=["operation"])
    async def healthz() -> dict[str, str]:
        """The process is up."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["operation"], responses=responses(503))
    async def readyz() -> dict[str, str]:
        """A real feed can be answered: event store, recommender and generator work."""
        await shop.check_ready()
        return {"status": "ready"}


def _add_storefront(app: FastAPI, shop: Shop, viewers: tuple[DemoViewer, ...]) -> None:
    @app.get("/v1/storefront", tags=["operation"])
    async def storefront() -> dict[str, Any]:
        """What the page at `/` starts from."""
        return {
            "viewers": [viewer.model_dump() for viewer in viewers],
            "styles": list(shop.presets),
            "models": shop.versions.models.model_dump(),
        }

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STOREFRONT / "index.html", headers={"cache-control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(STOREFRONT / "docs.html", headers={"cache-control": "no-cache"})

    app.mount("/storefront", PageFiles(directory=STOREFRONT))


async def _restyle_json(body: bytes, shop: Shop, model: str) -> Rendered:
    try:
        request = ClipRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    style = styles.requested(request.style, shop.presets)
    return await shop.restyle(request.product_id, style, request.strength, model=model)


async def _restyle_form(request: Request, shop: Shop, model: str) -> Rendered:
    async with request.form(max_files=1, max_fields=8) as form:
        file, style = form.get("file"), form.get("style")
        if not isinstance(file, UploadFile):
            raise Problem.field("file", "attach the clip as a file")
        if not isinstance(style, str) or not style:
            raise Problem.field("style", "name a preset, or give weights or a style code as JSON")
        try:
            parsed = _json(style) if style.lstrip()[:1] in ("{", "[") else style
            checked = ClipRequest(product_id="upload", style=parsed, strength=form.get("strength", 1.0))
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error
        look = styles.requested(checked.style, shop.presets)
        data = await file.read()
    return await shop.restyle_upload(data, look, checked.strength, model)


def _json(style: str) -> Any:
    try:
        return json.loads(style)
    except json.JSONDecodeError as error:
        raise Problem.field("style", f"is no JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:  # brackets in brackets, numbers of thousands of digits
        raise Problem.field("style", "is no JSON of weights or of a style code") from error
