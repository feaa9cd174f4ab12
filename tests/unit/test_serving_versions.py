"""Another version of a model comes to answer while requests go on: roll forward, trial, roll back."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cluster.errors import InputError, NotFoundError, StorageError
from cluster.storage import Storage
from serving import held_versions, versions
from serving.contracts import LoadError, RenderError, RenderRequest
from serving.generator import GeneratorReplica
from serving.held_versions import HeldVersions
from serving.messages import Models
from serving.versions import Rollout, Versions
from tests.e2e.tiny_shop import clip_frames
from tests.serving_site import Site
from trainables.data.style_code import CODE_DIM
from trainables.data.video import encode_mp4

DEPLOYED = Models(generator="generator/3", recommender="recommender/2")


async def at_once(reference: str) -> str:
    return reference


LOADS = {"generator": at_once, "recommender": at_once}


def roll(site: Site, reference: str, **fields: float) -> dict:
    return site("PUT", "/v1/models/generator", json={"reference": reference, **fields}).json()


def served_by(site: Site, viewer: str = "x") -> str:
    """The one version of all parts of a feed."""
    feed = site("POST", "/v1/feed", json={"viewer": viewer, "k": 3}).json()
    (version,) = {item["clip"]["model_version"] for item in feed["items"]} | {feed["models"]["generator"]}
    return version


def test_rolled_version_answers_from_the_next_request_on_and_back(site: Site) -> None:
    """Clips are kept by version: none of the old one is shown as the new one's."""
    assert served_by(site) == "generator/3"
    assert roll(site, "generator/4")["before"] == ["generator/3"]
    assert served_by(site) == "generator/4"
    assert [request.model for request in site.generator.requests] == ["generator/3"] * 3 + ["generator/4"] * 3
    clip = site("POST", "/v1/clips", json={"product_id": "p00", "style": "neon"})
    assert clip.headers["x-model-version"] == "generator/4"
    assert site("GET", "/v1/models").json()["serving"]["generator"] == "generator/4"
    assert site("DELETE", "/v1/models/generator").json()["serving"] == "generator/3"
    assert served_by(site) == "generator/3"
    again = site("DELETE", "/v1/models/generator")
    assert (again.status_code, "generator/3" in again.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    "failure",
    [
        RenderError("generator/4 cannot be loaded (InputError)"),
        NotFoundError("generator has no version 4; versions: 3"),
    ],
    ids=["damaged", "unknown"],
)
def test_version_that_cannot_be_loaded_changes_nothing_and_says_why(site: Site, failure: Exception) -> None:
    site.generator.failure = failure
    answer = site("PUT", "/v1/models/generator", json={"reference": "generator/4"})
    assert answer.status_code == 422
    assert str(failure) in answer.json()["detail"]
    site.generator.failure = None
    assert served_by(site) == "generator/3"


def test_trial_is_for_a_share_of_viewers_and_always_the_same(site: Site) -> None:
    roll(site, "generator/4", share=0.3)
    shop = site.shop
    viewers = [f"v{n:020x}" for n in range(2000)]
    versions = [shop.versions.models_for(viewer).generator for viewer in viewers]
    assert 0.26 < versions.count("generator/4") / len(viewers) < 0.34
    assert versions == [shop.versions.models_for(viewer).generator for viewer in viewers]
    assert {served_by(site, viewer) for viewer in ("a", "a", "a")} in ({"generator/3"}, {"generator/4"})
    assert shop.versions.models.generator == "generator/3"
    wider = Rollout(deployed="generator/3", serving="generator/3", canary="generator/4", share=0.6)
    on_trial = [viewer for viewer, version in zip(viewers, versions, strict=True) if version == "generator/4"]
    assert {wider.version_for(viewer) for viewer in on_trial} == {"generator/4"}
    assert site("DELETE", "/v1/models/generator").json()["canary"] is None
    assert {shop.versions.models_for(viewer).generator for viewer in viewers} == {"generator/3"}


def test_feed_in_the_making_keeps_its_version(site: Site) -> None:
    """What was promised by one version is not finished by another."""

    async def scenario() -> set[str]:
        feed = await site.feeds.feed("x", 2)
        plan = site.feeds.plan(site.feeds._plans.sign(_plan_of(feed)))
        await site.shop.versions.of("generator").roll("generator/4", 1.0)
        return {news.clip.model_version async for news in site.feeds.follow(plan)}

    assert asyncio.run(scenario()) == {"generator/3"}


def _plan_of(feed: object) -> object:
    from serving.plans import Plan

    products = tuple(item.product.id for item in feed.items)
    return Plan(products=products, weights=feed.look.weights, generator=feed.models.generator, made_at=2**40)


@pytest.mark.parametrize("kind", ["product", "upload"])
def test_clip_in_the_making_names_the_version_that_made_it(site: Site, kind: str) -> None:
    plain = site.generator.render

    async def rolled_meanwhile(request: RenderRequest) -> bytes:
        await site.shop.versions.of("generator").roll("generator/4", 1.0)
        return await plain(request)

    site.generator.render = rolled_meanwhile
    if kind == "product":
        asked: dict[str, Any] = {"json": {"product_id": "p00", "style": "neon"}}
    else:
        asked = {"files": {"file": encode_mp4(clip_frames(1), 8.0)}, "data": {"style": "neon"}}
    answer = site("POST", "/v1/clips", **asked)
    assert site.generator.requests[0].model == "generator/3"
    assert answer.headers["x-model-version"] == "generator/3"


def test_other_replicas_and_restarts_follow_until_another_version_is_deployed(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        one, other = (Versions(storage, DEPLOYED, LOADS) for _ in range(2))
        await one.of("generator").roll("generator/4", 1.0)
        await one.of("recommender").roll("recommender/1", 1.0)
        monkeypatch.setattr(versions, "LOOK_S", 0.0)
        rolled = Models(generator="generator/4", recommender="recommender/1")
        async with asyncio.timeout(60):
            while other.models != rolled:
                await asyncio.sleep(0.01)
        assert Versions(storage, DEPLOYED, LOADS).models == rolled
        later = Models(generator="generator/5", recommender="recommender/2")
        deployed = Models(generator="generator/5", recommender="recommender/1")
        assert Versions(storage, later, LOADS).models == deployed

    asyncio.run(scenario())


def test_record_from_before_recommenders_could_be_rolled_goes_on(storage: Storage) -> None:
    written = {"deployed": "generator/3", "generator": "generator/4", "canary": None, "share": 0.0, "before": []}
    storage.write_json("serving/rollout.json", written)
    assert Versions(storage, DEPLOYED, LOADS).models.generator == "generator/4"


@pytest.mark.parametrize(
    "body", [{"reference": "recommender/1"}, {"reference": "generator/4", "share": 0}, {}, {"reference": "../x"}]
)
def test_wrong_rollout_is_named(site: Site, body: dict) -> None:
    assert site("PUT", "/v1/models/generator", json=body).status_code == 422


@pytest.mark.parametrize("trial", [{"share": 0.1}, {"shadow": True}])
def test_what_everyone_gets_is_not_tried_beside_itself(site: Site, trial: dict) -> None:
    answer = site("PUT", "/v1/models/generator", json={"reference": "generator/3", **trial})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "reference")
    assert site.shop.versions.of("generator").shares() == {"generator/3": 1.0}


def test_one_call_goes_back_from_a_version_that_was_compared_before(site: Site) -> None:
    """Its comparison ends when everyone gets it; that of another version goes on."""
    roll(site, "generator/4", shadow=True)
    assert roll(site, "generator/4")["shadow"] is None
    assert site("DELETE", "/v1/models/generator").json()["serving"] == "generator/3"
    roll(site, "generator/4", shadow=True)
    assert roll(site, "generator/5")["shadow"] == "generator/4"


def test_recommender_is_rolled_on_its_own(site: Site) -> None:
    """Slates name the version that made them; the generator's versions are not touched."""

    def models() -> dict:
        return site("POST", "/v1/recommend", json={"viewer": "x", "k": 2}).json()["models"]

    rolled = site("PUT", "/v1/models/recommender", json={"reference": "recommender/3"}).json()
    assert (rolled["serving"], rolled["before"]) == ("recommender/3", ["recommender/2"])
    assert models() == {"generator": "generator/3", "recommender": "recommender/3"}
    site.recommender.load_failure = LoadError("recommender/9 cannot be loaded (InputError)")
    refused = site("PUT", "/v1/models/recommender", json={"reference": "recommender/9"})
    assert (refused.status_code, "cannot be loaded" in refused.json()["detail"]) == (422, True)
    assert models()["recommender"] == "recommender/3"
    assert site("DELETE", "/v1/models/recommender").json()["serving"] == "recommender/2"
    assert models()["recommender"] == "recommender/2"


def test_recommender_on_trial_answers_a_share_of_viewers(site: Site) -> None:
    site("PUT", "/v1/models/recommender", json={"reference": "recommender/3", "share": 0.5})
    pseudonyms = [f"v{n:020x}" for n in range(500)]
    on_trial = [site.shop.versions.models_for(viewer).recommender == "recommender/3" for viewer in pseudonyms]
    assert 0.4 < sum(on_trial) / len(on_trial) < 0.6
    shares = site.shop.versions.shares()
    assert shares == {"generator/3": 1.0, "recommender/2": 0.5, "recommender/3": 0.5}


def test_recommender_has_no_shadow(site: Site) -> None:
    body = {"reference": "recommender/3", "shadow": True}
    refused = site("PUT", "/v1/models/recommender", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "shadow")


class Registry:
    """Bundles by version; 9 is damaged, 8 cannot be read, 7 takes until `arrived` is set."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.asked, self.arrived = threading.Event(), threading.Event()

    def resolve(self, reference: str, only: str) -> str:
        assert only == "generator"
        return reference

    def fetch(self, version: str) -> Path:
        self.fetched.append(version)
        if version == "generator/9":
            raise InputError("bundle /secret/generator/9 is damaged")
        if version == "generator/8":
            raise StorageError("s3://secret/generator/8: 503 Slow Down")
        if version == "generator/7":
            self.asked.set()
            assert self.arrived.wait(60)
        return Path(version)


def replica() -> GeneratorReplica:
    made = object.__new__(GeneratorReplica)
    made._registry, made._read_bundle = Registry(), lambda folder: SimpleNamespace(folder=folder)
    made._versions, made._deployed = HeldVersions("generator/3", "deployed", made._load), "generator/3"
    return made


async def restyler_of(server: GeneratorReplica, model: str) -> Any:
    """What a render in this version is made with."""
    code, frames = np.zeros(CODE_DIM, np.float32), clip_frames(0)
    request = RenderRequest(code_S=code, strength=1, frames_THWC=frames, fps=12.0, model=model)
    return (await server._sourced(request)).restyler


def test_replica_loads_a_version_once_and_holds_the_four_asked_for_last() -> None:
    """Enough for what was deployed, is served, on trial and in the shadow; what serves is not dropped for what came
    after it.
    """

    async def scenario() -> list[str]:
        server = replica()
        for _ in range(2):
            for number in (4, 5, 6):
                assert (await restyler_of(server, f"generator/{number}")).folder == Path(f"generator/{number}")
            assert await restyler_of(server, "generator/3") == "deployed"
        for number in (4, 10, 4, 5):
            await restyler_of(server, f"generator/{number}")
        return server._registry.fetched

    assert asyncio.run(scenario()) == [f"generator/{number}" for number in (4, 5, 6, 10, 5)]


def test_replica_renders_in_the_versions_it_has_while_another_is_loaded() -> None:
    async def scenario() -> tuple[str, list[Path], list[str]]:
        server = replica()
        waiting = [asyncio.ensure_future(restyler_of(server, "generator/7")) for _ in range(40)]
        assert await asyncio.to_thread(server._registry.asked.wait, 60)
        waiting.pop().cancel()
        held = await restyler_of(server, "generator/3")
        server._registry.arrived.set()
        return held, [made.folder for made in await asyncio.gather(*waiting)], server._registry.fetched

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) == ("deployed", [Path("generator/7")] * 39, ["generator/7"])


def test_replica_says_which_version_it_cannot_load_and_no_path() -> None:
    with pytest.raises(RenderError, match=r"generator/9 cannot be loaded \(InputError\)") as failed:
        asyncio.run(replica().load("generator/9"))
    assert "secret" not in str(failed.value)


def test_version_that_cannot_be_read_now_is_told_apart_from_one_that_is_damaged() -> None:
    """Whoever rolls it out is asked to try again; a render in it fails like any other."""
    server = replica()
    with pytest.raises(StorageError):
        asyncio.run(server.load("generator/8"))
    with pytest.raises(RenderError, match=r"generator/8 cannot be loaded \(StorageError\)"):
        asyncio.run(restyler_of(server, "generator/8"))


def test_version_that_failed_a_moment_ago_is_tried_again_by_a_rollout_and_later_by_renders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> list[int]:
        server, tries = replica(), []
        for again in (
            restyler_of(server, "generator/9"),
            restyler_of(server, "generator/9"),
            server.load("generator/9"),
        ):
            with pytest.raises(RenderError, match="generator/9 cannot be loaded"):
                await again
            tries.append(len(server._registry.fetched))
        monkeypatch.setattr(held_versions, "RETRY_S", 0.0)
        with pytest.raises(RenderError):
            await restyler_of(server, "generator/9")
        return [*tries, len(server._registry.fetched)]

    assert asyncio.run(scenario()) == [1, 1, 2, 3]


def test_a_registry_that_does_not_answer_is_503_and_nothing_of_it_is_told(site: Site) -> None:
    site.generator.failure = StorageError("the model registry at sqlite:////home/shop/mlflow.db failed: locked")
    answer = site("PUT", "/v1/models/generator", json={"reference": "generator/4"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "sqlite" not in answer.text
    site.generator.failure = None
    assert served_by(site) == "generator/3"
