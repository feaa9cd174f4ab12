"""The served slate: the recommender's order, moved only by the shop's rules, caps and variety, and saying so."""

from __future__ import annotations

import pytest

from cluster.storage import Storage
from serving.slates import SlateMaker
from tests.recommender_log import preset_codes
from tests.tiny_shop import make_tiny_shop
from trainables.recommender.history import HistoryEvent
from trainables.recommender.recommender import Recommender
from trainables.recommender.reranking.rerank import RerankConfig
from trainables.recommender.reranking.rules import Rules
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, end_of, read_training_data, train


@pytest.fixture
def data(storage: Storage) -> TrainingData:
    return read_training_data(make_tiny_shop(storage))


@pytest.fixture
def recommender(data: TrainingData) -> Recommender:
    return Recommender(train(RecommenderTrainConfig(), data, preset_codes(), until_ms=end_of(data.events)))


def slate(
    data: TrainingData, recommender: Recommender, rules: dict, unshown: tuple[str, ...] = (), **settings: object
) -> tuple[list[str], list[tuple[str, ...]]]:
    shown = set(data.products["product_id"].to_pylist()) - set(unshown)
    maker = SlateMaker(data.products, shown, Rules.parse(rules), RerankConfig(**settings))
    now_ms = end_of(data.events)
    items, moves = maker.make(recommender, [HistoryEvent("p00", "like", now_ms)], 4, now_ms)
    return [item.product_id for item in items], moves


def test_without_rules_and_variety_it_is_the_recommenders_slate(data: TrainingData, recommender: Recommender) -> None:
    now_ms = end_of(data.events)
    expected = recommender.recommend([HistoryEvent("p00", "like", now_ms)], 4, now_ms)
    ids, moves = slate(data, recommender, {}, diversity=0.0)
    assert ids == [item.product_id for item in expected]
    assert moves == [()] * 4


def test_a_pinned_product_stands_in_its_place_even_when_it_was_seen(
    data: TrainingData, recommender: Recommender
) -> None:
    ids, moves = slate(data, recommender, {"pin": [{"product": "p00", "place": 2}]}, diversity=0.0)
    assert ids[1] == "p00"
    assert moves[1] == ("pinned to place 2",)


def test_a_blocked_product_and_one_without_a_clip_are_never_shown(data: TrainingData, recommender: Recommender) -> None:
    first = slate(data, recommender, {}, diversity=0.0)[0]
    blocked = {"block": [{"product": first[0]}], "pin": [{"product": first[1], "place": 1}]}
    ids, _ = slate(data, recommender, blocked, unshown=(first[1],), diversity=0.0)
    assert not {first[0], first[1]} & set(ids)
    assert len(ids) == 4


def test_caps_are_lifted_rather_than_a_slate_left_short(data: TrainingData, recommender: Recommender) -> None:
    ids, moves = slate(data, recommender, {}, most_of_category=1, diversity=0.0)
    assert len(ids) == 4
    assert any("caps" in move for place in moves for move in place)
