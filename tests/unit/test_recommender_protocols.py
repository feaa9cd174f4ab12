"""Protocols: what a split holds out, baselines by hand, intervals, the report."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import typer
from scipy import sparse
from typer.testing import CliRunner

from cluster.cli import evaluate_recommender
from cluster.errors import InputError, StorageError
from tests.recommender_log import DAY_MS, START_MS, events_table, preset_codes, two_tastes
from trainables.metrics import batched
from trainables.recommender.learn_config import LearnConfig
from trainables.recommender.learning import learn
from trainables.recommender.protocols import baselines, members
from trainables.recommender.protocols.blend import blend, fit_weights
from trainables.recommender.protocols.bootstrap import interval
from trainables.recommender.protocols.by_time import run_by_time
from trainables.recommender.protocols.log import Log, log_of_ratings
from trainables.recommender.protocols.measure import measure
from trainables.recommender.protocols.ratings import run_ratings, tuned
from trainables.recommender.protocols.report import write_report
from trainables.recommender.protocols.result import Row, summarise
from trainables.recommender.protocols.splits import SPLITS, Question
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.train import end_of, train


def random_log(viewers: int = 40, products: int = 25, seed: int = 0) -> Log:
    rng = np.random.default_rng(seed)
    rows = [(v, p) for v in range(viewers) for p in rng.permutation(products)[: rng.integers(8, 20)]]
    viewer, product = np.array(rows).T
    at = START_MS + rng.integers(0, 100 * DAY_MS, len(rows))
    order = np.lexsort((at, viewer))
    return Log(viewers, products, viewer[order], product[order], np.ones(len(rows), np.float32), at[order])


def pairs(matrix: sparse.csr_array) -> set[tuple[int, int]]:
    return set(zip(*(axis.tolist() for axis in matrix.nonzero()), strict=True))


@pytest.mark.parametrize("protocol", list(SPLITS))
def test_fit_and_held_out_never_overlap_and_nothing_of_the_test_is_in_validation(protocol):
    log = random_log()
    split = SPLITS[protocol](log, 3)
    for question in (split.validation, split.test):
        assert not pairs(question.fit.matrix()) & pairs(question.relevant_Vn)
        assert len(question.asked) > 0
    test = pairs(split.test.relevant_Vn)
    assert not test & (pairs(split.validation.fit.matrix()) | pairs(split.validation.relevant_Vn))
    again = SPLITS[protocol](log, 3)
    assert pairs(again.test.relevant_Vn) == test


def test_shares_of_the_random_protocols():
    log = random_log(viewers=200)
    total = len(log.viewer_N)
    a, m = SPLITS["A"](log, 0), SPLITS["M"](log, 0)
    assert a.test.relevant_Vn.nnz == pytest.approx(total / 10, rel=0.12)
    assert len(a.test.fit.viewer_N) == total - a.test.relevant_Vn.nnz
    assert m.test.relevant_Vn.nnz == pytest.approx(total / 4, rel=0.05)
    assert pairs(SPLITS["A"](log, 1).test.relevant_Vn) != pairs(a.test.relevant_Vn)


def test_leave_one_out_asks_for_the_last_row_and_validates_on_the_one_before():
    log = Log(1, 4, np.zeros(4, int), np.array([2, 0, 3, 1]), np.ones(4, np.float32), np.arange(4))
    split = SPLITS["loo"](log, 0)
    assert pairs(split.test.relevant_Vn) == {(0, 1)}
    assert pairs(split.validation.relevant_Vn) == {(0, 3)}
    assert split.validation.fit.product_N.tolist() == [2, 0]


def test_global_time_cuts_everybody_at_the_same_moments():
    log = random_log()
    split = SPLITS["time"](log, 0)
    at = np.sort(log.at_N)
    assert split.test.fit.at_N.max() < at[int(np.ceil(0.9 * len(at)))]
    assert split.validation.fit.at_N.max() < at[int(np.ceil(0.8 * len(at)))]


def test_equal_times_stand_in_the_order_the_seed_draws():
    rows = [{"viewer_id": "v", "product_id": f"p{i}", "event_type": "click", "at": START_MS} for i in range(20)]
    ids = [f"p{i}" for i in range(20)]
    events = events_table([*rows, {**rows[3], "event_type": "like"}])
    first, same, other = (log_of_ratings(events, ids, seed) for seed in (0, 0, 1))
    assert first.product_N.tolist() == same.product_N.tolist() != other.product_N.tolist()
    assert first.value_N[first.product_N == 3] == 1 and (first.value_N[first.product_N != 3] < 1).all()
    shuffled = events.take(pa.array(np.random.default_rng(0).permutation(events.num_rows)))
    assert log_of_ratings(shuffled, ids, 0).product_N.tolist() == first.product_N.tolist()


def test_of_a_pair_clicked_again_the_last_click_counts():
    click = {"viewer_id": "v", "event_type": "click", "at": START_MS}
    rows = [
        {**click, "product_id": "p0", "at": START_MS + 5},
        {**click, "product_id": "p1", "at": START_MS + 2},
        {**click, "product_id": "p0"},
        {**click, "product_id": "p1", "viewer_id": "w"},
    ]
    log = log_of_ratings(events_table(rows), ["p0", "p1"], 0)
    assert list(zip(log.viewer_N, log.product_N, log.at_N - START_MS, strict=True)) == [(0, 1, 2), (0, 0, 5), (1, 1, 0)]
    assert log.matrix().max() == 1


@pytest.mark.parametrize(("protocol", "kind"), [("loo", "click"), ("A", "click"), ("time", "watch")])
def test_a_log_that_leaves_nobody_to_ask_is_refused_by_protocol(protocol, kind):
    rows = [{"viewer_id": f"v{i}", "product_id": "p", "event_type": kind, "at": START_MS + i} for i in range(9)]
    events = events_table(rows * 3)
    with pytest.raises(InputError, match=f"protocol {protocol} leaves nobody to ask in validation: the dataset has"):
        run_ratings(protocol, lambda seed: log_of_ratings(events, ["p"], seed), [0])


def test_pearson_is_the_correlation_of_columns():
    log = random_log()
    x = log.matrix().toarray()
    correlation = np.corrcoef(x.T)
    np.fill_diagonal(correlation, 0)
    expected = x @ np.maximum(correlation, 0)
    found = baselines.item_knn("pearson", 24)(log)(np.arange(40))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_next_item_ridge_learns_an_order_that_cooccurrence_cannot():
    """Everybody watches 0, 1, 2, 3, 4 in that order: after 0 and 1 comes 2."""
    viewers = 30
    product = np.tile(np.arange(5), viewers)
    viewer = np.repeat(np.arange(viewers), 5)
    log = Log(viewers, 5, viewer, product, np.ones(len(product), np.float32), np.arange(len(product)))
    asked = log.where((viewer > 0) | (product < 2))
    scores = members.next_item_ridge(1.0, 1.0, 1.0)(asked)(np.array([0]))[0]
    assert scores[2:].argmax() == 0
    assert members.recent(asked, 1.0).toarray()[0].tolist() == [0.5, 1, 0, 0, 0]


def test_ease_over_viewers_is_ease_of_the_transpose():
    log = random_log()
    transposed = Log(25, 40, log.product_N, log.viewer_N, log.value_N, log.at_N)
    order = np.lexsort((transposed.product_N, transposed.viewer_N))
    other = baselines.ease_r(5.0)(transposed.where(order))(np.arange(25)).T
    np.testing.assert_allclose(members.ease_over_viewers(5.0)(log)(np.arange(40)), other, atol=1e-5)


def test_a_blend_leaves_out_what_harms_and_tuning_takes_the_best_setting():
    log = random_log(viewers=120)
    split = SPLITS["A"](log, 0)
    wanted = dict(pairs(split.validation.relevant_Vn))

    def oracle(fitted: Log) -> baselines.Scorer:
        def scores(rows: np.ndarray) -> np.ndarray:
            found = np.zeros((len(rows), 25), np.float32)
            for place, row in enumerate(rows.tolist()):
                found[place, wanted.get(row, 0)] = 1
            return found

        return scores

    def half(fitted: Log) -> baselines.Scorer:
        """Right for every second viewer, and not by much."""
        right = oracle(fitted)
        return lambda rows: right(rows) * (rows % 2)[:, None] + 0.1 * noise(fitted)(rows)

    def noise(fitted: Log) -> baselines.Scorer:
        return lambda rows: np.random.default_rng(1).normal(size=(len(rows), 25)).astype(np.float32)

    fits = {"noise": noise, "half": half, "more noise": noise}
    weights = fit_weights(fits, split.validation, 5)
    assert weights["half"] > weights.get("noise", 0) + weights.get("more noise", 0)
    assert blend({"oracle": oracle}, {"oracle": 1.0})(log)(np.array([0])).argmax() == wanted.get(0, 0)
    name, _ = tuned(baselines.Method("m", {"bad": noise, "good": oracle}), split)
    assert name == "good"


def test_measures_of_a_perfect_and_a_useless_scorer():
    log = random_log()
    question = SPLITS["A"](log, 0).test
    perfect = measure(lambda rows: question.relevant_Vn[rows].toarray(), question, 10)
    assert perfect.means()["recall"] == perfect.means()["ndcg"] == perfect.means()["hit_rate"] == 1
    useless = measure(lambda rows: -question.relevant_Vn[rows].toarray(), question, 1)
    assert useless.means()["hit_rate"] == 0
    assert 0 < perfect.coverage <= 1
    assert perfect.novelty > 0


def test_intra_list_similarity_by_hand():
    met = sparse.csr_array(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1.0]]))
    assert batched.intra_list_similarity(np.array([[0, 1]]), met) == pytest.approx(1.0)
    assert batched.intra_list_similarity(np.array([[0, 2]]), met) == pytest.approx(0.0)
    assert batched.intra_list_similarity(np.array([[0, 1, 2]]), met) == pytest.approx(1 / 3)
    assert batched.intra_list_similarity(np.array([[0, -1]]), met) == 0.0


def test_the_interval_is_that_of_the_normal_law_for_many_viewers():
    values = np.random.default_rng(0).normal(0.3, 1.0, 4000)
    low, high = interval(values)
    assert low == pytest.approx(values.mean() - 1.96 / np.sqrt(4000), abs=0.004)
    assert high == pytest.approx(values.mean() + 1.96 / np.sqrt(4000), abs=0.004)
    assert interval(values) == interval(values)
    with pytest.raises(ValueError, match="no viewers"):
        interval(np.zeros(0))


def test_a_report_has_every_method_and_needs_nothing_from_elsewhere(tmp_path):
    log = random_log()
    rows = []
    for seed in (0, 1):
        question: Question = SPLITS["A"](log, seed).test
        for name, fit in (("popularity", baselines.popularity), ("ours <b>", baselines.ease_r(10.0))):
            rows.append(Row(name, seed, "s", question.asked, measure(fit(question.fit), question, 10), 0.1))
    result = summarise(rows, protocol="A", k=10, ours="ours <b>")
    write_report(result, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert [method["method"] for method in found["methods"]] == ["popularity", "ours <b>"]
    ours, other = found["methods"][1]["means"]["ndcg"], found["methods"][0]["means"]["ndcg"]
    assert found["leads"][0]["differences"]["ndcg"] == pytest.approx(ours - other, abs=0.02)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "ours &lt;b&gt;" in page and "ours <b>" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "data:image/svg+xml;base64," in page


def test_slates_by_time_beat_popularity_where_tastes_are_known():
    data = two_tastes()
    config = RecommenderTrainConfig(learn=LearnConfig(least_viewers=20))
    result = run_by_time(data, preset_codes(), config, days=3.0)
    by_name = {summary.method: summary.means for summary in result.methods}
    assert by_name["shopreel"]["ndcg"] > 1.2 * by_name["popularity"]["ndcg"]
    lead = next(lead for lead in result.leads if lead.method == "popularity")
    assert lead.intervals["ndcg"][0] > 0


def test_what_happens_in_the_tested_days_does_not_reach_the_model_that_is_judged():
    """Of two logs that differ after the boundary alone, both models give the same slates."""
    data = two_tastes()
    at_ms = data.events["at"].cast(pa.int64()).to_numpy()
    boundary = end_of(data.events) - 3 * DAY_MS
    config = RecommenderTrainConfig(learn=LearnConfig(least_viewers=20))
    other = replace(data, events=data.events.filter(pa.array((at_ms < boundary) | (at_ms % 2 == 0))))
    models = [train(learn(config, part, until_ms=boundary), part, preset_codes(), until_ms=boundary)
              for part in (data, other)]  # fmt: skip
    np.testing.assert_array_equal(models[0].item_item_mm, models[1].item_item_mm)
    assert models[0].config == models[1].config


def test_windows_bind_what_is_taken_to_in_one_sitting():
    """All viewers take to everything, in the same order: only windows tell which products go together."""
    viewers, product = 30, np.tile(np.arange(8), 30)
    viewer = np.repeat(np.arange(viewers), 8)
    log = Log(viewers, 8, viewer, product, np.ones(len(product), np.float32), np.arange(len(product)))
    asked = log.where((viewer > 0) | (product == 2))
    scores = members.ease_on_windows(1.0, 2, 1.0)(asked)(np.array([0]))[0]
    assert set(np.argsort(-scores)[:2].tolist()) == {1, 3}


def test_seeds_are_those_asked_for_so_that_figures_can_be_taken_on_fresh_ones():
    drawn: list[int] = []

    def log_of(seed: int) -> Log:
        drawn.append(seed)
        return random_log(seed=seed)

    result = run_ratings("loo", log_of, range(4, 6))
    assert drawn == [4, 5] and result.seeds == 2


@pytest.mark.parametrize("days", [12.0, 100.0])
def test_a_log_too_short_to_choose_settings_on_is_refused(days) -> None:
    with pytest.raises(InputError, match=f"settings are chosen on the {days:g} days before .* test fewer of them"):
        run_by_time(two_tastes(viewers=40), preset_codes(), RecommenderTrainConfig(), days=days)


def test_a_report_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path) -> None:
    app = typer.Typer()
    app.command()(evaluate_recommender.command)
    (tmp_path / "file").write_text("")
    for out, error in ((tmp_path / "file", InputError), (tmp_path / "file" / "report", StorageError)):
        words = ["--protocol", "A", "--wheel", str(tmp_path / "there-is-none.whl"), "--out", str(out)]
        with pytest.raises(error, match="a file; name a folder|give another --out"):
            raise CliRunner().invoke(app, words).exception
