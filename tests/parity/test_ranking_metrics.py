"""Our ranking measures against ranx, on random slates."""

import numpy as np
import pytest
from scipy import sparse

from trainables.metrics import batched, ranking

ranx = pytest.importorskip("ranx", reason="ranx is not installed; pip install '.[dev]'")


@pytest.fixture(scope="module")
def slates() -> tuple[list[list[str]], list[set[str]]]:
    rng = np.random.default_rng(3)
    lists = [[f"d{i}" for i in rng.permutation(200)[:20]] for _ in range(300)]
    relevant = [{f"d{i}" for i in rng.choice(200, rng.integers(1, 60), replace=False)} for _ in range(300)]
    return lists, relevant


@pytest.mark.parametrize("k", [1, 5, 10, 20])
@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("ndcg", ranking.ndcg),
        ("recall", ranking.recall),
        ("precision", ranking.precision),
        ("hit_rate", ranking.hit_rate),
        ("mrr", ranking.reciprocal_rank),
    ],
)
def test_equals_ranx(slates, name, measure, k):
    lists, relevant = slates
    qrels = ranx.Qrels({f"q{i}": dict.fromkeys(wanted, 1) for i, wanted in enumerate(relevant)})
    run = ranx.Run({f"q{i}": {d: float(20 - p) for p, d in enumerate(slate)} for i, slate in enumerate(lists)})
    ours = np.mean([measure(slate, wanted, k) for slate, wanted in zip(lists, relevant, strict=True)])
    assert ours == pytest.approx(ranx.evaluate(qrels, run, f"{name}@{k}"), abs=1e-12)


@pytest.mark.parametrize("k", [1, 10, 20])
def test_the_batched_measures_equal_ranx(slates, k):
    lists, relevant = slates
    qrels = ranx.Qrels({f"q{i}": dict.fromkeys(wanted, 1) for i, wanted in enumerate(relevant)})
    run = ranx.Run({f"q{i}": {d: float(20 - p) for p, d in enumerate(slate)} for i, slate in enumerate(lists)})
    scores, wanted = np.full((300, 200), -np.inf), np.zeros((300, 200), bool)
    for i, slate in enumerate(lists):
        scores[i, [int(d[1:]) for d in slate]] = np.arange(20, 0, -1)
        wanted[i, [int(d[1:]) for d in relevant[i]]] = True
    hit = batched.hits(batched.top_k(scores, k), sparse.csr_array(wanted))
    count = wanted.sum(1)
    for name, values in (
        ("ndcg", batched.ndcg(hit, count)),
        ("recall", batched.recall(hit, count)),
        ("hit_rate", batched.hit_rate(hit)),
    ):
        assert values.mean() == pytest.approx(ranx.evaluate(qrels, run, f"{name}@{k}"), abs=1e-12)
