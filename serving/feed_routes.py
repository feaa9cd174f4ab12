"""Routes of feeds, and of the events that tell when their clips are there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from serving.answers import responses
from serving.consent import Consent
from serving.door.head import BODILESS
from serving.feeds import Feeds
from serving.messages import Feed, FeedRequest
from serving.plans import Plan


def add(app: FastAPI, feeds: Feeds, consent: Consent) -> None:
    """`POST /v1/feed` and `GET /v1/feed/{token}/events`."""

    def plan(token: str) -> Plan:
        return feeds.plan(token)

    @app.post("/v1/feed", tags=["slates"], responses=responses(400))
    async def feed(request: FeedRequest, response: Response) -> Feed:
        """Products for a viewer, best first, each with a clip rendered in that viewer's look.

        With `"wait": 0` it answers at once; clips that are not in the cache are `pending`, and `events_url` tells when
        they are ready. A feed is answered also when no generator is: `degraded`, with the products' own clips.
        """
        answer = await feeds.feed(consent.viewer(request), request.k, request.wait)
        stages = (f"{name};dur={duration}" for name, duration in answer.latency_ms.items())
        response.headers["server-timing"] = ", ".join(stages)
        return answer

    @app.get(
        "/v1/feed/{token}/events",
        tags=["slates"],
        response_class=EventSourceResponse,
        responses=responses(404),
    )
    async def events(request: Request, promised: Plan = Depends(plan)) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events about the clips of a feed: `ready` or `failed` for each, in the order they are known, then
        `done`. The address is the feed's `events_url`.
        """
        if BODILESS in request.scope:
            return  # following a feed is what renders it
        async for news in feeds.follow(promised):
            yield ServerSentEvent(event="ready" if news.clip.status == "ready" else "failed", data=news)
        yield ServerSentEvent(event="done", data={"clips": len(promised.products)})
