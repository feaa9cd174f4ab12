"""Errors of every kind say what is wrong to the client, and nothing of the machine they happened on."""

from __future__ import annotations

import asyncio
import getpass
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray.exceptions
import sqlalchemy as sa

from cluster.errors import InputError, NotFoundError, StorageError, StorageReadError
from serving.contracts import RenderError
from serving.database import DatabaseError
from serving.door.middleware import SECURITY_HEADERS
from serving.door.settings import LimitArgs
from serving.messages import MAX_EVENTS
from serving.problems import MEDIA_TYPE, TITLES
from tests.serving_site import MAX_UPLOAD, Site, make_site

SECRET = f"{socket.gethostname()} {Path.cwd()} /home/{getpass.getuser()} /srv/secret postgresql://u:pw@db.internal/x"
JSON = {"content-type": "application/json"}
REQUESTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "no-json": ("POST", "/v1/feed", {"content": b"{", "headers": JSON}),
    "not-utf-8": ("POST", "/v1/events", {"content": b"\xff\xfe\x00", "headers": JSON}),
    "too-deep": ("POST", "/v1/events", {"content": b"[" * 100_000, "headers": JSON}),
    "too-deep-clip": ("POST", "/v1/clips", {"content": b'{"a":' * 50_000, "headers": JSON}),
    "number-of-10000-digits": ("POST", "/v1/feed", {"content": b'{"k":' + b"9" * 10_000 + b"}", "headers": JSON}),
    "wrong-fields": ("POST", "/v1/feed", {"json": {"viewer": 1, "k": "x", "extra": {}}}),
    "unknown-product": ("POST", "/v1/clips", {"json": {"product_id": "nothing", "style": "neon"}}),
    "unknown-route": ("GET", "/v1/etc/passwd", {}),
    "up-and-away": ("GET", "/storefront/%2e%2e/%2e%2e/etc/passwd", {}),
    "unknown-page": ("GET", "/storefront/nothing.js", {}),
    "a-folder": ("GET", "/storefront/", {}),
    "wrong-method": ("PATCH", "/v1/feed", {}),
    "wrong-media-type": ("POST", "/v1/clips", {"content": b"x", "headers": {"content-type": "text/xml"}}),
    "no-boundary": ("POST", "/v1/clips", {"content": b"x", "headers": {"content-type": "multipart/form-data"}}),
    "broken-form": (
        "POST",
        "/v1/clips",
        {"content": b"--x\r\nno headers", "headers": {"content-type": "multipart/form-data; boundary=x"}},
    ),
    "no-clip": ("POST", "/v1/clips", {"files": {"file": b"text"}, "data": {"style": "neon"}}),
    "too-large": ("POST", "/v1/clips", {"files": {"file": bytes(MAX_UPLOAD + 1)}, "data": {"style": "neon"}}),
    "large-json": ("POST", "/v1/events", {"content": b" " * 600_000, "headers": JSON}),
    "range-outside": ("GET", "/v1/products/p00/clip", {"headers": {"range": "bytes=99999999-"}}),
    "length-of-10000-digits": ("POST", "/v1/feed", {"content": b"{}", "headers": {"content-length": "9" * 10_000}}),
    "nul-in-path": ("GET", "/v1/products/%00/clip", {}),
}  # fmt: skip


def assert_clean(answer: httpx.Response) -> None:
    assert answer.headers["content-type"] == MEDIA_TYPE
    document = answer.json()
    assert (document["status"], document["title"]) == (answer.status_code, TITLES[answer.status_code])
    assert document["type"] == f"urn:shopreel:problem:{answer.status_code}"
    everything = answer.text + str(answer.headers)
    for telltale in (
        "Traceback",
        'File "',
        ".py",
        "site-packages",
        "/srv/",
        "db.internal",
        str(Path.cwd()),
        "sqlalchemy",
    ):
        assert telltale not in everything, telltale
    assert socket.gethostname() not in everything
    for name in SECURITY_HEADERS:
        assert name in answer.headers


@pytest.mark.parametrize("name", REQUESTS)
def test_a_wrong_request_is_a_clean_problem_document(site: Site, name: str) -> None:
    method, path, arguments = REQUESTS[name]
    answer = site(method, path, **arguments)
    assert 400 <= answer.status_code < 500
    assert_clean(answer)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        pytest.param(ValueError(SECRET), 500, id="bug"),
        pytest.param(OSError(28, "No space left on device", "/srv/secret"), 500, id="system"),
        pytest.param(InputError(SECRET), 500, id="input-from-inside"),
        pytest.param(NotFoundError(SECRET), 500, id="missing"),
        pytest.param(StorageError(SECRET), 507, id="disk-full"),
        pytest.param(StorageReadError(SECRET), 503, id="storage-gone"),
        pytest.param(DatabaseError(SECRET), 503, id="database-gone"),
        pytest.param(sa.exc.ProgrammingError("SELECT 1", {}, Exception(SECRET)), 500, id="sql"),
        pytest.param(ray.exceptions.RayActorError(), 500, id="actor"),
        pytest.param(RecursionError(SECRET), 500, id="recursion"),
        pytest.param(MemoryError(SECRET), 500, id="memory"),
    ],
)
@pytest.mark.parametrize("place", ["events", "recommender"])
def test_a_fault_of_the_server_tells_nothing_of_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, failure: Exception, status: int, place: str
) -> None:
    async def fail_later(*_: object, **__: object) -> None:
        raise failure

    def fail(*_: object, **__: object) -> None:
        raise failure

    if place == "events":
        monkeypatch.setattr(site.events, "append", fail)
        event = {"viewer": "mia", "product_id": "p00", "event_type": "click"}
        answer = site("POST", "/v1/events", json=event)
    else:
        monkeypatch.setattr(site.recommender, "recommend", fail_later)
        answer = site("POST", "/v1/recommend", json={"viewer": "mia"})
    assert answer.status_code == status
    assert_clean(answer)


@pytest.mark.parametrize(
    "headers",
    [
        {"range": f"bytes={'9' * 5000}-"},
        {"range": "bytes=-" + "9" * 5000},
        {"origin": "http://[", "cookie": "shopreel_key=x"},
        {"cookie": 'a="'},
        {"x-request-timeout": "nan"},
        {"x-request-timeout": "9" * 5000},
        {"accept": "*;q=" + "9" * 5000},
        {"if-none-match": '"' * 5000},
        {"authorization": "Bearer \xe9"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_strange_headers_do_no_harm(site: Site, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    assert site("GET", "/v1/products/p00/clip", headers=raw).status_code < 500
    assert site("POST", "/v1/recommend", json={"viewer": "x"}, headers=raw).status_code < 500


def test_a_render_that_fails_tells_nothing_of_the_server(site: Site) -> None:
    site.generator.failure = RenderError("the clip could not be rendered (RuntimeError)")
    answer = site("POST", "/v1/clips", json={"product_id": "p00", "style": "neon"})
    assert answer.status_code in (500, 503)
    assert_clean(answer)


def test_the_log_has_no_viewer_in_its_paths(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("bug")

    monkeypatch.setattr(site.events, "history", fail)
    assert site("DELETE", "/v1/viewers/mia@example.org").status_code == 500
    assert "/v1/viewers/…" in caplog.text
    assert "mia@example.org" not in caplog.text


def test_what_a_client_sent_comes_back_shortened(site: Site) -> None:
    """A megabyte of mistakes is not answered with another."""
    many = [{"viewer": "x", **{f"f{i}{'y' * 40}": i for i in range(40)}} for _ in range(MAX_EVENTS)]
    answer = site("POST", "/v1/events", json=many)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) <= 50
    assert len(answer.content) < 20_000
    assert len(site("GET", f"/v1/{'x' * 50_000}").content) < 2_000


def test_a_body_that_comes_too_slowly_is_408(catalogue: Any, storage: Any, tmp_path: Path) -> None:
    site = make_site(catalogue, storage, f"sqlite:///{tmp_path}/e.db", limits=LimitArgs(body_seconds=0.2))

    async def trickle() -> Any:
        yield b"["
        await asyncio.Event().wait()

    answer = site("POST", "/v1/events", content=trickle(), headers=JSON)
    assert answer.status_code == 408
    assert_clean(answer)


def test_no_route_takes_a_url(site: Site) -> None:
    """Nothing a client sends is ever fetched: no field, parameter or header of the API is an address."""

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            assert schema.get("format") not in ("uri", "url", "iri", "hostname")
            for name, part in schema.items():
                if name == "properties":
                    assert not [field for field in part if field.endswith(("_uri", "_href")) or field in ("url", "uri")]
                walk(part)
        elif isinstance(schema, list):
            for part in schema:
                walk(part)

    description = site("GET", "/openapi.json").json()
    for operations in description["paths"].values():
        for operation in operations.values():
            walk(operation.get("requestBody", {}))
            walk(operation.get("parameters", []))
    for name, schema in description["components"]["schemas"].items():
        if name.endswith(("Request", "In", "Batch")):
            walk(schema)
