"""Feeds that do not wait: pending clips and their events, the caller's deadline, and generators that are not there."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import Any

import httpx
import pytest

from serving.ahead import Ahead
from serving.contracts import RenderError, RenderRequest
from serving.feeds import Feeds
from serving.plans import FOLLOWED_S, Plan, Plans
from serving.problems import Problem
from tests.serving_site import Site


class Gate:
    """Holds the renders of some products back until it is opened; `given_up` is set when one is cancelled."""

    def __init__(self, site: Site, held: set[str]) -> None:
        self.open, self.given_up = asyncio.Event(), asyncio.Event()
        render = site.generator.render

        async def gated(request: RenderRequest) -> bytes:
            if request.product_id in held:
                try:
                    await self.open.wait()
                except asyncio.CancelledError:
                    self.given_up.set()
                    raise
            return await render(request)

        site.generator.render = gated


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and data of server-sent events."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [(block["event"], json.loads(block["data"])) for block in blocks if "event" in block]


async def ask(site: Site, path: str, **arguments: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://shop") as client:
        return await client.request("POST" if "json" in arguments else "GET", path, **arguments)


def test_head_of_a_feed_s_events_renders_nothing(site: Site) -> None:
    plan = Plan(products=("p00", "p01"), weights={"ink": 1.0}, generator="generator/3", made_at=int(time.time()))
    path = f"/v1/feed/{site.feeds._plans.sign(plan)}/events"
    head = site("HEAD", path)
    assert site.generator.requests == []
    got = site("GET", path)
    assert len(site.generator.requests) == 2
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_feed_that_does_not_wait_is_pending_and_events_say_when_each_clip_is_there(site: Site) -> None:
    async def scenario() -> tuple[dict, list]:
        gate = Gate(site, {"p00", "p01", "p02"})
        feed = (await ask(site, "/v1/feed", json={"viewer": "x", "k": 3, "wait": 0})).json()
        following = asyncio.ensure_future(ask(site, feed["events_url"]))
        gate.open.set()
        return feed, events_of((await following).text)

    feed, events = asyncio.run(scenario())
    assert [item["clip"]["status"] for item in feed["items"]] == ["pending"] * 3
    assert [item["clip"]["url"] for item in feed["items"]] == [item["product"]["clip_url"] for item in feed["items"]]
    assert (feed["degraded"], feed["degraded_because"]) == (False, [])
    assert [name for name, _ in events] == ["ready", "ready", "ready", "done"]
    assert {news["product_id"] for _, news in events[:3]} == {"p00", "p01", "p02"}
    news = next(news for _, news in events if news.get("position") == 1)
    assert site("GET", news["clip"]["url"]).content == b"mp4 of p01 0.00 1.0"
    assert len(site.generator.requests) == 3  # the events joined the renders of the feed


def test_a_product_that_only_another_replica_knows_does_not_break_the_events(site: Site) -> None:
    plan = Plan(products=("p00", "new", "p01"), weights={"ink": 1.0}, generator="generator/3", made_at=int(time.time()))
    events = events_of(site("GET", f"/v1/feed/{site.feeds._plans.sign(plan)}/events").text)
    assert [name for name, _ in events] == ["ready", "ready", "done"]
    assert {news["position"] for _, news in events[:2]} == {0, 2}


def test_what_is_in_the_cache_is_ready_at_once_and_needs_no_events(site: Site) -> None:
    site("POST", "/v1/feed", json={"viewer": "x", "k": 3})
    feed = site("POST", "/v1/feed", json={"viewer": "y", "k": 3, "wait": 0}).json()
    assert [item["clip"]["status"] for item in feed["items"]] == ["ready"] * 3
    assert feed["events_url"] is None


def test_events_name_a_clip_that_failed_and_show_the_original(site: Site) -> None:
    async def scenario() -> list:
        gate = Gate(site, {"p00", "p01"})
        feed = (await ask(site, "/v1/feed", json={"viewer": "x", "k": 2, "wait": 0})).json()
        site.generator.failure, site.generator.failing_product = RenderError("bad frames"), "p01"
        following = asyncio.ensure_future(ask(site, feed["events_url"]))
        gate.open.set()
        return events_of((await following).text)

    events = {news.get("product_id"): (name, news) for name, news in asyncio.run(scenario())}
    assert events["p00"][0] == "ready"
    name, news = events["p01"]
    assert (name, news["clip"]["status"], news["clip"]["reason"]) == ("failed", "original", "bad frames")
    assert news["clip"]["url"] == "/v1/products/p01/clip"


def test_another_ingress_replica_can_follow_a_feed(site: Site) -> None:
    """The address holds what was promised; no replica has to remember it."""
    plan = Plan(products=("p03",), weights={"neon": 1.0}, generator="generator/3", made_at=2**40)
    other = Feeds(site.shop, Plans(site.shop._pseudonymiser), Ahead(site.shop, 0), wait_s=60)

    async def scenario() -> list:
        return [news async for news in other.follow(other.plan(Plans(site.shop._pseudonymiser).sign(plan)))]

    (news,) = asyncio.run(scenario())
    assert (news.product_id, news.clip.status, news.clip.style) == ("p03", "ready", "neon")


@pytest.mark.parametrize("token", ["x", "x.y", ".", "e30.v0000"], ids=["short", "two", "empty", "unsigned"])
def test_unknown_feed_is_404(site: Site, token: str) -> None:
    answer = site("GET", f"/v1/feed/{token}/events")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_altered_or_old_plan_is_404(site: Site) -> None:
    plans = Plans(site.shop._pseudonymiser)
    old = plans.sign(Plan(products=("p00",), weights={"neon": 1.0}, generator="g/1", made_at=1_700_000_000))
    answer = site("GET", f"/v1/feed/{old}/events")
    assert (answer.status_code, f"{FOLLOWED_S // 60} minutes" in answer.json()["detail"]) == (404, True)
    new = plans.sign(Plan(products=("p00",), weights={"neon": 1.0}, generator="g/1", made_at=2**40))
    with pytest.raises(Problem):
        plans.read(("A" if new[0] != "A" else "B") + new[1:])


def test_feed_answers_within_the_callers_deadline_and_gives_the_renders_up(site: Site) -> None:
    """Nobody is left to wait for them: what the deadline cut short leaves the generator's queue."""

    async def scenario() -> httpx.Response:
        gate = Gate(site, {"p01"})
        headers = {"x-request-timeout": "1.5"}
        answer = await ask(site, "/v1/feed", json={"viewer": "x", "k": 3}, headers=headers)
        await asyncio.wait_for(gate.given_up.wait(), 60)
        return answer

    answer = asyncio.run(scenario())
    feed = answer.json()
    assert [item["clip"]["status"] for item in feed["items"]] == ["ready", "original", "ready"]
    assert feed["degraded_because"] == ["not rendered before the caller's deadline"]
    assert feed["events_url"] is None


def test_other_routes_answer_504_at_the_deadline_and_cancel_the_render(site: Site) -> None:
    async def scenario() -> httpx.Response:
        gate = Gate(site, {"p00"})
        body = {"product_id": "p00", "style": "neon"}
        answer = await ask(site, "/v1/clips", json=body, headers={"request-timeout": "0.2"})
        await asyncio.wait_for(gate.given_up.wait(), 60)
        return answer

    answer = asyncio.run(scenario())
    assert (answer.status_code, answer.json()["title"]) == (504, "The deadline passed")


def test_shared_render_goes_on_for_the_one_whose_deadline_is_later(site: Site) -> None:
    async def scenario() -> list[httpx.Response]:
        gate = Gate(site, {"p00"})
        body = {"product_id": "p00", "style": "neon"}
        hasty = asyncio.ensure_future(ask(site, "/v1/clips", json=body, headers={"x-request-timeout": "0.2"}))
        patient = asyncio.ensure_future(ask(site, "/v1/clips", json=body))
        await asyncio.wait({hasty})
        gate.open.set()
        return [await hasty, await patient]

    assert [answer.status_code for answer in asyncio.run(scenario())] == [504, 200]


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", ""])
def test_deadline_that_is_no_time_is_named(site: Site, value: str) -> None:
    answer = site("GET", "/healthz", headers={"x-request-timeout": value})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "x-request-timeout")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Problem(503, "the generator does not answer; try again"), "the generator does not answer; try again"),
        (Problem(429, "the generator is busy; try again"), "the generator is busy; try again"),
        (RuntimeError("CUDA error at /secret/path"), "the clip could not be rendered"),
    ],
    ids=["none-up", "full-queue", "bug"],
)
def test_whatever_the_generator_does_there_is_a_feed_that_says_why(site: Site, failure: Exception, reason: str) -> None:
    site.generator.failure = failure
    answer = site("POST", "/v1/feed", json={"viewer": "x", "k": 2})
    feed = answer.json()
    assert (answer.status_code, feed["degraded"], feed["degraded_because"]) == (200, True, [reason])
    assert {item["clip"]["status"] for item in feed["items"]} == {"original"}
    assert site("GET", feed["items"][0]["clip"]["url"]).content[4:8] == b"ftyp"


@pytest.mark.parametrize("wait", [-1, math.inf, "long"], ids=str)
def test_wrong_wait_is_named(site: Site, wait: object) -> None:
    body = json.dumps({"viewer": "x", "wait": wait}).encode()
    answer = site("POST", "/v1/feed", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
