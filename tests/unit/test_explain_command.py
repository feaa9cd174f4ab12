"""`shopreel explain`: score, rank and shares of one product for one viewer, all of the numbers slates come from."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from cluster.cli import explain
from cluster.errors import NotFoundError
from cluster.pseudonym import Pseudonymiser
from cluster.registry import Registry
from cluster.settings import Settings
from cluster.storage import Storage
from cluster.tracking import TrackedRun
from tests.recommender_log import DAY_MS, START_MS, preset_codes, two_tastes
from trainables.data.dataset import Dataset
from trainables.recommender.batch import caught_up, slates
from trainables.recommender.bundle import save_model
from trainables.recommender.history import histories
from trainables.recommender.recommender import Recommender
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import end_of, read_training_data, train

app = typer.Typer()
app.command()(explain.command)
DATA = two_tastes(viewers=80)
VIEWER = "v007"


@pytest.fixture(scope="module")
def model():
    return train(RecommenderTrainConfig(), DATA, preset_codes(), until_ms=end_of(DATA.events))


def explained(model, product_id: str, viewer: str = VIEWER) -> explain.Explanation:
    titles = dict(zip(DATA.products["product_id"].to_pylist(), DATA.products["title"].to_pylist(), strict=True))
    history = histories(DATA.events, [viewer]).get(viewer, [])
    return explain.explanation(model, history, product_id, titles)


def test_score_and_rank_are_those_of_the_slate(model):
    _, rows, scores = slates(model, DATA.events, [VIEWER], 60, model.trained_until_ms)
    places = [0, 1, 5, len(rows) - 1]
    for place in places:
        found = explained(model, model.product_ids[rows[place]])
        assert (found.rank, found.ranked_products, found.met) == (place + 1, len(rows), [])
        assert found.score == pytest.approx(scores[place], abs=1e-5)
        assert found.ranking_score == pytest.approx(scores[place], abs=1e-5)


def test_the_parts_sum_to_the_score_and_name_what_the_viewer_did(model):
    _, rows, _ = slates(model, DATA.events, [VIEWER], 60, model.trained_until_ms)
    history = histories(DATA.events, [VIEWER])[VIEWER]
    watched = {event.product_id: event.at_ms for event in history if event.event_type == "watch"}
    for row in rows[:5]:
        found = explained(model, model.product_ids[row])
        assert found.adds_up
        assert sum(one.share for one in found.shares) + found.popularity == pytest.approx(found.score, abs=1e-9)
        assert sum(one.item_item for one in found.shares) == pytest.approx(found.item_item, abs=1e-9)
        assert sum(one.content for one in found.shares) == pytest.approx(found.content, abs=1e-9)
        reasons = Recommender(model).explain(history, [found.product_id], model.trained_until_ms)[0].reasons
        assert [(one.product_id, one.share) for one in found.shares] == [tuple(reason) for reason in reasons]
        for one in found.shares:
            assert one.events == ["impression", "watch"]
            at = datetime.fromtimestamp(watched[one.product_id] // 1000, UTC)
            assert datetime.fromisoformat(one.at) == at


def test_parts_that_do_not_sum_are_told_apart(model):
    found = explained(model, "p00")
    assert found.adds_up
    assert not replace(found, sum_of_parts=found.score + 0.01).adds_up
    assert not replace(found, ranking_score=found.score - 0.01).adds_up


def test_a_product_the_viewer_met_has_the_rank_it_would_have(model):
    history = histories(DATA.events, [VIEWER])[VIEWER]
    met = {event.product_id for event in history}
    found = explained(model, history[0].product_id)
    assert found.met == ["impression", "watch"]
    assert found.ranked_products == len(model.product_ids) - len(met) + 1


def test_events_after_the_end_of_the_statistics_do_not_count(model):
    now = explained(model, "p00")
    history = histories(DATA.events, [VIEWER])[VIEWER]
    late = replace(history[0], product_id="p59", event_type="purchase", at_ms=model.trained_until_ms + 900 * DAY_MS)
    titles = dict.fromkeys(model.product_ids, "")
    assert explain.explanation(model, [*history, late], "p00", titles).score == now.score


@pytest.fixture
def shop(settings: Settings, storage: Storage, tmp_path: Path) -> Dataset:
    """The log under pseudonyms, and a champion trained on its first half."""
    pseudonyms = Pseudonymiser.load(settings)
    at = DATA.events.schema.get_field_index("viewer_id")
    named = pa.array([pseudonyms.of(name) for name in DATA.events["viewer_id"].to_pylist()])
    dataset = Dataset.create(storage, "shop")
    dataset.append("events", DATA.events.set_column(at, DATA.events.schema.field(at), named), "test")
    dataset.append("products", DATA.products, "test")
    half = train(RecommenderTrainConfig(), read_training_data(dataset), preset_codes(), until_ms=START_MS + 10 * DAY_MS)
    save_model(half, tmp_path / "bundle", {})
    with TrackedRun(settings, "run", kind="recommender", params={}, lineage={}) as run:
        Registry(settings).register("recommender", tmp_path / "bundle", run_id=run.run_id, metrics={}, lineage={})
    return dataset


def run(*words: str):
    return CliRunner().invoke(app, [*words, "--data", "shop", "--model", "recommender/1"], env={"COLUMNS": "160"})


def test_the_command(shop: Dataset, settings: Settings):
    """One story, since a new registry takes seconds: a known viewer, a new one, a product nobody knows."""
    data = read_training_data(shop)
    trained = Recommender.from_bundle(Registry(settings).fetch(Registry(settings).resolve("recommender/1"))).model
    current = caught_up(trained, data)
    pseudonym = Pseudonymiser.load(settings).of(VIEWER)
    _, rows, scores = slates(current, data.events, [pseudonym], 1, current.trained_until_ms)
    best = current.product_ids[rows[0]]

    found = json.loads(run(VIEWER, best, "--json").stdout)
    assert (found["viewer"], found["product_id"], found["model"]) == (VIEWER, best, "recommender/1")
    assert found["rank"] == 1 and found["score"] == pytest.approx(scores[0], abs=1e-5)
    assert len(found["shares"]) == 24 and found["title"]
    text = run(f" {VIEWER} ", best).stdout  # an import takes ids without spaces, too
    top = found["shares"][0]
    assert f"score {found['score']:.6f}, rank 1 of 36 products" in text
    assert top["title"] in text and f"{top['share']:+.6f}" in text and top["at"][:10] in text
    assert "4 others" in text and f"= {found['sum_of_parts']:.6f}, which equals the score" in text

    stranger = run("nobody", best).stdout
    assert "viewer nobody has no events in the data: the score is popularity alone" in stranger
    alone = json.loads(run("nobody", best, "--json").stdout)
    assert alone["shares"] == [] and alone["score"] == alone["popularity"] == found["popularity"]
    assert alone["ranked_products"] == 60

    with pytest.raises(NotFoundError, match="product 'p99' is not in the catalogue of recommender/1"):
        raise run(VIEWER, "p99").exception
