"""Slates over HTTP, from a fake recommender."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from serving.contracts import Answer
from tests.serving_site import Site


def test_products_that_only_the_recommender_knows_are_left_out(site: Site) -> None:
    """It was started after an import, this replica before."""

    async def newer(model: str, *_: Any) -> Answer:
        items = [SimpleNamespace(product_id=p, score=0.5, source="fresh", reasons=[]) for p in ("new", "p01", "p02")]
        return Answer(items, {"minimal": 1.0}, model, [("new here",), ("pinned to place 2",), ()])

    site.recommender.recommend = newer
    for route in ("/v1/feed", "/v1/recommend"):
        answer = site("POST", route, json={"viewer": "x", "k": 3})
        assert answer.status_code == 200
        shown = [(item["product"]["id"], item["moves"]) for item in answer.json()["items"]]
        assert shown == [("p01", ["pinned to place 2"]), ("p02", [])]
    assert site("GET", "/readyz").status_code == 200


def test_event_changes_slate_reasons_and_look(site: Site) -> None:
    assert site("POST", "/v1/events", json={"viewer": "mia", "product_id": "p00", "event_type": "click"}).json() == {
        "accepted": 1,
        "stored": 1,
        "without_consent": 0,
    }
    feed = site("POST", "/v1/feed", json={"viewer": "mia", "k": 2}).json()
    assert [item["product"]["id"] for item in feed["items"]] == ["p01", "p02"]
    reason = feed["items"][0]["reasons"][0]
    assert reason == {"product_id": "p00", "title": "Mug 0", "share": 0.5, "text": "because you watched Mug 0"}
    assert feed["look"]["weights"] == {"neon": 0.75, "ink": 0.25}
    assert feed["look"]["text"] == "neon 75% · ink 25%"


def test_what_says_next_to_nothing_for_a_product_is_no_reason(site: Site) -> None:
    """A history of years ago has faded: products are shown for what they are, not because of something forgotten."""

    async def faded(model: str, *_: Any) -> Answer:
        reasons = [SimpleNamespace(product_id=name, share=share) for name, share in (("p01", 0.4), ("p02", 3.5e-34))]
        return Answer(
            [SimpleNamespace(product_id="p00", score=0.8, source="popular", reasons=reasons)], {"minimal": 1.0}, model
        )

    site.recommender.recommend = faded
    (item,) = site("POST", "/v1/recommend", json={"viewer": "x", "k": 1}).json()["items"]
    assert [(reason["product_id"], reason["share"]) for reason in item["reasons"]] == [("p01", 0.5)]
