"""Clips are rendered ahead of the next feed: while nobody waits, and never at the cost of who does."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from serving import styles
from serving.ahead import PRIORITY
from serving.problems import Problem
from tests.serving_site import Site, make_site

CLIPS = 2


@pytest.fixture
def site(catalogue: Any, storage: Any, tmp_path: Any) -> Site:
    return make_site(catalogue, storage, f"sqlite:///{tmp_path}/events.db", clips_ahead=CLIPS)


async def feed(site: Site, viewer: str = "x", **body: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://shop") as client:
        return (await client.post("/v1/feed", json={"viewer": viewer, "k": 3, **body})).json()


async def finished(site: Site) -> None:
    await asyncio.wait_for(site.feeds._ahead._worker, 20)


def ahead(site: Site) -> list[str]:
    return [request.product_id for request in site.generator.requests if request.priority == PRIORITY]


def test_the_next_clips_are_there_when_the_viewer_comes_back(site: Site) -> None:
    async def scenario() -> dict[str, Any]:
        await feed(site)
        await finished(site)
        assert ahead(site) == ["p03", "p04"], "what comes behind the three that are shown"
        await feed(site)
        await finished(site)
        return await feed(site, k=5, wait=0)

    assert [item["clip"]["status"] for item in asyncio.run(scenario())["items"]] == ["ready"] * 5
    assert len(site.generator.requests) == 5, "what is kept is not rendered again"
    metrics = site("GET", "/metrics").text
    assert 'shopreel_clips_ahead_total{outcome="made",replica="0"} 2.0' in metrics


def test_nothing_is_rendered_ahead_while_a_clip_is_waited_for(site: Site) -> None:
    async def scenario() -> None:
        opened, render = asyncio.Event(), site.generator.render

        async def gated(request: Any) -> bytes:
            if request.product_id == "p00":
                await opened.wait()
            return await render(request)

        site.generator.render = gated
        answer = await feed(site, wait=0)
        assert answer["items"][0]["clip"]["status"] == "pending"
        worker = site.feeds._ahead._worker
        while {request.product_id for request in site.generator.requests} != {"p01", "p02"}:
            await asyncio.sleep(0.01)
        await asyncio.wait([worker], timeout=0.2)
        assert not worker.done()
        assert ahead(site) == []
        opened.set()
        await finished(site)

    asyncio.run(scenario())
    assert ahead(site) == ["p03", "p04"]


def test_who_waits_for_a_clip_does_not_wait_behind_its_render_ahead(site: Site) -> None:
    """The same clip is asked for again, urgently, while its render ahead still stands at the end of the queue."""

    async def scenario() -> None:
        begun, opened, render = asyncio.Event(), asyncio.Event(), site.generator.render

        async def gated(request: Any) -> bytes:
            if request.priority == PRIORITY:
                begun.set()
                await opened.wait()
            return await render(request)

        site.generator.render = gated
        await feed(site)
        await begun.wait()
        answer = await asyncio.wait_for(feed(site, k=4), 20)
        assert [item["clip"]["status"] for item in answer["items"]] == ["ready"] * 4
        opened.set()
        await finished(site)

    asyncio.run(scenario())


def test_a_render_ahead_joins_the_urgent_one_of_the_same_clip(site: Site) -> None:
    async def scenario() -> None:
        begun, opened, render = asyncio.Event(), asyncio.Event(), site.generator.render

        async def gated(request: Any) -> bytes:
            begun.set()
            await opened.wait()
            return await render(request)

        site.generator.render = gated
        look = styles.blend({"neon": 1.0}, site.shop.presets)
        urgent = asyncio.ensure_future(site.shop.restyle("p00", look, 1.0))
        await begun.wait()
        behind = asyncio.ensure_future(site.shop.restyle("p00", look, 1.0, priority=PRIORITY))
        await asyncio.wait([behind], timeout=0.2)
        opened.set()
        assert (await behind).data == (await urgent).data

    asyncio.run(scenario())
    assert [request.priority for request in site.generator.requests] == [0]


@pytest.mark.parametrize("why", ["at rest", "busy"])
def test_a_generator_at_rest_is_not_woken_and_a_busy_one_is_left_alone(site: Site, why: str) -> None:
    async def scenario() -> None:
        await feed(site)
        await finished(site)
        before = len(site.generator.requests)
        site.generator.resting = why == "at rest"
        site.generator.failure = Problem(429, "busy") if why == "busy" else None
        site.feeds._ahead.expect("y", ("p03", "p04", "p05"))
        site.feeds._ahead.expect("z", ("p00", "p01", "p02", "p03", "p04"))
        await finished(site)
        asked = [request.product_id for request in site.generator.requests[before:]]
        assert asked == ([] if why == "at rest" else ["p05"]), "one refusal is enough for a viewer"

    asyncio.run(scenario())


def test_the_last_viewer_may_be_forgotten_while_a_clip_is_waited_for(site: Site) -> None:
    async def scenario() -> None:
        begun, let_go, render = asyncio.Event(), asyncio.Event(), site.generator.render

        async def held(request: Any) -> bytes:
            begun.set()
            await let_go.wait()
            return await render(request)

        site.generator.render = held
        waiting = asyncio.ensure_future(site.shop.restyle("p05", styles.requested("ink", site.shop.presets), 1.0))
        await begun.wait()
        site.feeds._ahead.expect("x", ("p00",))
        await asyncio.sleep(0)  # the worker waits for the clip now
        await site.feeds._ahead.forget("x")
        let_go.set()
        await waiting
        await finished(site)

    asyncio.run(scenario())
    assert ahead(site) == []


def test_nothing_is_made_ahead_for_a_viewer_who_is_being_erased(site: Site) -> None:
    """Neither what is under way nor what still waits; others' clips are made."""

    async def scenario() -> None:
        begun, render = asyncio.Event(), site.generator.render

        async def gated(request: Any) -> bytes:
            if request.priority == PRIORITY and request.product_id == "p03":
                begun.set()
                await asyncio.Event().wait()
            return await render(request)

        site.generator.render = gated
        await feed(site)
        await begun.wait()
        site.feeds._ahead.expect("y", ("p00", "p01", "p02", "p03"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://shop") as client:
            assert (await client.delete("/v1/viewers/x")).status_code == 200
        await finished(site)

    asyncio.run(scenario())
    assert ahead(site) == ["p04", "p05"]
