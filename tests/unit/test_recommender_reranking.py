"""Slates: variety against brute force, caps with backfill, boosts, the shop's rules, and a reason for every move."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import InputError
from trainables.recommender.reranking.diversity import (
    JITTER,
    GreedyDeterminant,
    MarginalRelevance,
    intra_list_similarity,
)
from trainables.recommender.reranking.rerank import Candidates, RerankConfig, Slate, rerank
from trainables.recommender.reranking.rules import Rules

NOW = 1_700_000_000_000
PLAIN = RerankConfig(diversity=0.0)


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def candidates(scores: list[float], **columns) -> Candidates:
    n = len(scores)
    defaults = {
        "features_CD": np.eye(n, dtype=np.float32),
        "categories": ["unknown"] * n,
        "creators": [None] * n,
    }
    return Candidates(product_ids=[f"p{i}" for i in range(n)], scores=np.array(scores), **{**defaults, **columns})


def ids(slate: Slate) -> list[str]:
    return [place.product_id for place in slate.places]


def slate_of(pool: Candidates, k: int, config: RerankConfig = PLAIN, rules: object = None) -> Slate:
    return rerank(pool, k, rules=Rules.parse(rules), config=config, now_ms=NOW)


def reasons(slate: Slate) -> dict[str, tuple[str, ...]]:
    return {place.product_id: place.reasons for place in slate.places}


@pytest.mark.parametrize(("candidates", "places", "times"), [(9, 6, 20), (45, 40, 1)])
def test_greedy_determinant_takes_at_each_step_what_raises_the_determinant_most(candidates, places, times) -> None:
    rng = np.random.default_rng(0)
    for _ in range(times):
        features, diversity = unit(rng.normal(size=(candidates, 4))), rng.uniform(0.1, 0.9)
        relevance = rng.random(candidates)
        quality = np.exp((1 - diversity) * relevance / (2 * diversity))
        similar = (1 - JITTER) * features @ features.T + JITTER * np.eye(candidates)
        kernel = quality[:, None] * similar * quality
        variety, taken = GreedyDeterminant(features, diversity), []
        for _ in range(places):  # more than there are features: ε keeps the kernel regular
            value = variety.values(relevance)
            rest = [i for i in range(candidates) if i not in taken]
            logdet = {i: np.linalg.slogdet(kernel[np.ix_([*taken, i], [*taken, i])])[1] for i in rest}
            base = np.linalg.slogdet(kernel[np.ix_(taken, taken)])[1] if taken else 0.0
            np.testing.assert_allclose(
                [value[i] for i in rest], [diversity * (logdet[i] - base) for i in rest], atol=1e-8
            )
            taken.append(max(rest, key=lambda i: value[i]))
            variety.add(taken[-1])


def test_greedy_determinant_comes_close_to_the_best_slate_there_is() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        features, relevance = unit(rng.normal(size=(8, 5))), rng.random(8)
        quality = np.exp(relevance / 2)
        kernel = quality[:, None] * ((1 - JITTER) * features @ features.T + JITTER * np.eye(8)) * quality
        found = [
            place.candidate
            for place in slate_of(
                candidates(relevance.tolist(), features_CD=features), 3, RerankConfig(diversity=0.5)
            ).places
        ]
        dets = {s: np.linalg.det(kernel[np.ix_(s, s)]) for s in itertools.combinations(range(8), 3)}
        # Submodular and monotone here or close to it: greedy stays within (1 − 1/e) of the best log det gain.
        assert dets[tuple(sorted(found))] >= 0.6 * max(dets.values())


def test_marginal_relevance_follows_its_formula() -> None:
    features = unit(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]))
    variety = MarginalRelevance(features, 0.4)
    relevance = np.array([1.0, 0.9, 0.3])
    np.testing.assert_allclose(variety.values(relevance), 0.6 * relevance)
    variety.add(0)
    cosine = features @ features[0]
    np.testing.assert_allclose(variety.values(relevance)[1:], (0.6 * relevance - 0.4 * cosine)[1:])


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_variety_lowers_similarity_within_the_slate(method: str) -> None:
    rng = np.random.default_rng(3)
    kinds = rng.integers(0, 5, 200)
    features = unit(np.eye(5)[kinds] + 0.3 * rng.normal(size=(200, 5)) / np.sqrt(5))
    pool = candidates((rng.random(200) + 0.5 * (kinds == 0)).tolist(), features_CD=features)
    similar = []
    for diversity in (0.0, 0.05, 0.2, 0.6):
        slate = slate_of(pool, 10, RerankConfig(method=method, diversity=diversity))
        similar.append(intra_list_similarity(features[[place.candidate for place in slate.places]]))
    assert similar[0] > similar[2] > similar[3]
    assert ids(slate_of(pool, 10)) == [f"p{i}" for i in np.argsort(-pool.scores, kind="stable")[:10]]


def test_intra_list_similarity_is_the_mean_cosine_of_pairs() -> None:
    features = unit(np.random.default_rng(0).normal(size=(5, 3)))
    pairs = [features[i] @ features[j] for i, j in itertools.combinations(range(5), 2)]
    assert intra_list_similarity(features) == pytest.approx(np.mean(pairs))
    assert intra_list_similarity(features[:1]) == 0


def test_caps_hold_and_are_lifted_only_when_nobody_else_is_left() -> None:
    pool = candidates(
        [9, 8, 7, 6, 5, 4],
        categories=["shoe", "shoe", "shoe", "lamp", "unknown", "unknown"],
        creators=["a", "b", "c", "a", None, None],
    )
    slate = slate_of(pool, 6, RerankConfig(diversity=0.0, most_of_category=2, most_of_creator=1))
    assert ids(slate) == ["p0", "p1", "p4", "p5", "p2", "p3"]
    why = reasons(slate)
    assert why["p2"] == ("the caps leave nobody else", "down 2: 2 of category shoe above")
    assert why["p3"] == ("the caps leave nobody else", "down 2: 1 of creator a above")
    assert why["p4"] == ("up 2: past p2 (2 of category shoe above)",)
    assert why["p0"] == why["p1"] == ()


def test_rules_pin_block_and_boost() -> None:
    pool = candidates(
        [10, 9, 8, 7, 0], categories=["shoe", "lamp", "lamp", "shoe", "shoe"], tags=[(), (), (), ("sale",), ()]
    )
    rules = {
        "pin": [{"product": "p4", "place": 2}],
        "block": [{"product": "p0"}],
        "boost": [{"tag": "sale", "factor": 2, "name": "sale week"}, {"category": "lamp", "factor": 0.5}],
    }
    slate = slate_of(pool, 4, rules=rules)
    assert ids(slate) == ["p3", "p4", "p1", "p2"]
    assert slate.blocked == {"p0": "blocked by block product p0"}
    why = reasons(slate)
    assert why["p3"] == ("times 2 by sale week",)
    assert why["p4"] == ("pinned to place 2",)
    assert why["p1"] == ("times 0.5 by boost category lamp", "down 1: below a boosted product")


def test_a_block_wins_over_a_pin_and_a_pin_moves_up_in_a_short_slate() -> None:
    pool = candidates([3, 2, 1])
    rules = {"pin": [{"product": "p2", "place": 9}, {"product": "p1", "place": 1}], "block": [{"product": "p1"}]}
    slate = slate_of(pool, 10, rules=rules)
    assert ids(slate) == ["p0", "p2"]
    assert reasons(slate)["p2"] == ("pinned to place 9",)


def test_rules_hold_from_and_until() -> None:
    rules = Rules.parse({"pin": [{"product": "p1", "place": 1, "from": "2023-11-14T22:13:20", "until": "2023-11-15"}]})
    assert rules.pinned(NOW) == {1: "p1"}  # NOW is that very second
    assert rules.pinned(NOW - 1) == {}
    assert rules.pinned(1_700_006_400_000) == {}  # midnight of the 15th


def test_fresh_products_and_plenty_in_stock_are_lifted_and_nothing_in_stock_is_not_shown() -> None:
    pool = candidates([1.0, 0.9, 0.8, 0.0], age_days=np.array([30, 0, np.nan, 0]), pieces=np.array([5, 5, 0, 5.0]))
    slate = slate_of(pool, 4, RerankConfig(diversity=0, freshness=0.5, stock=0.1))
    assert ids(slate) == ["p1", "p0", "p3"]
    assert slate.blocked == {"p2": "out of stock"}
    assert reasons(slate)["p1"][0] == "times 1.50: fresh"


def test_products_that_nobody_met_are_lifted_from_the_end_of_the_list() -> None:
    pool = candidates([1.0, 0.02, 0.0, 0.0, 0.0], age_days=np.array([30, 30, 30, 0, 30]))
    assert ids(slate_of(pool, 5, RerankConfig(diversity=0, freshness=0.5))) == ["p0", "p3", "p1", "p2", "p4"]
    rules = {"boost": [{"product": "p4", "factor": 50}, {"product": "p2", "factor": 0.5}]}
    assert ids(slate_of(pool, 5, rules=rules)) == ["p4", "p0", "p1", "p3", "p2"]


def test_every_move_has_a_reason_and_the_same_input_gives_the_same_slate() -> None:
    rng = np.random.default_rng(5)
    for trial in range(60):
        n = int(rng.integers(3, 40))
        pool = candidates(
            rng.integers(0, 12, n).astype(float).tolist(),
            features_CD=unit(rng.normal(size=(n, 4))),
            categories=[f"c{i}" for i in rng.integers(0, 4, n)],
            creators=[f"m{i}" if i else None for i in rng.integers(0, 6, n)],
            age_days=rng.random(n) * 9,
        )
        config = RerankConfig(
            method=("mmr", "dpp")[trial % 2],
            diversity=float(rng.choice([0, 0.3, 0.8])),
            most_of_category=int(rng.integers(0, 4)),
            most_of_creator=int(rng.integers(0, 3)),
            freshness=float(rng.choice([0, 0.4])),
        )
        rules = {
            "pin": [{"product": "p1", "place": 3}],
            "block": [{"product": "p0"}, {"category": "c3"}],
            "boost": [{"creator": "m1", "factor": 1.7}],
        }
        slate = slate_of(pool, 12, config, rules)
        assert slate == slate_of(pool, 12, config, rules)
        allowed = [product for product in pool.product_ids if product not in slate.blocked]
        assert len(slate.places) == min(12, len(allowed)) == len(set(ids(slate)))
        assert set(ids(slate)) <= set(allowed)
        for place in slate.places:
            assert place.place == place.by_score or place.reasons, (trial, place)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "write a mapping"),
        ({"pins": []}, "'pins' is no kind of rule"),
        ({"pin": {}}, None),
        ({"pin": "p1"}, "pin must be a list"),
        ({"pin": [{"product": "p1"}]}, r"pin\[0\]: place is missing"),
        ({"pin": [{"product": "p1", "place": 0}]}, "place is 0"),
        ({"pin": [{"product": "p1", "place": 1}, {"product": "p2", "place": 1}]}, "both want place 1"),
        ({"pin": [{"product": "p1", "place": 1}, {"product": "p1", "place": 2}]}, "both pin product 'p1'"),
        ({"pin": [{"category": "x", "place": 1}]}, "field 'category' is not known"),
        ({"block": [{"product": "p1", "category": "x"}]}, "exactly one of"),
        ({"block": [{"product": ""}]}, "product is ''"),
        ({"boost": [{"tag": "x", "factor": -1}]}, "factor is -1"),
        ({"boost": [{"tag": "x", "factor": "2"}]}, "factor is '2'"),
        ({"block": [{"product": "p1", "until": "soon"}]}, "until is 'soon'"),
        ({"block": [{"product": "p1", "from": "2024-01-02", "until": "2024-01-01"}]}, "until must lie after from"),
    ],
)
def test_bad_rules_are_named(content: object, message: str | None) -> None:
    if message is None:
        assert Rules.parse(content) == Rules()
        return
    with pytest.raises(InputError, match=message):
        Rules.parse(content, "shop.yaml")


def test_rules_are_read_from_yaml_and_json(tmp_path: Path) -> None:
    content = {"boost": [{"category": "lamps", "factor": 1.5, "until": "2026-12-24"}]}
    (tmp_path / "r.json").write_text(json.dumps(content))
    (tmp_path / "r.yaml").write_text("boost:\n  - {category: lamps, factor: 1.5, until: 2026-12-24}\n")
    assert Rules.load(tmp_path / "r.yaml") == Rules.load(tmp_path / "r.json") == Rules.parse(content)
    (tmp_path / "ids.yaml").write_text("block: [{product: 0042}, {product: 1_000}, {product: 12:30}, {product: 42}]\n")
    assert [rule.value for rule in Rules.load(tmp_path / "ids.yaml").rules] == ["0042", "1_000", "12:30", "42"]
    for name, text in (("twice.yaml", "block: []\nblock: []\n"), ("twice.json", '{"block": [], "block": []}')):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=f"{name} is not valid .*'block' is written twice"):
            Rules.load(tmp_path / name)
    for text in ("pin: [", "block: [{product: p1, until: 2026-13-45}]", "{[a]: 1}"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(InputError, match="bad.yaml is not valid YAML"):
            Rules.load(tmp_path / "bad.yaml")


def test_bad_candidates_and_settings_are_named() -> None:
    with pytest.raises(InputError, match="categories has 1 entries for 2"):
        candidates([1, 2], categories=["x"])
    with pytest.raises(InputError, match="not finite"):
        candidates([1, np.nan])
    with pytest.raises(InputError, match="k is 0"):
        slate_of(candidates([1]), 0)
    with pytest.raises(ValueError, match="rerank.diversity is 1"):
        RerankConfig(diversity=1.0)
    assert slate_of(candidates([]), 5) == Slate((), {})
