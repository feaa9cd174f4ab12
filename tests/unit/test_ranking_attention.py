"""Attention over a viewer's latest events: what it may see, what it finds that counters cannot, and old bundles."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from cluster.errors import InputError
from tests.impression_log import TINY_RANKER, as_shown
from tests.recommender_log import DAY_MS, START_MS, events_table, products_table
from trainables.metrics import impressions as measures
from trainables.recommender.ranking.attention import Attention, Seen
from trainables.recommender.ranking.bundle_parts import from_tensors, to_tensors
from trainables.recommender.ranking.latest import LATEST, LatestEvents
from trainables.recommender.ranking.log import Codes, Log, read_log, viewer_codes
from trainables.recommender.ranking.ranker import Ranker, Shown
from trainables.recommender.ranking.train import train_ranker
from trainables.recommender.ranking.vectors import DIRECTIONS, product_vectors
from trainables.recommender.train import TrainingData

PRODUCTS, VIEWERS = 60, 220
LOG_MS = START_MS + 10 * DAY_MS
CUT_MS = LOG_MS + 3 * DAY_MS
CONFIG = replace(TINY_RANKER, network_epochs=12)


def hidden_tastes(seed: int = 0) -> TrainingData:
    """Products of even and of odd number; nothing but old watches tells them apart. A viewer of even number has watched
    even products, and clicks on even ones they never met, seldom on odd ones.
    """
    rng = np.random.default_rng(seed)
    rows, request = [], 0
    for viewer in range(VIEWERS):
        group = viewer % 2
        for place in range(24):
            product = 2 * int(rng.integers(PRODUCTS // 2)) + (group if rng.random() < 0.9 else 1 - group)
            old = {"viewer_id": f"v{viewer:03d}", "product_id": f"p{product:02d}", "at": START_MS + place * 3_600_000}
            rows.append({**old, "event_type": "watch", "watch_seconds": 20.0, "duration_seconds": 20.0})
        for day in range(4):
            for place in range(4):
                product = int(rng.integers(PRODUCTS))
                clicked = rng.random() < (0.8 if product % 2 == group else 0.1)
                shown = {
                    "viewer_id": f"v{viewer:03d}", "product_id": f"p{product:02d}", "duration_seconds": 20.0,
                    "at": LOG_MS + day * DAY_MS + place * 60_000 + viewer, "request_id": f"r{request}",
                    "surface": "feed",
                }  # fmt: skip
                request += 1
                rows.append({**shown, "event_type": "impression"})
                rows.append({**shown, "event_type": "watch", "watch_seconds": 20.0 if clicked else 1.0})
                if clicked:
                    rows.append({**shown, "event_type": "click"})
    return TrainingData(events_table(rows), products_table([f"p{i:02d}" for i in range(PRODUCTS)]), {})


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return hidden_tastes()


@pytest.fixture(scope="module")
def ranker(data: TrainingData) -> Ranker:
    return train_ranker(CONFIG, data, until_ms=CUT_MS)


def last_day(data: TrainingData) -> tuple[TrainingData, Shown, np.ndarray]:
    """What is known before the cut, the impressions after it, and whether they were clicked."""
    late = pc.greater_equal(data.events["at"].cast(pa.int64()), CUT_MS)
    shown = data.events.filter(pc.and_(late, pc.equal(data.events["event_type"], "impression")))
    clicks = data.events.filter(pc.equal(data.events["event_type"], "click"))["request_id"].combine_chunks()
    clicked = pc.is_in(shown["request_id"], value_set=clicks).to_numpy(zero_copy_only=False) * 1.0
    return replace(data, events=data.events.filter(pc.invert(late))), as_shown(shown), clicked


def read(data: TrainingData) -> Log:
    codes = Codes(viewer_codes(data.events["viewer_id"]), pa.array(data.products["product_id"]), ("feed",))
    return read_log(data.events, codes)


def test_attention_finds_a_taste_that_counters_cannot_see(data, ranker) -> None:
    past, rows, clicked = last_day(data)
    without = train_ranker(replace(CONFIG, network=False), data, until_ms=CUT_MS)
    blind = measures.auc(clicked, without.score(past, rows).click_N)
    seeing = measures.auc(clicked, ranker.score(past, rows).click_N)
    assert seeing > 0.8 > 0.7 > blind  # the true chances reach .85
    assert ranker.network_share["click"] > 0.5


def test_a_log_without_older_events_trains_no_attention(data) -> None:
    at = data.events["at"].cast(pa.int64())
    young = replace(data, events=data.events.filter(pc.greater_equal(at, LOG_MS)))
    network = train_ranker(replace(CONFIG, network_epochs=1), young, until_ms=CUT_MS).network
    assert network is not None and network.vectors_nV is None and network.modules[0].attention is None


def test_vectors_are_of_what_came_before_and_near_where_viewers_agree(data) -> None:
    log = read(data)
    vectors = product_vectors(log, LOG_MS, PRODUCTS)
    assert vectors is not None and vectors.shape == (PRODUCTS, DIRECTIONS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alike, even = vectors @ vectors.T, np.arange(PRODUCTS) % 2 == 0
    same = even[:, None] == even[None]
    assert alike[same & ~np.eye(PRODUCTS, dtype=bool)].mean() > alike[~same].mean() + 0.1
    old = replace(data, events=data.events.filter(pc.less(data.events["at"].cast(pa.int64()), LOG_MS)))
    alone = product_vectors(read(old), LOG_MS, PRODUCTS)
    np.testing.assert_array_equal(alone, vectors)
    assert product_vectors(log, START_MS + 3_600_000, PRODUCTS) is None  # one watch a viewer is too little


def test_latest_events_are_the_newest_first_and_strictly_before(data) -> None:
    shown = {"viewer_id": "a", "duration_seconds": 20.0, "surface": "feed"}
    rows = [
        {**shown, "product_id": "p00", "event_type": "watch", "watch_seconds": 1.0, "at": START_MS},
        {**shown, "product_id": "p01", "event_type": "watch", "watch_seconds": 20.0, "at": START_MS + 3_600_000},
        {**shown, "product_id": "p02", "event_type": "impression", "at": START_MS + 7_200_000, "request_id": "r"},
        {**shown, "product_id": "p02", "event_type": "click", "at": START_MS + 7_200_500, "request_id": "r"},
    ]
    events = LatestEvents(read(TrainingData(events_table(rows), products_table(["p00", "p01", "p02"]), {})))
    found = events.before(np.array([0, 0, 5]), START_MS + np.array([7_200_000, 10_800_000, 10_800_000]))
    assert found.product_NL[:, :4].tolist() == [[1, 0, -1, -1], [2, 1, 0, -1], [-1, -1, -1, -1]]
    assert found.kind_NL[:, :4].tolist() == [[2, 1, 0, 0], [4, 2, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(found.age_NL[0, :2], np.log1p([1, 2]))
    assert found.kind_NL.shape == (3, LATEST) and not found.age_NL[2].any()


def test_attention_knows_no_order_but_age_and_ignores_what_is_not_there() -> None:
    torch.manual_seed(0)
    attention = Attention(6).eval()
    vectors, kinds = torch.randn(3, LATEST, 6), torch.randint(1, 7, (3, LATEST))
    kinds[:, 30:], vectors[:, 30:] = 0, 0
    seen = Seen(torch.randn(3, 6), vectors, kinds, torch.rand(3, LATEST))
    order = torch.randperm(LATEST)
    mixed = Seen(seen.product_BV, vectors[:, order], kinds[:, order], seen.age_BL[:, order])
    aged = Seen(seen.product_BV, vectors, kinds, seen.age_BL + 5.0 * (kinds == 0))
    torch.testing.assert_close(attention(mixed), attention(seen), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(attention(aged), attention(seen))


def test_networks_and_vectors_come_back_from_their_arrays(data) -> None:
    past, rows, _ = last_day(data)
    ranker = train_ranker(replace(CONFIG, networks=2, network_epochs=1), data, until_ms=CUT_MS)
    tensors = to_tensors(ranker)
    assert "product_vectors" in tensors
    np.testing.assert_array_equal(from_tensors(tensors).score(past, rows).click_N, ranker.score(past, rows).click_N)
    assert {name.split(".")[1] for name in tensors if name.startswith("networks.")} == {"0", "1"}


def test_a_bundle_of_one_network_without_attention_still_loads(data) -> None:
    at = data.events["at"].cast(pa.int64())
    young = replace(data, events=data.events.filter(pc.greater_equal(at, LOG_MS)))
    ranker = train_ranker(replace(CONFIG, network_epochs=1), young, until_ms=CUT_MS)
    tensors = {name.replace("networks.0.", "network."): value for name, value in to_tensors(ranker).items()}
    config = json.loads(tensors["config"].tobytes())
    del config["network"]["count"]
    del config["settings"]["networks"]
    tensors["config"] = np.frombuffer(json.dumps(config).encode(), np.uint8)
    past, rows, _ = last_day(data)
    np.testing.assert_array_equal(from_tensors(tensors).score(past, rows).click_N, ranker.score(past, rows).click_N)


def test_vectors_that_do_not_fit_the_catalogue_are_refused_at_the_door(ranker) -> None:
    tensors = to_tensors(ranker)
    tensors["product_vectors"] = tensors["product_vectors"][:-1]
    with pytest.raises(InputError, match=r"product_vectors \(of 59 products, not 60\) is missing or wrong"):
        from_tensors(tensors)
