"""The recommender on the sample shop's choice model, whose tastes are known."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from trainables.data.sample.catalogue import LOOKS, catalogue
from trainables.data.sample.viewers import ChoiceConfig, draw_viewers, shelve
from trainables.data.sample.visits import simulate
from trainables.data.schemas import conform
from trainables.generator.restyle.presets import preset_codes
from trainables.recommender.evaluation import evaluate, training_boundary
from trainables.recommender.history import HistoryEvent, histories
from trainables.recommender.recommender import Recommender
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import TrainingData, train

CHOICE = ChoiceConfig(viewers=600)


@dataclass
class Shop:
    data: TrainingData
    recommender: Recommender
    boundary_ms: int
    end_ms: int
    looks_VL: np.ndarray
    """True taste of each viewer over LOOKS, at most 1."""
    histories: dict[str, list[HistoryEvent]]

    def weight_of(self, look: str, least_watches: int) -> list[float]:
        """Weight of `look` in what viewers get who love that look alone."""
        row, found = LOOKS.index(look), []
        for viewer, history in self.histories.items():
            taste = self.looks_VL[int(viewer.split("-")[1]) - 1]
            loves = taste[row] == 1 and np.delete(taste, row).max() < 0.5
            if loves and sum(event.event_type == "watch" for event in history) >= least_watches:
                found.append(self.recommender.look(history, self.end_ms).weights.get(look, 0.0))
        return found


@pytest.fixture(scope="module")
def shop() -> Shop:
    rows = [product.row() for product in catalogue()]
    events = conform(simulate(rows, CHOICE), "events", "sample")
    columns = {name: [row[name] for row in rows] for name in ("product_id", "title", "category")}
    columns["price"] = [float(row["price"]) for row in rows]
    data = TrainingData(events, conform(pa.table(columns), "products", "sample").sort_by("product_id"), {})
    boundary_ms = training_boundary(events)
    recommender = Recommender(train(RecommenderTrainConfig(), data, preset_codes(), until_ms=boundary_ms))
    rng = np.random.default_rng(CHOICE.seed)
    shelf = shelve(rows, rng)
    tastes = draw_viewers(CHOICE, shelf.kinds, rng).look_VL
    end_ms = int(events["at"].cast(pa.int64()).to_numpy().max())
    return Shop(data, recommender, boundary_ms, end_ms, tastes, histories(events))


def test_slates_are_far_better_than_popularity(shop):
    measures = evaluate(shop.recommender, shop.data, shop.boundary_ms)
    assert measures["ndcg_at_10"] > 1.5 * measures["popularity_ndcg_at_10"]


@pytest.mark.parametrize("look", LOOKS)
def test_who_loves_one_look_gets_mostly_that_look(shop, look):
    weights = shop.weight_of(look, least_watches=6)
    assert len(weights) >= 10
    assert np.mean(weights) > 2 / 3
