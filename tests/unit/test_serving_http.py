"""Routes and their answers, over fake models."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.errors import StorageError, StorageReadError
from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from serving import styles
from serving.contracts import Refusal, RenderError, RenderRequest
from serving.messages import Feed
from serving.problems import MEDIA_TYPE, Problem
from tests.e2e.tiny_shop import PRODUCTS, clip_frames
from tests.serving_site import KEY, MAX_UPLOAD, PRESETS, Site
from trainables.data.video import encode_mp4
from trainables.generator.provenance import Provenance, read_provenance


def click(product: str = "p00", **fields: Any) -> dict[str, Any]:
    return {"viewer": "mia", "product_id": product, "event_type": "click", **fields}


def test_feed_names_product_score_source_look_and_clip(site: Site) -> None:
    feed = site("POST", "/v1/feed", json={"viewer": "nobody", "k": 3}).json()
    assert [item["product"]["id"] for item in feed["items"]] == ["p00", "p01", "p02"]
    first = feed["items"][0]
    assert first["product"] == {
        "id": "p00",
        "title": "Mug 0",
        "category": "mug",
        "price": 10.0,
        "clip_url": "/v1/products/p00/clip",
        "poster_url": "/v1/products/p00/poster.jpg",
    }
    assert (first["source"], first["why"], first["reasons"]) == ("popular", "popular right now", [])
    look = {"style": "minimal", "weights": {"minimal": 1.0}, "text": "minimal", "propensity": None}
    assert feed["look"] == look
    assert feed["models"] == {"generator": "generator/3", "recommender": "recommender/2"}
    clip = first["clip"]
    assert (clip["style"], clip["model_version"], clip["restyled"], clip["cached"]) == (
        "minimal",
        "generator/3",
        True,
        False,
    )
    assert site("GET", clip["url"]).content == b"mp4 of p00 0.00 1.0"
    assert feed["degraded"] is False


def test_second_feed_comes_from_the_cache(site: Site) -> None:
    site("POST", "/v1/feed", json={"viewer": "a", "k": 3})
    again = site("POST", "/v1/feed", json={"viewer": "b", "k": 3}).json()
    assert [item["clip"]["cached"] for item in again["items"]] == [True] * 3
    assert len(site.generator.requests) == 3


def test_clips_are_rendered_where_those_that_are_kept_cannot_be_read(
    site: Site, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what nobody can make anew is missing: a clip that is asked for by its id."""
    elsewhere = site("POST", "/v1/clips", json={"product_id": "p01", "style": "neon"}).headers["location"]
    site.shop._renders._cache._memory.clear()

    def away(self: Storage, relative: str) -> bytes:
        raise StorageReadError("cannot read s3://secret/clips: no answer")

    monkeypatch.setattr(Storage, "read_bytes", away)
    clip = site("POST", "/v1/clips", json={"product_id": "p00", "style": "neon"})
    assert (clip.status_code, clip.headers["x-cache"]) == (200, "miss")
    assert site("POST", "/v1/feed", json={"viewer": "x", "k": 2}).json()["degraded"] is False
    assert site("GET", "/v1/products/p02/clip").status_code == 200
    gone = site("GET", elsewhere)
    assert (gone.status_code, gone.headers["retry-after"]) == (503, "2")
    assert gone.json()["detail"] == "the server cannot read its storage; try again"


def test_raw_viewer_id_never_reaches_the_store(site: Site, tmp_path: Any) -> None:
    site("POST", "/v1/events", json=click(viewer="mia@example.org"))
    site.events.close()
    assert all(b"mia@example.org" not in path.read_bytes() for path in tmp_path.rglob("events.db*"))
    assert site.events.count(Pseudonymiser(KEY).of("mia@example.org")) == 1


def test_event_sent_twice_is_acknowledged_and_stored_once(site: Site) -> None:
    answers = [site("POST", "/v1/events", json=click(event_id="e1")).json()["stored"] for _ in range(2)]
    assert answers == [1, 0]


def test_one_wrong_event_stores_none_and_is_named(site: Site) -> None:
    answer = site("POST", "/v1/events", json=[click(), click("nope"), click(style="baroque")])
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == ["1.product_id", "2.style"]
    assert "'nope'" in answer.json()["detail"]
    assert site.events.count() == 0
    assert site("POST", "/v1/events", json=[click(), click("p01")]).json()["stored"] == 2


@pytest.mark.parametrize(
    ("change", "field_name"),
    [
        pytest.param({"event_type": "stare"}, "event_type", id="unknown-type"),
        pytest.param({"viewer": ""}, "viewer", id="empty-viewer"),
        pytest.param({"watch_seconds": -1}, "watch_seconds", id="negative-time"),
        pytest.param({"duration_seconds": 0}, "duration_seconds", id="no-length"),
        pytest.param({"at": "2999-01-01T00:00:00Z"}, "at", id="future"),
        pytest.param({"at": "yesterday"}, "at", id="no-time"),
        pytest.param({"position": 1.5}, "position", id="position-is-no-integer"),
        pytest.param({"colour": "red"}, "colour", id="unknown-field"),
    ],
)
def test_wrong_event_field_is_named(site: Site, change: dict[str, Any], field_name: str) -> None:
    answer = site("POST", "/v1/events", json=click(**change))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].endswith(field_name)
    assert site.events.count() == 0


@pytest.mark.parametrize("body", [[], [click()] * 101], ids=["none", "more-than-100"])
def test_number_of_events_is_bounded(site: Site, body: list) -> None:
    assert site("POST", "/v1/events", json=body).status_code == 422


@pytest.mark.parametrize("route", ["/v1/feed", "/v1/recommend"])
@pytest.mark.parametrize("k", [0, -1, 10**6, 2.5, "8", None], ids=str)
def test_wrong_k_is_a_problem_that_names_k(site: Site, route: str, k: object) -> None:
    answer = site("POST", route, json={"viewer": "mia", "k": k})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = answer.json()
    assert document["status"] == 422
    assert document["errors"][0]["field"] == "k"
    assert set(document) == {"type", "title", "status", "detail", "errors"}


@pytest.mark.parametrize("route", ["/v1/feed", "/v1/recommend", "/v1/clips", "/v1/events"])
@pytest.mark.parametrize("body", [b"not json", b'{"viewer": ', b"\xff\xfe"], ids=["text", "cut-off", "binary"])
def test_body_that_is_no_json_is_a_400_problem(site: Site, route: str, body: bytes) -> None:
    answer = site("POST", route, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["detail"].startswith("the body is not JSON")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/clips/" + "0" * 32, 404),
        ("GET", "/v1/clips/..%2f..%2fsecrets", 404),
        ("GET", "/v1/products/nope/clip", 404),
        ("GET", "/v1/products/nope/poster.jpg", 404),
        ("GET", "/v1/products/nope/similar", 404),
        ("GET", f"/v1/products/{PRODUCTS[-1]}/similar", 404),
        ("GET", "/v1/products/p00/similar?k=0", 422),
        ("GET", "/v1/feed", 405),
        ("GET", "/storefront/../app.py", 404),
        ("GET", "/storefront/nothing.js", 404),
    ],
)
def test_unknown_things_are_problem_documents(site: Site, method: str, path: str, status: int) -> None:
    answer = site(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert answer.json()["status"] == status


def test_one_failed_render_leaves_its_neighbours_and_says_so(site: Site) -> None:
    site.generator.failure, site.generator.failing_product = RenderError("bad"), "p01"
    feed = site("POST", "/v1/feed", json={"viewer": "x", "k": 3}).json()
    assert [item["clip"]["restyled"] for item in feed["items"]] == [True, False, True]
    assert feed["degraded"] is True
    fallback = feed["items"][1]["clip"]
    assert (fallback["style"], fallback["model_version"]) == (None, None)
    assert site("GET", fallback["url"]).content == site("GET", "/v1/products/p01/clip").content


def test_feed_answers_with_originals_when_no_generator_does(site: Site) -> None:
    site.generator.failure = Problem(503, "the generator does not answer; try again")
    feed = site("POST", "/v1/feed", json={"viewer": "x", "k": 2})
    assert feed.status_code == 200
    assert not any(item["clip"]["restyled"] for item in feed.json()["items"])


REASONS = ("unrecognisable: agreement of edges with the source 0.31, at least 0.55",)


def refuse(site: Site, product: str) -> None:
    """Let the generator refuse the renders of one product."""
    render = site.generator.render

    async def refusing(request: RenderRequest) -> bytes | Refusal:
        made = await render(request)
        if request.product_id != product:
            return made
        said = Provenance(task="original", product=product, refused=REASONS)
        return Refusal(REASONS, encode_mp4(clip_frames(1), 12.0, metadata=said.metadata()))

    site.generator.render = refusing


def test_refused_render_is_not_served_and_the_feed_says_why(site: Site) -> None:
    refuse(site, "p01")
    feed = site("POST", "/v1/feed", json={"viewer": "x", "k": 3}).json()
    assert [item["clip"]["restyled"] for item in feed["items"]] == [True, False, True]
    assert [item["clip"]["generated"] for item in feed["items"]] == [True, False, True]
    assert [item["clip"]["refused"] for item in feed["items"]] == [[], list(REASONS), []]
    assert feed["degraded"] is True
    clip = feed["items"][1]["clip"]
    assert (clip["style"], clip["model_version"], clip["cached"]) == (None, None, False)
    assert read_provenance(site("GET", clip["url"]).content).refused == REASONS
    assert site("GET", f"{clip['url']}/provenance").json() == {
        "id": clip["id"],
        "generated": False,
        "task": "original",
        "model": None,
        "product": "p01",
        "look": None,
        "refused": list(REASONS),
    }


def test_a_refusal_is_remembered(site: Site) -> None:
    refuse(site, "p01")
    answers = [site("POST", "/v1/clips", json={"product_id": "p01", "style": "neon"}) for _ in range(2)]
    assert [answer.headers["x-cache"] for answer in answers] == ["miss", "hit"]
    assert [json.loads(answer.headers["x-refused"]) for answer in answers] == [list(REASONS)] * 2
    assert answers[0].content == answers[1].content == site("GET", answers[0].headers["location"]).content
    assert len(site.generator.requests) == 1
    assert json.loads(site("POST", "/v1/clips", json={"product_id": "p00", "style": "neon"}).headers["x-refused"]) == []


def test_a_product_s_own_clip_says_that_it_is_not_generated(site: Site) -> None:
    found = read_provenance(site("GET", "/v1/products/p02/clip").content)
    assert found == Provenance(task="original", product="p02")


def test_the_generator_is_told_the_look_in_words(site: Site) -> None:
    site("POST", "/v1/clips", json={"product_id": "p00", "style": {"neon": 3, "ink": 1}})
    assert site.generator.requests[0].look == "neon 75% · ink 25%"


def test_late_render_gives_the_original_now_and_the_look_next_time(site: Site) -> None:
    """The feed does not wait for a slow generator; its render goes on and is in the cache of the next feed."""
    release = asyncio.Event()
    render = site.generator.render

    async def slow(request: RenderRequest) -> bytes:
        await release.wait()
        return await render(request)

    site.generator.render = slow

    async def scenario() -> tuple[Feed, Feed]:
        first = await site.feeds.feed("x", 1, wait=0.01)
        release.set()
        return first, await site.feeds.feed("x", 1)

    first, second = asyncio.run(scenario())
    assert (first.items[0].clip.restyled, first.degraded) == (False, True)
    assert first.degraded_because == ["not rendered within 0.01 s"]
    assert second.items[0].clip.restyled
    assert len(site.generator.requests) == 1


def test_busy_generator_is_429_with_retry_after_on_clips_alone(site: Site) -> None:
    site.generator.failure = Problem(429, "the generator is busy; try again", headers={"retry-after": "2"})
    answer = site("POST", "/v1/clips", json={"product_id": "p00", "style": "neon"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert site("POST", "/v1/recommend", json={"viewer": "x"}).status_code == 200
    assert site("GET", "/readyz").status_code == 200


def test_ready_only_when_a_feed_can_be_answered(site: Site) -> None:
    assert site("GET", "/readyz").status_code == 200
    site.generator.failure = Problem(503, "the generator does not answer; try again")
    assert site("GET", "/readyz").status_code == 503
    assert site("GET", "/healthz").status_code == 200


def test_clip_in_a_style(site: Site) -> None:
    first = site("POST", "/v1/clips", json={"product_id": "p00", "style": {"neon": 1, "ink": 1}, "strength": 0.5})
    assert (first.status_code, first.content) == (200, b"mp4 of p00 1.50 0.5")
    assert (first.headers["content-type"], first.headers["x-cache"]) == ("video/mp4", "miss")
    again = site("GET", first.headers["location"])
    assert (again.content, again.headers["etag"]) == (first.content, f'"{first.headers["x-clip-id"]}"')
    second = site("POST", "/v1/clips", json={"product_id": "p00", "style": {"neon": 2, "ink": 2}, "strength": 0.5})
    assert second.headers["x-cache"] == "hit"


@pytest.mark.parametrize(
    ("body", "status", "field_name"),
    [
        ({"product_id": "nope", "style": "neon"}, 404, None),
        ({"product_id": "p00", "style": "baroque"}, 422, "style"),
        ({"product_id": "p00", "style": {"neon": -1}}, 422, "style.neon"),
        ({"product_id": "p00", "style": [1, 2]}, 422, "style"),
        ({"product_id": "p00", "style": 7}, 422, "style"),
        ({"product_id": "p00"}, 422, "style"),
        ({"product_id": "p00", "style": "neon", "strength": 2}, 422, "strength"),
        ([], 422, "body"),
    ],
)
def test_wrong_clip_request_is_named(site: Site, body: object, status: int, field_name: str | None) -> None:
    answer = site("POST", "/v1/clips", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert field_name is None or answer.json()["errors"][0]["field"].startswith(field_name)
    assert site.generator.requests == []


def test_uploaded_clip_is_restyled(site: Site) -> None:
    files = {"file": ("clip.mp4", encode_mp4(clip_frames(1), 12.0), "video/mp4")}
    answer = site("POST", "/v1/clips", files=files, data={"style": '{"neon": 1}', "strength": "0.5"})
    assert answer.status_code == 200, answer.text
    request = site.generator.requests[0]
    assert request.frames_THWC.shape == (24, 128, 128, 3)
    assert (request.strength, request.fps) == (0.5, 12.0)


@pytest.mark.parametrize(
    ("content", "form", "status", "field_name"),
    [
        pytest.param(b"just text", {"style": "neon"}, 422, "file", id="text-named-mp4"),
        pytest.param(b"", {"style": "neon"}, 422, "file", id="zero-bytes"),
        pytest.param("cut", {"style": "neon"}, 422, "file", id="truncated-mp4"),
        pytest.param("whole", {}, 422, "style", id="no-style"),
        pytest.param("whole", {"style": "baroque"}, 422, "style", id="unknown-style"),
        pytest.param("whole", {"style": "{broken"}, 422, "style", id="style-is-no-json"),
        pytest.param("whole", {"style": "[" * 100_000}, 422, "style", id="style-is-nested-without-end"),
        pytest.param("whole", {"style": f"[{'1' * 5000}]"}, 422, "style", id="style-has-a-number-without-end"),
        pytest.param("whole", {"style": "neon", "strength": "much"}, 422, "strength", id="strength-is-no-number"),
        pytest.param(b"x" * (MAX_UPLOAD + 1), {"style": "neon"}, 413, None, id="too-large"),
        pytest.param(b"x" * (2 * MAX_UPLOAD), {"style": "neon"}, 413, None, id="far-too-large"),
    ],
)
def test_wrong_upload_is_a_problem(site: Site, content: Any, form: dict, status: int, field_name: str | None) -> None:
    whole = encode_mp4(clip_frames(1), 12.0)
    content = (
        {"whole": whole, "cut": whole[: len(whole) // 2]}.get(content, content) if isinstance(content, str) else content
    )
    answer = site("POST", "/v1/clips", files={"file": ("clip.mp4", content, "video/mp4")}, data=form)
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert field_name is None or answer.json()["errors"][0]["field"] == field_name
    assert site.generator.requests == []


def test_form_without_a_file_names_it(site: Site) -> None:
    answer = site("POST", "/v1/clips", files={"other": b"x"}, data={"style": "neon"})
    assert answer.json()["errors"][0]["field"] == "file"


@pytest.mark.parametrize("route", ["/v1/clips", "/v1/feed", "/v1/events"])
def test_other_media_type_is_415(site: Site, route: str) -> None:
    body = json.dumps({"viewer": "mia"}).encode()
    assert site("POST", route, content=body, headers={"content-type": "text/plain"}).status_code == 415
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert site("POST", route, content=body, headers=form).status_code == 415


def test_json_without_a_content_type_is_read(site: Site) -> None:
    assert site("POST", "/v1/recommend", content=b'{"viewer": "mia"}').status_code == 200
    assert site("POST", "/v1/recommend", content=b"no json").status_code == 400


def test_body_without_declared_length_is_bounded(site: Site) -> None:
    async def endless():
        for _ in range(1000):
            yield b"x" * 10_000

    assert (
        site("POST", "/v1/events", content=endless(), headers={"content-type": "application/json"}).status_code == 413
    )


@pytest.mark.parametrize(
    ("failure", "status"),
    [(ValueError("/secret/path"), 500), (StorageError("/secret/path is full"), 507)],
    ids=["bug", "full-disk"],
)
def test_fault_in_the_server_shows_no_path_and_no_trace(
    site: Site, monkeypatch: pytest.MonkeyPatch, failure: Exception, status: int
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(site.events, "append", fail)
    answer = site("POST", "/v1/events", json=click())
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_original_clip_takes_ranges(site: Site) -> None:
    whole = site("GET", "/v1/products/p00/clip")
    part = site("GET", "/v1/products/p00/clip", headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, whole.content[4:8])
    assert whole.content[4:8] == b"ftyp"
    known = site("GET", "/v1/products/p00/clip", headers={"if-none-match": whole.headers["etag"]})
    assert known.status_code == 304
    assert site("GET", "/v1/products/p00/clip", headers={"range": "bytes=999999-"}).status_code == 416


@pytest.mark.parametrize("path", ["/v1/products/p00/clip", "/v1/storefront", "/healthz", "/", "/storefront/api.js"])
def test_head_is_get_without_the_body(site: Site, path: str) -> None:
    """Players ask for a clip's length with it, balancers whether the server is up."""
    got, head = site("GET", path), site("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(got.content))
    assert head.headers["content-type"] == got.headers["content-type"]
    assert site("HEAD", "/v1/recommend").status_code == 405


def test_poster_is_a_jpeg(site: Site) -> None:
    answer = site("GET", "/v1/products/p00/poster.jpg")
    assert (answer.headers["content-type"], answer.content[:2]) == ("image/jpeg", b"\xff\xd8")


def test_clip_is_a_poster_for_whoever_asks_for_a_picture(site: Site) -> None:
    """What an `<img>` sends gets the first frame, what a `<video>` sends the clip; caches tell the two apart."""
    refuse(site, "p01")  # its answer is a real MP4
    made = site("POST", "/v1/clips", json={"product_id": "p01", "style": "neon"})
    picture = {"accept": "image/avif,image/webp,*/*;q=0.8"}
    poster = site("GET", made.headers["location"], headers=picture)
    assert (poster.headers["content-type"], poster.headers["vary"]) == ("image/webp", "accept")
    frame = np.asarray(Image.open(io.BytesIO(poster.content)).convert("RGB")).astype(int)
    assert np.abs(frame - clip_frames(1)[0]).mean() < 6
    assert site("GET", made.headers["location"], headers={"accept": "*/*"}).content == made.content
    assert poster.headers["etag"] != site("GET", made.headers["location"]).headers["etag"]
    again = site("POST", "/v1/clips", json={"product_id": "p01", "style": "neon"}, headers=picture)
    assert again.content == poster.content


def test_similar_products(site: Site) -> None:
    answer = site("GET", "/v1/products/p00/similar?k=2").json()
    assert [item["product"]["id"] for item in answer["items"]] == ["p01", "p02"]


def test_storefront_starts_from_viewers_styles_and_models(site: Site) -> None:
    start = site("GET", "/v1/storefront").json()
    assert start["viewers"] == [{"id": "mia", "label": "Mia"}]
    assert start["styles"] == list(PRESETS)
    assert start["models"]["generator"] == "generator/3"
    assert site("GET", "/v1/models").json()["generator"]["reference"] == "generator/3"


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_pages_forbid_requests_to_other_hosts(site: Site, page: str) -> None:
    answer = site("GET", page)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text


@pytest.mark.parametrize("path", ["/", "/docs", "/storefront/storefront.js", "/storefront/storefront.css"])
def test_a_browser_asks_whether_the_page_has_changed(site: Site, path: str) -> None:
    """Script, style and page of one version stay together after an upgrade."""
    got = site("GET", path)
    assert got.headers["cache-control"] == "no-cache"
    again = site("GET", path, headers={"if-none-match": got.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) in ((304, "no-cache"), (200, "no-cache"))


def test_openapi_documents_every_route(site: Site) -> None:
    paths = site("GET", "/openapi.json").json()["paths"]
    assert {
        "/v1/feed",
        "/v1/recommend",
        "/v1/clips",
        "/v1/clips/{clip_id}",
        "/v1/events",
        "/v1/models",
        "/readyz",
    } <= set(paths)
    assert set(paths["/v1/clips"]["post"]["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
    assert json.dumps(paths).count("problem+json") > 10


def test_request_id_is_echoed(site: Site) -> None:
    assert site("GET", "/healthz", headers={"x-request-id": "abc"}).headers["x-request-id"] == "abc"
    assert len(site("GET", "/healthz").headers["x-request-id"]) == 32


def test_concurrent_identical_renders_are_one(site: Site) -> None:
    release = asyncio.Event()
    render: Callable[[RenderRequest], Awaitable[bytes]] = site.generator.render

    async def slow(request: RenderRequest) -> bytes:
        await release.wait()
        return await render(request)

    site.generator.render = slow

    async def scenario() -> set[bytes]:
        style = styles.blend({"neon": 1.0}, PRESETS)
        waiting = [asyncio.ensure_future(site.shop.restyle("p00", style, 1.0)) for _ in range(4)]
        await asyncio.to_thread(lambda: None)
        release.set()
        return {rendered.data for rendered in await asyncio.gather(*waiting)}

    assert asyncio.run(scenario()) == {b"mp4 of p00 1.00 1.0"}
    assert len(site.generator.requests) == 1
