"""The gate: scopes, cookies, rates and the number of requests in flight, in front of the real application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cluster.errors import InputError
from serving.args import AppArgs
from serving.door.access import scope_of
from serving.door.gate import COOKIE
from serving.door.keys import SCOPES, KeyStore
from serving.door.rates import MAX_CLIENTS, TokenBuckets
from serving.door.ring import KeyRing
from serving.door.settings import AccessArgs, LimitArgs
from serving.problems import MEDIA_TYPE
from serving.run import with_keys_decided
from tests.serving_site import Site, make_site
from tests.unit.test_door_keys import Clock
from tests.unit.test_serving_http import click

RECOMMEND = ("POST", "/v1/recommend", {"json": {"viewer": "mia"}})
RENDER = ("POST", "/v1/clips", {"json": {"product_id": "p00", "style": "neon"}})
EVENT = ("POST", "/v1/events", {"json": click()})
SCOPED = {"read": RECOMMEND, "render": RENDER, "write-events": EVENT}


@pytest.fixture
def database(tmp_path: Any) -> str:
    return f"sqlite:///{tmp_path}/events.db"


@pytest.fixture
def keys(database: str) -> KeyStore:
    return KeyStore(database)


@pytest.fixture
def open_site(catalogue: Any, storage: Any, database: str) -> Callable[..., Site]:  # noqa: F811
    """A site with settings of its own."""
    return lambda **door: make_site(catalogue, storage, database, **door)


@pytest.fixture
def guarded(open_site: Callable[..., Site], keys: KeyStore) -> Site:
    return open_site(ring=KeyRing(keys))


def bearing(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def ask(site: Site, request: tuple, **headers: str) -> httpx.Response:
    method, path, arguments = request
    return site(method, path, headers=headers, **arguments)


@pytest.mark.parametrize("scope", SCOPED)
def test_a_key_opens_what_its_scope_names_and_nothing_else(guarded: Site, keys: KeyStore, scope: str) -> None:
    text, _ = keys.create("x", [scope])
    for other, request in SCOPED.items():
        answer = ask(guarded, request, **bearing(text))
        if other == scope:
            assert answer.status_code in (200, 202), answer.text
        else:
            assert (answer.status_code, answer.headers["content-type"]) == (403, MEDIA_TYPE)
            assert f'error="insufficient_scope", scope="{other}"' in answer.headers["www-authenticate"]


def test_admin_may_do_everything(guarded: Site, keys: KeyStore) -> None:
    text, _ = keys.create("x", ["admin"])
    assert {ask(guarded, request, **bearing(text)).status_code for request in SCOPED.values()} == {200, 202}


@pytest.mark.parametrize(
    "headers",
    [{}, bearing("nonsense"), {"authorization": "Basic eDp5"}, {"authorization": "Bearer"}, {"cookie": f"{COOKIE}=x"}],
    ids=["none", "wrong", "basic", "empty", "wrong-cookie"],
)
def test_without_a_valid_key_it_is_401_with_a_challenge(guarded: Site, headers: dict[str, str]) -> None:
    for request in (*SCOPED.values(), ("GET", "/v1/models", {}), ("GET", "/v1/nothing", {}), ("PUT", "/v1/feed", {})):
        answer = ask(guarded, request, **headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, MEDIA_TYPE)
        assert answer.headers["www-authenticate"].startswith('Bearer realm="shopreel"')
    assert guarded.events.count() == 0


def test_a_stranger_s_body_is_not_read(guarded: Site) -> None:
    read = 0

    async def body() -> Any:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 1000

    assert guarded("POST", "/v1/events", content=body()).status_code == 401
    assert read <= 1


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/storefront/api.js", "/healthz", "/readyz"])
def test_pages_and_health_need_no_key(guarded: Site, path: str) -> None:
    assert guarded("GET", path).status_code == 200


def test_every_route_has_a_scope_or_is_meant_to_be_public(guarded: Site) -> None:
    paths = guarded("GET", "/openapi.json").json()["paths"]
    found = {(method.upper(), path): scope_of(method.upper(), path) for path, all_ in paths.items() for method in all_}
    public = {path for (_, path), scope in found.items() if scope is None}
    assert public == {"/healthz", "/readyz", "/v1/session"}
    assert {scope for (method, _), scope in found.items() if method == "GET"} <= {None, "read"}
    described = {(m.upper(), p): paths[p][m]["security"] for p in paths for m in paths[p]}
    assert all((security == []) == (found[operation] is None) for operation, security in described.items())
    assert scope_of("DELETE", "/v1/viewers/mia") == scope_of("POST", "/v1/whatever-comes") == "admin"


def test_the_page_trades_its_key_for_a_cookie_that_may_read_and_tell(guarded: Site, keys: KeyStore) -> None:
    text, _ = keys.create("x", SCOPES)
    opened = guarded("POST", "/v1/session", headers=bearing(text))
    cookie = opened.headers["set-cookie"]
    assert opened.status_code == 204
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    sent = {"cookie": cookie.partition(";")[0], "host": "shop"}
    assert {name: ask(guarded, request, **sent).status_code for name, request in SCOPED.items()} == {
        "read": 200,
        "render": 403,
        "write-events": 202,
    }
    assert guarded("GET", "/v1/products/p00/clip", headers=sent).status_code == 200
    assert ask(guarded, EVENT, **sent, origin="http://shop").status_code == 202
    assert ask(guarded, EVENT, **sent, origin="https://elsewhere.example").status_code == 401
    assert guarded("POST", "/v1/session", headers=bearing(text[:-1])).status_code == 401
    assert "Max-Age=0" in guarded("DELETE", "/v1/session").headers["set-cookie"]


def test_one_client_s_haste_is_429_and_leaves_others_alone(open_site: Callable[..., Site], keys: KeyStore) -> None:
    site = open_site(ring=KeyRing(keys), limits=LimitArgs(key_rate=0.001, key_burst=3))
    hasty, calm = keys.create("hasty", ["read"])[0], keys.create("calm", ["read"])[0]
    statuses = [ask(site, RECOMMEND, **bearing(hasty)).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = ask(site, RECOMMEND, **bearing(hasty))
    assert refused.headers["content-type"] == MEDIA_TYPE
    assert 900 <= int(refused.headers["retry-after"]) <= 1000
    assert ask(site, RECOMMEND, **bearing(calm)).status_code == 200
    assert site("GET", "/healthz").status_code == 200


def test_a_key_may_have_a_rate_of_its_own(open_site: Callable[..., Site], keys: KeyStore) -> None:
    site = open_site(ring=KeyRing(keys), limits=LimitArgs(key_burst=1))
    slow = keys.create("slow", ["read"], rate=0.001)[0]
    assert [ask(site, RECOMMEND, **bearing(slow)).status_code for _ in range(2)] == [200, 429]


def test_without_keys_the_address_counts(open_site: Callable[..., Site]) -> None:
    site = open_site(limits=LimitArgs(address_rate=0.001, address_burst=2))

    async def from_address(address: str) -> int:
        transport = httpx.ASGITransport(site.app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return (await client.post("/v1/recommend", json={"viewer": "x"})).status_code

    assert [asyncio.run(from_address("10.0.0.1")) for _ in range(3)] == [200, 200, 429]
    assert asyncio.run(from_address("10.0.0.2")) == 200


def test_more_requests_than_fit_are_429_and_health_still_answers(open_site: Callable[..., Site]) -> None:
    """Two requests hang; the third is refused at once, and served when they are done."""
    site = open_site(limits=LimitArgs(in_flight=2))

    async def scenario() -> list[int]:
        release, arrived = asyncio.Event(), asyncio.Semaphore(0)
        recommend = site.recommender.recommend

        async def slow(*arguments: Any) -> Any:
            arrived.release()
            await release.wait()
            return await recommend(*arguments)

        site.recommender.recommend = slow
        transport = httpx.ASGITransport(site.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            body = {"viewer": "x"}
            held = [asyncio.ensure_future(client.post("/v1/recommend", json=body)) for _ in range(2)]
            for _ in held:
                await arrived.acquire()
            refused = await client.post("/v1/recommend", json=body)
            assert refused.headers["retry-after"] == "1"
            alive = await client.get("/healthz")
            release.set()
            served = [answer.status_code for answer in await asyncio.gather(*held)]
            again = await client.post("/v1/recommend", json=body)
            return [refused.status_code, alive.status_code, *served, again.status_code]

    assert asyncio.run(scenario()) == [429, 200, 200, 200, 200]


def test_a_bucket_fills_at_its_rate_up_to_its_burst() -> None:
    clock = Clock()
    buckets = TokenBuckets(clock)
    assert [buckets.take("a", 2, 3) for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.5
    assert [buckets.take("a", 2, 3) for _ in range(2)] == [0, 0.5]
    clock.now += 1000
    assert [buckets.take("a", 2, 3) for _ in range(4)] == [0, 0, 0, 0.5]


def test_the_number_of_buckets_is_bounded() -> None:
    buckets = TokenBuckets(Clock())
    for client in range(3 * MAX_CLIENTS):
        buckets.take(str(client), 1, 1)
    assert len(buckets._buckets) == MAX_CLIENTS


def test_preflight_needs_no_key_and_only_listed_origins_get_one(open_site: Callable[..., Site], keys: KeyStore) -> None:
    listed, asked = "https://shop.example", {"access-control-request-method": "POST"}
    site = open_site(ring=KeyRing(keys), access=AccessArgs(allowed_origins=(listed,)))
    allowed = site("OPTIONS", "/v1/feed", headers={"origin": listed, **asked})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, listed)
    assert "access-control-allow-credentials" not in allowed.headers
    other = site("OPTIONS", "/v1/feed", headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in other.headers
    refused = ask(site, RECOMMEND, origin=listed)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, listed)
    closed = open_site()
    for method in ("OPTIONS", "POST"):
        answer = closed(method, "/v1/feed", headers={"origin": listed, **asked}, json={"viewer": "x"})
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        pytest.param(500, {}, id="fault"),
        pytest.param(504, {"headers": {"x-request-timeout": "0.01"}}, id="deadline"),
        pytest.param(400, {"headers": {"x-request-timeout": "soon"}}, id="deadline-is-no-number"),
        pytest.param(413, {"json": {"viewer": "x" * 600_000}}, id="too-large"),
    ],
)
def test_pages_of_listed_origins_can_read_every_refusal(
    open_site: Callable[..., Site], status: int, sent: dict[str, Any]
) -> None:
    listed = "https://shop.example"
    site = open_site(access=AccessArgs(allowed_origins=(listed,)))

    async def fails_or_never_answers(*_: Any) -> None:
        if status == 500:
            raise RuntimeError("a bug")
        await asyncio.Event().wait()

    site.recommender.recommend = fails_or_never_answers
    headers = {"origin": listed, **sent.get("headers", {})}
    answer = site("POST", "/v1/recommend", **{"json": {"viewer": "mia"}, **sent, "headers": headers})
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert answer.headers["access-control-allow-origin"] == listed
    assert {"x-request-id", "x-model-version"} <= set(answer.headers["access-control-expose-headers"].split(", "))


@pytest.mark.parametrize(
    ("host", "setting", "decided"),
    [
        ("127.0.0.1", "auto", "never"),
        ("localhost", "auto", "never"),
        ("::1", "auto", "never"),
        ("0.0.0.0", "auto", "always"),
        ("shop.internal", "auto", "always"),
        ("127.0.0.1", "always", "always"),
        ("127.0.0.1", "never", "never"),
    ],
)
def test_keys_are_asked_for_unless_only_this_machine_can_ask(host: str, setting: str, decided: str) -> None:
    assert with_keys_decided(arguments(setting), host).access.keys == decided


def test_keys_cannot_be_off_on_the_network() -> None:
    with pytest.raises(InputError, match="access.keys is never and --host 0.0.0.0"):
        with_keys_decided(arguments("never"), "0.0.0.0")


def arguments(keys: str) -> AppArgs:
    return AppArgs.parse(
        {"data": "d", "storage_root": "r", "tracking_uri": "t", "event_store_url": "e", "access": {"keys": keys}}
    )


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("limits.key_rate=0", "limits.key_rate"),
        ("limits.colour=red", "limits.colour"),
        ("colours.red=1", "no group of settings 'colours'"),
        ("limits.key_rate", "no '='"),
        ("access.allowed_origins=['*']", "access.allowed_origins"),
        ("rerank.diversity=much", "diversity"),
        ("uploads.max_bytes=[", "no YAML value"),
    ],
)
def test_a_wrong_setting_is_named(assignment: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("[", "\\[")):
        arguments("auto").override([assignment])


def test_settings_are_reached_by_their_dotted_names() -> None:
    changed = arguments("auto").override(["limits.key_rate=5", "rerank.most_of_creator=2", "feed_wait_s=1.5"])
    assert (changed.limits.key_rate, changed.reranking().most_of_creator, changed.feed_wait_s) == (5, 2, 1.5)
