import math

import pytest

from trainables.metrics import ranking

SLATE = ["a", "b", "c", "d"]


def test_known_values_of_one_slate():
    relevant = {"b", "d", "x"}
    assert ranking.recall(SLATE, relevant, 2) == pytest.approx(1 / 3)
    assert ranking.recall(SLATE, relevant, 4) == pytest.approx(2 / 3)
    assert ranking.precision(SLATE, relevant, 4) == 0.5
    assert ranking.hit_rate(SLATE, relevant, 1) == 0.0
    assert ranking.hit_rate(SLATE, relevant, 2) == 1.0
    assert ranking.reciprocal_rank(SLATE, relevant, 4) == 0.5
    gain = 1 / math.log2(3) + 1 / math.log2(5)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert ranking.ndcg(SLATE, relevant, 4) == pytest.approx(gain / ideal)


def test_the_ideal_slate_is_cut_at_k():
    many = {f"r{i}" for i in range(50)}
    assert ranking.ndcg(sorted(many), many, 10) == pytest.approx(1.0)


def test_ndcg_prefers_the_hit_in_front():
    assert ranking.ndcg(["x", "a"], {"x"}, 2) > ranking.ndcg(["a", "x"], {"x"}, 2) > 0


def test_a_short_slate_misses_its_empty_places():
    assert ranking.precision(["a"], {"a"}, 10) == 0.1
    assert ranking.recall([], {"a"}, 10) == 0.0
    assert ranking.novelty([], {}, 10, 10) == 0.0


def test_coverage_counts_each_product_once():
    assert ranking.coverage([["a", "b"], ["b", "c"]], 10, 2) == pytest.approx(0.3)
    assert ranking.coverage([["a", "b"], ["b", "c"]], 10, 1) == pytest.approx(0.2)


def test_novelty_is_the_mean_self_information():
    viewers_of = {"a": 8, "b": 2}
    assert ranking.novelty(["a", "b"], viewers_of, 8, 2) == pytest.approx((0 + 2) / 2)
    assert ranking.novelty(["unmet"], viewers_of, 8, 1) == pytest.approx(3.0)


@pytest.mark.parametrize("measure", [ranking.recall, ranking.ndcg, ranking.hit_rate, ranking.reciprocal_rank])
def test_a_viewer_without_relevant_products_is_refused(measure):
    with pytest.raises(ValueError, match="relevant is empty"):
        measure(SLATE, set(), 10)
    with pytest.raises(ValueError, match="k is 0"):
        measure(SLATE, {"a"}, 0)
