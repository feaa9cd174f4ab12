"""The parts of a sweep that need no Ray: the space, the search, the measures, the table."""

import math
import os
import re
from dataclasses import replace
from io import StringIO

import numpy as np
import optuna
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from cluster import config
from cluster.cli.main import app
from cluster.errors import InputError
from tests.recommender_log import two_tastes
from trainables.generator.restyle.config import RestyleTrainConfig
from trainables.recommender.cold.alignment import AlignmentConfig
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.runs.folder import RunFolder
from trainables.runs.sinks import StatsSink
from tuning.config import SweepConfig
from tuning.generator.subject import SUBJECT, measures, running, space
from tuning.importance import importance
from tuning.journal import Journal
from tuning.objective import OBJECTIVE, PARTS, RUNNING, STEP
from tuning.outcome import TrialOutcome
from tuning.pareto import pareto_front
from tuning.recommender.subject import SUBJECT as RECOMMENDER
from tuning.report import report
from tuning.search import OptunaSearch
from tuning.space import apply, as_partial_config, said_of, settings_of
from tuning.sweep import planned, room
from tuning.table import LiveTable, summary

SETTINGS = {"optimizer.learning_rate": 1e-3, "loss.content_weight": 0.1, "batch_size": 4}


def test_settings_go_into_a_config_and_back_and_through_yaml(tmp_path):
    changed = apply(RestyleTrainConfig(), SETTINGS)
    assert settings_of(changed, SUBJECT.space) == SETTINGS
    file = tmp_path / "best.yaml"
    file.write_text(yaml.safe_dump(as_partial_config(SETTINGS)))
    assert config.load(RestyleTrainConfig, file) == changed


def test_the_best_settings_bring_along_all_that_their_trial_was_trained_with(tmp_path, monkeypatch):
    """What training learned before the trials, what the trials shared, and the ranker that they did without."""
    aligned = AlignmentConfig(enabled=True, l2=3.0)
    monkeypatch.setattr("trainables.recommender.train.read_training_data", lambda dataset: two_tastes(viewers=20))
    monkeypatch.setattr(
        "trainables.recommender.learning.learn", lambda config, data, until_ms: replace(config, alignment=aligned)
    )
    shared = config.override(RecommenderTrainConfig(), ["content_weight=0.5", "ranker.leaves=7"])
    base = RECOMMENDER.prepared(shared, SweepConfig(steps=4), dataset=None)
    file = tmp_path / "best.yaml"
    settings = settings_of(base, RECOMMENDER.space) | {"ease.l2": 77.0}
    file.write_text(yaml.safe_dump(said_of(apply(base, settings), settings)))
    best = config.load(RecommenderTrainConfig, file)
    assert best == apply(base, settings)
    assert (best.alignment, best.content_weight, best.ease.l2) == (aligned, 0.5, 77.0)
    assert best.ranker == shared.ranker and not best.learn.enabled


def test_best_settings_of_the_generator_leave_the_length_of_a_training_open():
    shared = config.override(RestyleTrainConfig(), ["frame_size=32", f"batch_size={RestyleTrainConfig().batch_size}"])
    base = SUBJECT.prepared(shared, SweepConfig(steps=40), dataset=None)
    said = said_of(base, settings_of(base, SUBJECT.space), SUBJECT.of_trials)
    assert said["frame_size"] == 32
    assert {"batch_size", "optimizer", "loss"} < said.keys()  # swept settings are said even where they are the usual
    assert not {"steps", "checkpoint_every", "sheet_every"} & said.keys()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param({"learning_rate": (0.0, 1.0)}, "learning_rate begins at 0.0; a logarithmic range", id="zero"),
        pytest.param({"content_weight": (0.5, 0.1)}, "content_weight goes from 0.5 to 0.1", id="reversed"),
        pytest.param({"batch_size": (0, 4)}, r"batch_size are \[0, 4\]; give sizes of 1", id="no batch"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        space(**asked)


def test_a_sweep_needs_a_trial():
    with pytest.raises(ValueError, match="trials is 0; set it to 1 or above"):
        SweepConfig(trials=0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param("generator --scheduler asa", "scheduler is 'asa'; choose one of asha, pbt", id="scheduler"),
        pytest.param("generator --scheduler pbt --workers-per-trial 2", "leave workers_per_trial at 1", id="workers"),
        pytest.param("generator --name früh --workers-per-trial 2", "its letters are a to z", id="letters of the name"),
        pytest.param(f"recommender --name {97 * 'x'}", "x-023' is not a name; use up to 100", id="names of trials"),
        pytest.param("recommender --search tpe", "search is 'tpe'; choose one of optuna", id="search"),
        pytest.param("recommender --objective both", "objective is 'both'; choose one of score", id="objective"),
    ],
)
def test_a_sweep_asked_for_in_wrong_words_is_an_error_of_one_line(settings, asked, message):
    ended = CliRunner().invoke(app, ["tune", *asked.split(), "--data", "shop"])
    assert isinstance(ended.exception, InputError)
    assert message in str(ended.exception)


GIB = 1024**3


@pytest.mark.parametrize(
    ("subject", "workers", "cluster", "trials"),
    [
        pytest.param(SUBJECT, 1, {"CPU": 64, "GPU": 2, "memory": 256 * GIB}, 2, id="a GPU each"),
        pytest.param(SUBJECT, 2, {"CPU": 64, "GPU": 5, "memory": 256 * GIB}, 2, id="whole sets of GPUs"),
        pytest.param(SUBJECT, 2, {"CPU": 8, "GPU": 1, "memory": 256 * GIB}, 4, id="too few GPUs"),
        pytest.param(RECOMMENDER, 1, {"CPU": 64, "GPU": 1, "memory": 32 * GIB}, 16, id="recommender beside a GPU"),
        pytest.param(SUBJECT, 2, {"CPU": 7, "memory": 256 * GIB}, 3, id="by CPU"),
        pytest.param(SUBJECT, 1, {"CPU": 8, "memory": 5 * GIB}, 2, id="by memory"),
        pytest.param(SUBJECT, 4, {"CPU": 2, "memory": 2 * GIB}, 1, id="one at least"),
    ],
)
def test_as_many_trials_run_at_a_time_as_the_cluster_has_room_for(subject, workers, cluster, trials):
    assert room(subject, workers, cluster) == trials


@pytest.fixture
def search(tmp_path):
    """A search with a journal of its own, by the sweep's settings."""
    made = iter(range(1000))

    def searching(**settings):
        journal = Journal(str(tmp_path), f"s{next(made)}")
        return OptunaSearch(planned(SUBJECT, SweepConfig(**settings)), journal, first=SETTINGS)

    return searching


def test_the_search_starts_at_the_base_and_repeats_itself_under_a_seed(search):
    def points(seed: int) -> list[dict]:
        searching = search(seed=seed)
        return [searching.suggest(str(number)) for number in range(5)]

    assert points(0)[0] == {"number": 0, "settings": SETTINGS}
    assert points(0) == points(0) != points(1)
    for point in points(0):
        assert 3e-4 <= point["settings"]["optimizer.learning_rate"] <= 6e-3
        assert 0.02 <= point["settings"]["loss.content_weight"] <= 0.5
        assert point["settings"]["batch_size"] in (4, 8)


def test_a_batch_size_outside_the_choices_is_drawn_instead(search):
    assert search(space=space(batch_size=(2,))).suggest("a")["settings"] == SETTINGS | {"batch_size": 2}


def test_a_grid_walks_through_every_corner_once(search):
    searching = search(search="grid", trials=8, space=space(batch_size=(2, 4)))
    points = [tuple(searching.suggest(str(number))["settings"].values()) for number in range(8)]
    corners = {(rate, weight, size) for rate in (3e-4, 6e-3) for weight in (0.02, 0.5) for size in (2, 4)}
    assert {(round(rate, 7), round(weight, 7), size) for rate, weight, size in points} == corners


def test_a_search_taken_up_again_knows_what_was_tried_and_gives_lost_points_out_anew(tmp_path):
    """Tune's state is older than the journal: what was suggested since keeps its number and its settings."""
    journal = Journal(str(tmp_path / "home"), "s")
    before = OptunaSearch(planned(SUBJECT, SweepConfig()), journal, first=SETTINGS)
    points = [before.suggest(name)["settings"] for name in ("a", "b", "c")]
    before.on_trial_complete("a", {STEP: 10, RUNNING: 0.1, OBJECTIVE: 0.9})
    before.save_to_dir(str(tmp_path))
    late = before.suggest("d")["settings"]
    before.on_trial_complete("d", {STEP: 10, RUNNING: 0.1, OBJECTIVE: 0.4})

    after = OptunaSearch(planned(SUBJECT, SweepConfig()), journal, first=SETTINGS)
    after.restore_from_dir(str(tmp_path))
    states = optuna.trial.TrialState
    told = [(trial.state, trial.value, trial.params) for trial in after._study.trials]
    assert told == [(states.COMPLETE, 0.9, points[0]), *((states.RUNNING, None, point) for point in points[1:])]
    after.on_trial_complete("b", {STEP: 10, RUNNING: 0.1, OBJECTIVE: 0.7})
    assert after.suggest("d again") == {"number": 3, "settings": late}
    assert after.suggest("e")["number"] == 4


@pytest.mark.parametrize("kind", ["optuna", "random"])
def test_a_search_taken_up_again_draws_what_it_would_have_drawn_and_nothing_twice(tmp_path, kind):
    sweep = planned(SUBJECT, SweepConfig(search=kind))
    whole = OptunaSearch(sweep, Journal(str(tmp_path), "whole"), first=SETTINGS)
    expected = [whole.suggest(str(number)) for number in range(6)]

    def taken_up() -> OptunaSearch:
        return OptunaSearch(sweep, Journal(str(tmp_path), "broken"), first=SETTINGS)

    before, after = taken_up(), taken_up()
    told = [before.suggest(str(number)) for number in range(3)]
    before.save_to_dir(str(tmp_path))
    after.restore_from_dir(str(tmp_path))
    told += [after.suggest(str(number)) for number in range(3, 5)]
    without_state = taken_up()  # killed before Tune wrote anything down: the journal alone is left
    assert [without_state.suggest(str(number)) for number in range(6)] == expected
    assert told == expected[:5]


def test_a_search_taken_up_a_second_time_begins_with_the_newest_session(tmp_path):
    """Tune copies the states of all sessions into a folder of the new one, in no order of time."""
    searching = OptunaSearch(planned(SUBJECT, SweepConfig()), Journal(str(tmp_path / "home"), "s"), first=SETTINGS)
    sessions = ("2026-01-01_10-00-00", "2026-01-01_11-00-00")
    for session in sessions:
        searching.suggest(session)
        searching.save_to_dir(str(tmp_path), session)
    for age, session in enumerate(reversed(sessions)):
        os.utime(tmp_path / f"search-{session}.json", (age, age))
    searching.restore_from_dir(str(tmp_path))
    assert searching.suggest("next")["number"] == 2


def test_a_front_is_searched_by_both_measures(search):
    searching = search(objective="front")
    searching.suggest("a")
    searching.on_trial_result("a", {STEP: 5, RUNNING: 0.1})
    searching.on_trial_complete("a", {STEP: 10, RUNNING: 0.1, OBJECTIVE: 0.9, PARTS[0]: 0.6, PARTS[1]: 0.3})
    assert searching._study.trials[0].values == [0.6, 0.3]


def test_the_search_is_told_the_held_out_measure_and_never_takes_the_running_one_for_it(search):
    search = search()
    for name in ("finished", "stopped", "failed"):
        search.suggest(name)
        search.on_trial_result(name, {STEP: 5, RUNNING: 0.1})
    search.on_trial_complete("finished", {STEP: 10, RUNNING: 0.1, OBJECTIVE: 0.9})
    search.on_trial_complete("stopped", {STEP: 5, RUNNING: 0.1})
    search.on_trial_complete("failed", {STEP: 5, RUNNING: math.nan}, error=True)
    states = optuna.trial.TrialState
    told = [(trial.state, trial.value) for trial in search._study.trials]
    assert told == [(states.COMPLETE, 0.9), (states.PRUNED, 0.1), (states.FAIL, None)]


def test_steps_that_a_trial_repeats_are_told_once(search, recwarn):
    search = search()
    search.suggest("a")
    for step, value in ((5, 0.5), (10, 0.3), (10, 0.4), (5, 0.6), (15, 0.2)):
        search.on_trial_result("a", {STEP: step, RUNNING: value})
    assert search._study.trials[0].intermediate_values == {5: 0.5, 10: 0.3, 15: 0.2}
    assert not [warning for warning in recwarn if "already reported" in str(warning.message)]


def test_the_front_holds_what_nothing_beats():
    points = [(1.0, 4.0), (2.0, 2.0), (2.5, 2.5), (3.0, 1.0), (3.0, 1.0), (0.9, 5.0), (4.0, 1.0)]
    assert pareto_front(points) == [5, 0, 1, 3]
    assert pareto_front([]) == []


def outcomes(count: int) -> list[TrialOutcome]:
    """Finished trials whose held-out measure follows λ alone, one stopped early and one failed."""
    rng = np.random.default_rng(0)
    common = {"steps": 10, "running": 1.0, "seconds": 3.0, "run_id": None, "error": None}
    made = []
    for number in range(count):
        settings = {
            "optimizer.learning_rate": float(rng.uniform(1e-4, 1e-2)),
            "loss.content_weight": float(rng.uniform(0.1, 2)),
            "batch_size": int(rng.choice([4, 8])),
        }
        style = 0.5 + 0.1 * settings["loss.content_weight"]
        made.append(
            TrialOutcome(
                name=f"s-{number:03d}", status="finished", settings=settings, objective=2 * style - 0.5,
                parts=(style, style - 0.5), **common,
            )
        )  # fmt: skip
    ended = {"settings": SETTINGS, "objective": None}
    made.append(TrialOutcome(name="s-900", status="stopped early", **ended, **common))
    made.append(TrialOutcome(name="s-901", status="failed", **ended, **common | {"error": "<b>NaN</b>"}))
    return made


def test_the_setting_that_decides_is_the_important_one():
    shares = importance(outcomes(20), SUBJECT.space)
    assert max(shares, key=shares.get) == "loss.content_weight"
    assert sum(shares.values()) == pytest.approx(1)
    assert importance(outcomes(3), SUBJECT.space) == {}


def test_nothing_matters_where_all_trials_came_out_alike_but_for_rounding():
    alike = [replace(trial, objective=0.5 + (rank > 3) * 1e-16) for rank, trial in enumerate(outcomes(6)[:6])]
    assert len({trial.objective for trial in alike}) == 2
    assert importance(alike, SUBJECT.space) == {}


def test_the_report_is_one_page_that_loads_nothing_and_shows_every_trial(storage):
    trials = outcomes(6)
    for trial in trials[:2]:
        sink = StatsSink(RunFolder(storage, trial.name), 5)
        for step in range(1, 11):
            sink.log(step, {"loss/style": 2.0 / step, "loss/edges": 0.5, "learning_rate": 1e-3})
        sink.close()
    best = min(trials[:6], key=lambda trial: trial.objective)
    page = report(storage, SUBJECT, planned(SUBJECT, SweepConfig(name="spring")), trials, best)
    assert all(trial.name in page for trial in trials)
    assert page.count("data:image/svg+xml") == 5  # coordinates, front, curves, rates, importance
    assert "&lt;b&gt;NaN" in page
    assert not re.search(r"""(src|href)=(?!["']?data:)""", page)


def test_neither_measure_depends_on_lambda():
    terms = {"loss/style": 2.0, "loss/edges": 0.5, "loss/content": 1.0, "loss/total": 3.0}
    heavier = terms | {"loss/total": 9.0}
    assert running([terms]) == running([heavier]) == 2.5
    assert running([terms | {"loss/style": 100.0}, terms, terms, terms]) == 2.5  # the latest three reports
    said = {"heldout/score": 1.25, "heldout/style_distance": 0.75, "heldout/sobel_correlation": 0.5, "loss/total": 9.0}
    assert measures(said) == {OBJECTIVE: 1.25, PARTS[0]: 0.75, PARTS[1]: 0.5}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param({"scheduler": "pbt"}, "choose --scheduler asha, median or none", id="pbt"),
        pytest.param({"workers_per_trial": 2}, "leave --workers-per-trial out", id="workers"),
    ],
)
def test_a_recommender_is_not_swept_in_ways_it_cannot_learn_in(asked, message):
    with pytest.raises(InputError, match=message):
        planned(RECOMMENDER, SweepConfig(steps=4, **asked))


class Known:
    """What the live table sees of a Tune trial."""

    def __init__(self, number: int, status: str, rate: float, **reported: float) -> None:
        self.trial_id, self.status, self.last_result = f"id{number}", status, reported
        self.config = {"settings": SETTINGS | {"optimizer.learning_rate": rate}}
        self._name = f"s-{number:03d}"

    def __str__(self) -> str:
        return self._name

    def is_finished(self) -> bool:
        return self.status in ("TERMINATED", "ERROR")


def test_the_live_table_knows_what_ended_before_the_sweep_was_taken_up_again():
    """By the numbers of the trials, and with the settings that one took over from another trial."""
    text = StringIO()
    table = LiveTable("sweep s", planned(SUBJECT, SweepConfig(trials=4)), Console(file=text, width=100))
    running = Known(3, "RUNNING", 1e-3)
    trials = [Known(1, "TERMINATED", 4e-3, step=50, running=0.8), running, Known(0, "ERROR", 3e-3)]
    trials.append(Known(2, "TERMINATED", 5e-3, step=100, running=0.5, objective=0.7))
    table.on_trial_start(0, trials, running)
    running.config = {"settings": SETTINGS | {"optimizer.learning_rate": 2e-3}}
    table.on_trial_result(0, trials, running, {STEP: 25, RUNNING: 0.9})
    table._live.console.print(table._table())
    title, *lines = (line.split() for line in text.getvalue().splitlines() if line.strip())
    assert " ".join(title) == "sweep s: 3 of 4 trials done"
    told = {line[0]: (line[1], line[4], line[-3]) for line in lines if line[0].isdigit()}
    assert told == {
        "000": ("0.003", "0/100", "failed"), "001": ("0.004", "50/100", "stopped"),
        "002": ("0.005", "100/100", "finished"), "003": ("0.002", "25/100", "training"),
    }  # fmt: skip


def test_what_follows_the_live_table_in_a_log_begins_a_line_of_its_own():
    text = StringIO()
    with LiveTable("sweep s", planned(SUBJECT, SweepConfig()), Console(file=text, width=80)):
        pass
    assert text.getvalue().endswith("lower is better\n")


POINTS = {
    SUBJECT: SETTINGS,
    RECOMMENDER: {
        "ease.l2": 2135.8, "ease.half_life_days": 122.1, "feedback.impression": 0.115, "history_half_life_days": 142.1,
        "popularity.trend_strength": 0.024, "popularity_weight": 0.005,
    },
}  # fmt: skip


@pytest.mark.parametrize(("subject", "steps"), [(SUBJECT, 100), (RECOMMENDER, 4)], ids=["generator", "recommender"])
def test_the_summary_fits_a_terminal_and_puts_the_best_first(subject, steps):
    common = {"settings": POINTS[subject], "steps": steps, "running": 1.5, "seconds": 1234.0}
    common |= {"run_id": "r", "error": None}
    trials = [
        TrialOutcome(name="s-000", status="stopped early", objective=None, **common),
        TrialOutcome(name="s-001", status="finished", objective=0.9, **common),
        TrialOutcome(name="s-002", status="finished", objective=0.7, **common),
    ]
    text = StringIO()
    Console(file=text, width=80).print(summary("sweep", trials, planned(subject, SweepConfig(steps=steps))))
    assert "…" not in text.getvalue()
    rows = [line.split()[0] for line in text.getvalue().splitlines() if f"{steps}/{steps}" in line]
    assert rows == ["002", "001", "000"]
