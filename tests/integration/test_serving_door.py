"""One Serve application that asks for keys: what strangers, hasty clients and erased viewers meet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import ray
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from schemathesis.checks import CHECKS

from cluster.pseudonym import Pseudonymiser
from cluster.settings import Settings
from serving.args import AppArgs
from serving.door.keys import KeyStore
from serving.event_store import EventStore
from serving.run import serve_app
from tests.e2e.tiny_models import make_shop
from tests.e2e.tiny_shop import NAME, VIEWERS
from tests.integration.test_serving_app import PATIENCE_S, SCALING, watch
from tests.unit.test_serving_erasure import traces
from tests.unit.test_upload_decoder import gif
from tests.waiting import free_port, wait_for

EXAMPLES = 12
"""Requests schemathesis makes for each route."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("door"))})


@pytest.fixture(scope="module")
def keys(settings: Settings) -> KeyStore:
    return KeyStore(settings.event_store_url)


@pytest.fixture(scope="module")
def base_url(settings: Settings) -> Iterator[str]:
    make_shop(settings)
    args = AppArgs.for_settings(
        settings,
        NAME,
        feed_wait_s=PATIENCE_S,
        generator_replicas=SCALING,
        access={"keys": "always"},
        limits={"key_rate": 1e6, "key_burst": 10**6, "body_seconds": 2},
        uploads={"max_bytes": 10**6},
        tracing={"endpoint": f"file://{settings.storage_root}/traces"},
    )
    with serve_app(args.model_dump(), port=free_port()) as url:
        yield url


@pytest.fixture
def admin(base_url: str, keys: KeyStore) -> Iterator[httpx.Client]:
    text, _ = keys.create("tests", ["admin"])
    with httpx.Client(base_url=base_url, timeout=PATIENCE_S, headers={"authorization": f"Bearer {text}"}) as client:
        yield client


def test_a_key_opens_at_once_and_a_revoked_one_closes_without_a_restart(base_url: str, keys: KeyStore) -> None:
    with httpx.Client(base_url=base_url, timeout=PATIENCE_S) as client:
        assert client.get("/v1/models").status_code == 401
        text, key = keys.create("short", ["read"])
        headers = {"authorization": f"Bearer {text}"}
        wait_for(lambda: client.get("/v1/models", headers=headers).status_code == 200, "the new key opens")
        assert client.delete("/v1/viewers/x", headers=headers).status_code == 403
        keys.revoke(key.key_id)
        wait_for(lambda: client.get("/v1/models", headers=headers).status_code == 401, "the revoked key closes")


def test_no_request_that_follows_or_breaks_the_description_makes_the_server_fail(admin: httpx.Client) -> None:
    """schemathesis: every route, valid and invalid; documented answers, wrong data refused, nothing without a key."""
    wait_for(lambda: admin.get("/v1/models").status_code == 200, "the key opens")
    schema = schemathesis.openapi.from_url(f"{admin.base_url}/openapi.json")
    # A product id that is no product's is refused, whatever the schema says of its letters; and what happens without a
    # key is asked below, as schemathesis takes one of two schemes away and sends the other.
    excluded = [CHECKS.get_one("positive_data_acceptance"), CHECKS.get_one("ignored_auth")]
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {"POST /v1/clips", "DELETE /v1/viewers/{viewer}"} <= {operation.label for operation in operations}
    for operation in operations:

        @given(case=operation.as_strategy())
        @examples(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=dict(admin.headers), excluded_checks=excluded, timeout=PATIENCE_S)

        check()
        bare = httpx.request(operation.method, f"{admin.base_url}{operation.path.replace('{', '').replace('}', '')}")
        if operation.definition.raw["security"]:
            assert bare.status_code == 401, operation.label


def test_one_request_is_one_trace_through_all_processes(admin: httpx.Client, settings: Settings) -> None:
    """ingress → recommender and ingress → generator: spans of three processes, one trace, the request's id in each."""
    wait_for(lambda: admin.get("/v1/models").status_code == 200, "the key opens")
    events = [watch("tara", product, "vintage") for product in ("p01", "p04")]
    assert admin.post("/v1/events", json=events).status_code == 202
    request_id = admin.post("/v1/feed", json={"viewer": "tara", "k": 2}).headers.get_list("x-request-id")[0]

    def names() -> set[tuple[str, str]]:
        """Process and name of the spans of this request."""
        files = Path(settings.storage_root, "traces").glob("*.jsonl")
        spans = [(file.name.partition("-")[0], json.loads(line)) for file in files for line in file.open()]
        mine = [(process, span) for process, span in spans if span["attributes"]["shopreel.request_id"] == request_id]
        assert len({span["context"]["trace_id"] for _, span in mine}) <= 1
        return {(process, span["name"]) for process, span in mine}

    wanted = {
        ("ingress", "POST /v1/feed"),
        ("ingress", "call recommender.recommend"),
        ("recommender", "recommender.recommend"),
        ("ingress", "call generator.render"),
        ("generator", "generator.render"),
    }
    wait_for(lambda: wanted <= names(), "spans of all three")


def test_bombs_and_damage_are_refused_and_the_next_upload_is_served(admin: httpx.Client) -> None:
    wait_for(lambda: admin.get("/v1/models").status_code == 200, "the key opens")
    for data, status in (
        (gif(15_360, 8_640), 422),
        (b"\0" * 1000, 422),
        (b"\0" * (10**6 + 1), 413),
        (gif(64, 64), 200),
    ):
        answer = admin.post("/v1/clips", files={"file": data}, data={"style": "neon"})
        assert answer.status_code == status, answer.text


def test_an_erased_viewer_is_found_nowhere_on_disk(admin: httpx.Client, settings: Settings, keys: KeyStore) -> None:
    """Files under the storage root, inside Parquet files, the databases, and the logs of Ray and Serve."""
    wait_for(lambda: admin.get("/v1/models").status_code == 200, "the key opens")
    raw, name = VIEWERS[7], Pseudonymiser.load(settings).of(VIEWERS[7])
    fresh = "nadia.erased@example.org"
    fresh_name = Pseudonymiser.load(settings).of(fresh)
    for viewer in (raw, fresh):
        events = [watch(viewer, product, style) for product, style in (("p01", "neon"), ("p02", "ink"))]
        assert admin.post("/v1/events", json=events).status_code == 202
        assert admin.post("/v1/feed", json={"viewer": viewer, "k": 4}).status_code == 200
    root = Path(settings.storage_root)
    assert traces(root, settings.event_store_url, name)
    for viewer in (raw, fresh):
        receipt = admin.delete(f"/v1/viewers/{quote(viewer, safe='')}")
        assert receipt.status_code == 200, receipt.text
        assert receipt.json()["removed"]["events"] >= 2
    assert traces(root, settings.event_store_url, name, fresh, fresh_name) == []
    logs = Path(ray._private.worker.global_worker.node.get_session_dir_path()) / "logs"
    texts = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}
    assert [path for path, text in texts.items() if fresh.encode() in text or fresh_name.encode() in text] == []
    slate = admin.post("/v1/recommend", json={"viewer": fresh}).json()
    assert {item["source"] for item in slate["items"]} == {"popular"}
    assert EventStore(settings.event_store_url).count(name) == 0
