from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from cluster.config import override
from cluster.errors import InputError
from tests.recommender_log import DAY_MS, START_MS, events_table, preset_codes, products_table, two_tastes
from trainables.data.dataset import Dataset
from trainables.gate import NotJudgedError, decide
from trainables.recommender.bundle import save_model
from trainables.recommender.evaluation import GATE, evaluate, evaluate_bundle, held_out_cases, training_boundary
from trainables.recommender.recommender import Recommender
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, train

CONFIG = override(RecommenderTrainConfig(), ["ease.l2=20"])


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return two_tastes()


def test_a_tenth_of_the_events_is_held_out_by_time_alone(data):
    boundary = training_boundary(data.events)
    at_ms = data.events["at"].cast(pa.int64()).to_numpy()
    assert (at_ms >= boundary).mean() == pytest.approx(0.1, abs=0.005)
    shuffled = data.events.take(np.random.default_rng(0).permutation(len(at_ms)))
    assert training_boundary(shuffled) == boundary


def test_personal_slates_beat_popularity_on_the_held_out_slice(data):
    boundary = training_boundary(data.events)
    measures = evaluate(Recommender(train(CONFIG, data, preset_codes(), until_ms=boundary)), data, boundary)
    assert measures["holdout_viewers"] > 50
    assert measures["ndcg_at_10"] > 1.3 * measures["popularity_ndcg_at_10"]
    assert measures["coverage_at_10"] > measures["popularity_coverage_at_10"]


def test_a_case_asks_for_what_is_new_and_finished():
    day = [START_MS + i * DAY_MS for i in range(4)]
    watched = {"event_type": "watch", "watch_seconds": 8.0, "duration_seconds": 8.0}
    rows = [
        {"viewer_id": "v1", "product_id": "a", "at": day[0], **watched},
        {"viewer_id": "v1", "product_id": "a", "at": day[2], **watched},  # met before
        {"viewer_id": "v1", "product_id": "b", "at": day[2], **watched},
        {"viewer_id": "v1", "product_id": "c", "at": day[2], "event_type": "click"},  # not strong enough
        {"viewer_id": "v2", "product_id": "b", "at": day[3], **watched},  # nothing is known of them
    ]
    data = TrainingData(events_table(rows), products_table(["a", "b", "c"]), {})
    (case,) = held_out_cases(data, day[1])
    assert case.relevant == {"b"}
    assert [event.product_id for event in case.history] == ["a"]


def test_a_product_the_model_does_not_know_is_a_miss(data):
    boundary = training_boundary(data.events)
    model = train(CONFIG, data, preset_codes(), until_ms=boundary)
    few = train(CONFIG, replace(data, products=data.products.slice(0, 4)), preset_codes(), until_ms=boundary)
    full, less = (evaluate(Recommender(m), data, boundary) for m in (model, few))
    assert full["holdout_viewers"] == less["holdout_viewers"]
    assert less["recall_at_10"] < full["recall_at_10"]


def test_a_log_of_one_moment_cannot_be_held_out():
    same = [{"viewer_id": "v", "product_id": "a", "event_type": "like", "at": START_MS}] * 5
    with pytest.raises(InputError, match="'at'"):
        training_boundary(events_table(same))
    with pytest.raises(InputError, match="'at'"):
        training_boundary(events_table([]))


def test_a_slice_without_known_viewers_says_so():
    rows = [{"viewer_id": f"v{i}", "product_id": "a", "event_type": "like", "at": START_MS + i} for i in range(20)]
    data = TrainingData(events_table(rows), products_table(["a", "b"]), {})
    boundary = training_boundary(data.events)
    model = train(CONFIG, data, preset_codes(), until_ms=boundary)
    measures = evaluate(Recommender(model), data, boundary)
    assert measures == {"holdout_viewers": 0.0}
    assert not decide(GATE, measures, None).passed


def test_the_gate_measures_a_bundle_on_the_slice_it_was_not_trained_on(data, storage, tmp_path):
    dataset = Dataset.create(storage, "shop")
    dataset.append("products", data.products, "test")
    dataset.append("events", data.events, "test")
    boundary = training_boundary(data.events)
    honest = train(CONFIG, data, preset_codes(), until_ms=boundary)
    older = train(CONFIG, data, preset_codes(), until_ms=boundary - 3 * DAY_MS)
    save_model(honest, tmp_path / "honest", {})
    save_model(older, tmp_path / "older", {})
    new, old = evaluate_bundle(tmp_path / "honest", dataset), evaluate_bundle(tmp_path / "older", dataset)
    assert new["holdout_viewers"] == old["holdout_viewers"]
    assert decide(GATE, new, None).passed

    leaked = train(CONFIG, data, preset_codes(), until_ms=boundary + DAY_MS)
    save_model(leaked, tmp_path / "leaked", {})
    with pytest.raises(NotJudgedError, match="holds out"):
        evaluate_bundle(tmp_path / "leaked", dataset)
