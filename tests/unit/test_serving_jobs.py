"""Jobs: progress, cancelling, and going on where a replica died."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serving.contracts import RenderError, RenderRequest
from serving.database import DatabaseError
from serving.job_store import ORPHANED_MS, JobStore
from serving.jobs import Jobs
from serving.problems import Problem
from tests.serving_site import Site

CLIPS = [{"product_id": f"p0{n}", "style": "neon"} for n in range(3)]


@pytest.fixture
def database(tmp_path: Any) -> str:
    return f"sqlite:///{tmp_path}/events.db"


async def wait_for(find: Callable[[], Any]) -> Any:
    """What `find` returns, once it is true."""
    async with asyncio.timeout(60):
        while not (found := await find()):
            await asyncio.sleep(0.01)
        return found


def with_client(site: Site, scenario: Callable[[httpx.AsyncClient], Any]) -> Any:
    async def run() -> Any:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://shop") as client:
            return await scenario(client)

    return asyncio.run(run())


def hold(site: Site, product: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Renders of the product begin, and never end: set when one begins, and when one is given up."""
    begun, given_up = asyncio.Event(), asyncio.Event()
    render = site.generator.render

    async def held(request: RenderRequest) -> bytes:
        if request.product_id != product:
            return await render(request)
        begun.set()
        try:
            return await asyncio.Event().wait()
        finally:
            given_up.set()

    site.generator.render = held
    return begun, given_up


def test_job_is_accepted_at_once_and_tells_how_far_it_is(site: Site) -> None:
    site.generator.failure, site.generator.failing_product = RenderError("bad frames"), "p01"

    async def scenario(client: httpx.AsyncClient) -> tuple[httpx.Response, dict, bytes]:
        accepted = await client.post("/v1/jobs", json={"clips": CLIPS})

        async def ended() -> dict | None:
            job = (await client.get(accepted.headers["location"])).json()
            return job if job["status"] == "done" else None

        job = await wait_for(ended)
        return accepted, job, (await client.get(job["results"][0]["url"])).content

    accepted, job, clip = with_client(site, scenario)
    assert (accepted.status_code, accepted.json()["status"], accepted.json()["total"]) == (202, "running", 3)
    assert (job["done"], job["failed"], job["progress"]) == (3, 1, 1.0)
    assert [result["reason"] for result in job["results"]] == [None, "bad frames", None]
    assert clip == b"mp4 of p00 1.00 1.0"
    assert {request.priority for request in site.generator.requests} == {1}


def test_cancelled_job_gives_its_render_up_and_keeps_what_is_done(site: Site) -> None:
    async def scenario(client: httpx.AsyncClient) -> tuple[dict, dict]:
        begun, given_up = hold(site, "p01")
        job = (await client.post("/v1/jobs", json={"clips": CLIPS})).json()
        await asyncio.wait_for(begun.wait(), 60)
        cancelled = (await client.delete(f"/v1/jobs/{job['id']}")).json()
        await asyncio.wait_for(given_up.wait(), 60)
        return cancelled, (await client.delete(f"/v1/jobs/{job['id']}")).json()

    cancelled, again = with_client(site, scenario)
    assert (cancelled["status"], again["status"]) == ("cancelled", "cancelled")
    assert [request.product_id for request in site.generator.requests] == ["p00"]


def test_job_cancelled_through_another_replica_stops(site: Site, database: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        begun, given_up = hold(site, "p01")
        job = (await client.post("/v1/jobs", json={"clips": CLIPS})).json()
        await asyncio.wait_for(begun.wait(), 60)
        await Jobs(site.shop, JobStore(database)).cancel(job["id"])
        await asyncio.wait_for(given_up.wait(), 60)

    with_client(site, scenario)


def test_job_of_a_dead_replica_goes_on_where_it_was(site: Site, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is not done again; of two replicas that are asked, one takes the job over."""
    store = JobStore(database)
    store.add("a" * 32, "dead", CLIPS)
    done = {"product_id": "p00", "clip_id": "0" * 32, "url": "/v1/clips/" + "0" * 32, "reason": None}
    assert store.report("a" * 32, "dead", [done], done=False)
    later = store.find("a" * 32).beat_ms + ORPHANED_MS + 1
    monkeypatch.setattr("serving.job_store.now_ms", lambda: later)

    async def scenario(client: httpx.AsyncClient) -> dict:
        async def ended() -> dict | None:
            answers = await asyncio.gather(*(client.get("/v1/jobs/" + "a" * 32) for _ in range(2)))
            return next((a.json() for a in answers if a.json()["status"] == "done"), None)

        return await wait_for(ended)

    job = with_client(site, scenario)
    assert [request.product_id for request in site.generator.requests] == ["p01", "p02"]
    assert job["results"][0]["url"] == done["url"]
    assert not store.report("a" * 32, "dead", [], done=False)


def test_job_outlives_a_database_that_does_not_answer_for_a_while(
    site: Site, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says again how far it is, is not taken over by its own replica where it seemed lost, and can be cancelled."""
    monkeypatch.setattr("serving.jobs.BEAT_S", 0.01)
    report, failed, taken_over = JobStore.report, [], []

    def out_of_reach(*_: Any, **__: Any) -> bool:
        failed.append(True)
        raise DatabaseError("event store: connection refused")

    async def scenario(client: httpx.AsyncClient) -> None:
        begun, given_up = hold(site, "p01")
        monkeypatch.setattr(JobStore, "report", out_of_reach)
        monkeypatch.setattr(JobStore, "adopt", lambda _, job, __: taken_over.append(job))
        job = (await client.post("/v1/jobs", json={"clips": CLIPS})).json()
        await asyncio.wait_for(begun.wait(), 60)
        later = JobStore(database).find(job["id"]).beat_ms + ORPHANED_MS + 1
        monkeypatch.setattr("serving.job_store.now_ms", lambda: later)

        async def failed_twice() -> bool:
            return len(failed) >= 2

        await wait_for(failed_twice)
        for _ in range(2):
            assert (await client.get(f"/v1/jobs/{job['id']}")).json()["status"] == "running"
        monkeypatch.setattr(JobStore, "report", report)

        async def known_again() -> bool:
            return (await client.get(f"/v1/jobs/{job['id']}")).json()["done"] == 1

        await wait_for(known_again)
        await client.delete(f"/v1/jobs/{job['id']}")
        await asyncio.wait_for(given_up.wait(), 60)

    with_client(site, scenario)
    assert taken_over == []


def test_full_queue_makes_a_job_wait_and_not_fail(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.jobs.BUSY_PAUSE_S", 0.01)
    site.generator.failure = Problem(429, "the generator is busy; try again")

    async def scenario(client: httpx.AsyncClient) -> dict:
        job = (await client.post("/v1/jobs", json={"clips": CLIPS[:1]})).json()

        async def asked_twice() -> bool:
            return len(site.generator.requests) >= 2

        await wait_for(asked_twice)
        site.generator.failure = None

        async def ended() -> dict | None:
            now = (await client.get(f"/v1/jobs/{job['id']}")).json()
            return now if now["status"] == "done" else None

        return await wait_for(ended)

    assert with_client(site, scenario)["failed"] == 0


async def ended(client: httpx.AsyncClient, job: dict) -> dict:
    """The job once it is done."""

    async def done() -> dict | None:
        now = (await client.get(f"/v1/jobs/{job['id']}")).json()
        return now if now["status"] == "done" else None

    return await wait_for(done)


@pytest.mark.parametrize("status", [503, 504])
def test_a_clip_that_has_to_wait_too_long_is_asked_for_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """No generator up for a moment, or more urgent renders all the time: a few tries, then the job says why."""
    monkeypatch.setattr("serving.jobs.BUSY_PAUSE_S", 0.0)
    render, failures = site.generator.render, iter([Problem(status, "not now")] * 2)

    async def late(request: RenderRequest) -> bytes:
        if (failure := next(failures, None)) is not None:
            raise failure
        return await render(request)

    async def scenario(client: httpx.AsyncClient) -> tuple[dict, dict]:
        site.generator.render = late
        first = await ended(client, (await client.post("/v1/jobs", json={"clips": CLIPS[:1]})).json())
        site.generator.render = render
        site.generator.failure = Problem(status, "not now")
        return first, await ended(client, (await client.post("/v1/jobs", json={"clips": CLIPS[1:2]})).json())

    first, second = with_client(site, scenario)
    assert (first["failed"], second["failed"], second["results"][0]["reason"]) == (0, 1, "not now")


def test_a_fault_at_one_clip_does_not_stop_the_job(site: Site) -> None:
    site.generator.failure, site.generator.failing_product = KeyError("frames"), "p00"

    async def scenario(client: httpx.AsyncClient) -> dict:
        return await ended(client, (await client.post("/v1/jobs", json={"clips": CLIPS})).json())

    job = with_client(site, scenario)
    assert (job["done"], job["failed"], job["results"][0]["reason"]) == (3, 1, "the clip could not be rendered")


def test_jobs_that_come_at_once_or_from_dead_replicas_are_bounded(
    site: Site, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.jobs.MOST_RUNNING", 2)
    store = JobStore(database)

    async def scenario(client: httpx.AsyncClient) -> tuple[list[int], bool]:
        hold(site, "p00")
        lost = uuid.uuid4().hex
        store.add(lost, "dead", CLIPS[:1])
        asked = (client.post("/v1/jobs", json={"clips": CLIPS[:1]}) for _ in range(6))
        answers = await asyncio.gather(*asked)
        monkeypatch.setattr("serving.job_store.ORPHANED_MS", -1)
        await client.get(f"/v1/jobs/{lost}")
        monkeypatch.setattr("serving.job_store.ORPHANED_MS", ORPHANED_MS)
        return sorted(answer.status_code for answer in answers), store.report(lost, "dead", [], done=False)

    statuses, still_theirs = with_client(site, scenario)
    assert statuses == [202] * 2 + [429] * 4
    assert still_theirs


@pytest.mark.parametrize(
    ("clips", "field"),
    [
        pytest.param([], "clips", id="none"),
        pytest.param([*CLIPS, {"product_id": "nope", "style": "neon"}], "clips.3", id="unknown-product"),
        pytest.param([{"product_id": "p00", "style": "baroque"}], "clips.0", id="unknown-style"),
        pytest.param(CLIPS * 200, "clips", id="too-many"),
    ],
)
def test_wrong_job_is_refused_whole(site: Site, clips: list, field: str) -> None:
    answer = site("POST", "/v1/jobs", json={"clips": clips})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert site.generator.requests == []


def test_unknown_job_is_404(site: Site) -> None:
    assert site("GET", "/v1/jobs/nope").status_code == 404
    assert site("DELETE", "/v1/jobs/nope").status_code == 404


def test_only_its_whole_id_names_a_job(site: Site) -> None:
    """PostgreSQL does not even look for a text with a NUL in it."""
    job = site("POST", "/v1/jobs", json={"clips": CLIPS[:1]}).json()
    assert [site("GET", f"/v1/jobs/{text}").status_code for text in (f"{job['id']}0", "%00", job["id"])] == [
        404,
        404,
        200,
    ]
