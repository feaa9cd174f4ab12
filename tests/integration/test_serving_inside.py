"""A recommender inside each of two ingress replicas: the same answers, without a deployment of its own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from ray import serve

from cluster.settings import Settings
from serving.run import APP_NAME
from tests.e2e.tiny_models import make_shop, register_recommender
from tests.integration.test_serving_app import PATIENCE_S, watch
from tests.serving_load import served
from tests.waiting import wait_for

ASKED = 12
"""Requests, each on a connection of its own: both replicas answer some."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("inside"))})


@pytest.fixture(scope="module")
def base_url(settings: Settings) -> Iterator[str]:
    make_shop(settings)
    with served(settings, recommender_replicas=0, ingress_replicas=2) as url:
        yield url


def slates(base_url: str, viewer: str, k: int = 8) -> list[dict]:
    asked = {"url": f"{base_url}/v1/recommend", "json": {"viewer": viewer, "k": k}, "timeout": PATIENCE_S}
    return [httpx.post(**asked).raise_for_status().json() for _ in range(ASKED)]


def products(slate: dict) -> list[str]:
    return [item["product"]["id"] for item in slate["items"]]


def test_an_event_changes_the_next_slate_of_every_replica(base_url: str) -> None:
    assert set(serve.status().applications[APP_NAME].deployments) == {"ingress", "generator"}
    first, *others = slates(base_url, "mia")
    assert all(products(other) == products(first) for other in others)
    chosen = products(first)[0]
    httpx.post(f"{base_url}/v1/events", json=watch("mia", chosen), timeout=PATIENCE_S).raise_for_status()
    for slate in slates(base_url, "mia"):
        assert chosen not in products(slate)
        assert slate["items"][0]["reasons"][0]["product_id"] == chosen


def test_a_version_rolled_to_answers_in_every_replica_and_back(base_url: str, settings: Settings) -> None:
    """The replica that was not asked to roll loads the version when it hears of it, and says what it answers with."""
    version = register_recommender(settings, "another-recommender").reference

    def answers_with(reference: str) -> bool:
        return {slate["models"]["recommender"] for slate in slates(base_url, "roller", 3)} == {reference}

    assert answers_with("recommender/1")
    with httpx.Client(base_url=base_url, timeout=PATIENCE_S) as client:
        assert client.put("/v1/models/recommender", json={"reference": version}).json()["serving"] == version
        wait_for(lambda: answers_with(version), "slates of the new version from both replicas")
        assert client.delete("/v1/models/recommender").json()["serving"] == "recommender/1"
        wait_for(lambda: answers_with("recommender/1"), "slates of the version before from both replicas")
        refused = client.put("/v1/models/recommender", json={"reference": "recommender/99"})
    assert refused.status_code == 422
    assert "nothing has changed" in refused.json()["detail"]
