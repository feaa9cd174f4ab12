"""A challenger is compared on the clips of the champion, unseen and out of the way."""

from __future__ import annotations

import asyncio

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from cluster.cli.main import app
from serving.contracts import Refusal, RenderError, RenderRequest
from serving.problems import Problem
from serving.render_queue import Served
from serving.shadow import MOST_IN_FLIGHT, PRIORITY, Shadow
from tests.e2e.tiny_shop import clip_frames
from tests.serving_site import Site
from trainables.data.style_code import CODE_DIM
from trainables.data.video import encode_mp4

FRAMES = clip_frames(1)
CLIP = encode_mp4(FRAMES, 12.0)
DARKER = encode_mp4((FRAMES - np.minimum(FRAMES, 20)).astype(np.uint8), 12.0)
REQUEST = RenderRequest(code_S=np.zeros(CODE_DIM, np.float32), strength=1.0, product_id="p00", model="generator/3")


def served(outcome: bytes | Refusal, took_s: float) -> Served:
    return Served(outcome, waited_s=0.0, took_s=took_s, batch=1)


def compare(outcomes: list, share: float = 1.0) -> tuple[Shadow, list[RenderRequest]]:
    """The champion renders CLIP in 0.2 s each time; the challenger does what `outcomes` say."""
    asked, left = [], list(outcomes)

    async def render(request: RenderRequest) -> Served:
        asked.append(request)
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return served(outcome, 0.4)

    async def scenario() -> Shadow:
        shadow = Shadow(render)
        for _ in outcomes:
            shadow.consider(REQUEST, served(CLIP, 0.2), "generator/4", share)
            await asyncio.gather(*shadow._tasks)
        return shadow

    return asyncio.run(scenario()), asked


def test_report_has_times_refusals_and_the_difference_of_pixels() -> None:
    refused = Refusal(("flickers: jerk 1, at most 0.3",), CLIP)
    shadow, asked = compare([DARKER, refused, CLIP, RenderError("bad"), Problem(429, "busy")])
    report = shadow.report()
    assert (report.pairs, report.failed) == (3, 1)
    assert report.champion.render_seconds == pytest.approx(0.2)
    assert report.challenger.render_seconds == pytest.approx(0.4)
    assert (report.champion.refused, report.challenger.refused) == (0, 1)
    assert report.challenger.faults == {"flickers": 1}
    assert 7 < report.difference < 13  # the mean of about 20 and 0
    assert {(request.model, request.priority) for request in asked} == {("generator/4", PRIORITY)}


def test_no_share_no_comparison_and_never_with_itself() -> None:
    assert compare([CLIP] * 3, share=0.0)[1] == []

    async def scenario() -> int:
        shadow = Shadow(_never)
        shadow.consider(REQUEST, served(CLIP, 0.1), "generator/3", 1.0)
        shadow.consider(REQUEST, served(CLIP, 0.1), None, 1.0)
        return len(shadow._tasks)

    assert asyncio.run(scenario()) == 0


def test_comparisons_are_bounded() -> None:
    async def scenario() -> int:
        shadow = Shadow(_never)
        for _ in range(10):
            shadow.consider(REQUEST, served(CLIP, 0.1), "generator/4", 1.0)
        under_way = len(shadow._tasks)
        for task in shadow._tasks:
            task.cancel()
        return under_way

    assert asyncio.run(scenario()) == MOST_IN_FLIGHT


async def _never(request: RenderRequest) -> Served:
    return await asyncio.Event().wait()


def test_shadow_is_begun_reported_and_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's answers change."""
    from tests.unit.test_status_command import speak_to

    site.generator.report = compare([DARKER])[0].report
    site.shop.shadow_report = site.generator.report
    speak_to(site, monkeypatch)
    run = CliRunner().invoke
    begun = run(app, ["rollout", "to", "generator/4", "--shadow", "--share", "0.2"])
    assert begun.output == "serving generator/3, generator/4 in the shadow of 20% of renders\n"
    answer: httpx.Response = site("POST", "/v1/clips", json={"product_id": "p00", "style": "neon"})
    assert answer.headers["x-model-version"] == "generator/3"
    assert run(app, ["rollout", "back"]).output == "serving generator/3\n"
    assert "nothing is compared" in str(run(app, ["rollout", "report"]).exception)
