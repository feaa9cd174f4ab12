"""Damaged clips and bodies, the same ones every time; `python -m benchmarks.serving_fuzz` sends thousands."""

from __future__ import annotations

import asyncio
import random

import httpx
import pytest

from benchmarks.serving_fuzz import Report, damaged, fuzz, sound_clips
from tests.serving_site import Site


@pytest.mark.parametrize(("clips", "other"), [(25, 0), (0, 250)], ids=["uploads", "bodies"])
def test_no_damage_makes_the_server_fail(site: Site, clips: int, other: int) -> None:
    """Every answer is a success or a problem document below 500."""

    async def run() -> Report:
        transport = httpx.ASGITransport(site.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await fuzz(client, count_uploads=clips, count_bodies=other, seed=7)

    report = asyncio.run(run())
    assert report.faults == []
    assert sum(report.statuses.values()) == clips + other
    assert len(report.statuses) > 1


def test_every_sound_clip_is_taken(site: Site) -> None:
    """The clips that are damaged are fine before: what the fuzzing refuses, it refuses for the damage."""
    for data in sound_clips():
        answer = site("POST", "/v1/clips", files={"file": ("a", data)}, data={"style": "neon"})
        assert answer.status_code == 200, answer.text


def test_damage_is_the_same_for_the_same_seed() -> None:
    data = bytes(range(256)) * 4
    made = [damaged(data, [data], random.Random(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
