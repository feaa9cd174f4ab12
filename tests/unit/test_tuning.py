"""The parts of a sweep that need no Ray: the space, the search, the measures, the table."""

import math
from io import StringIO

import optuna
import pytest
import yaml
from rich.console import Console

from cluster import config
from trainables.generator.restyle.config import RestyleTrainConfig
from tuning.objective import OBJECTIVE, RUNNING, STEP, objective, running
from tuning.outcome import TrialOutcome
from tuning.search import OptunaSearch
from tuning.space import SearchSpace, apply, as_partial_config, settings_of
from tuning.sweep import SweepConfig
from tuning.table import summary

SETTINGS = {"optimizer.learning_rate": 1e-3, "loss.content_weight": 0.5, "batch_size": 4}


def test_settings_go_into_a_config_and_back_and_through_yaml(tmp_path):
    changed = apply(RestyleTrainConfig(), SETTINGS)
    assert settings_of(changed) == SETTINGS
    file = tmp_path / "best.yaml"
    file.write_text(yaml.safe_dump(as_partial_config(SETTINGS)))
    assert config.load(RestyleTrainConfig, file) == changed


@pytest.mark.parametrize(
    ("space", "message"),
    [
        pytest.param({"learning_rate": (0.0, 1.0)}, r"space.learning_rate is \[0.0, 1.0\]", id="zero"),
        pytest.param({"content_weight": (2.0, 1.0)}, "both above 0", id="reversed"),
        pytest.param({"batch_size": ()}, "give at least one size", id="no batch size"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace(**space)


def test_a_sweep_needs_a_trial():
    with pytest.raises(ValueError, match="trials is 0; set it to 1 or above"):
        SweepConfig(trials=0)


def test_the_search_starts_at_the_base_and_repeats_itself_under_a_seed():
    def points(seed: int) -> list[dict]:
        search = OptunaSearch(SearchSpace(), seed=seed, first=SETTINGS)
        return [search.suggest(str(number)) for number in range(5)]

    assert points(0)[0] == {"number": 0, "settings": SETTINGS}
    assert points(0) == points(0) != points(1)
    for point in points(0):
        assert 3e-4 <= point["settings"]["optimizer.learning_rate"] <= 6e-3
        assert 0.1 <= point["settings"]["loss.content_weight"] <= 2.0
        assert point["settings"]["batch_size"] in (4, 8)


def test_a_batch_size_outside_the_choices_is_drawn_instead():
    search = OptunaSearch(SearchSpace(batch_size=(2,)), seed=0, first=SETTINGS)
    assert search.suggest("a")["settings"] == SETTINGS | {"batch_size": 2}


def test_the_search_is_told_the_held_out_measure_and_never_takes_the_running_one_for_it():
    search = OptunaSearch(SearchSpace(), seed=0, first=SETTINGS)
    for name in ("finished", "stopped", "failed"):
        search.suggest(name)
        search.on_trial_result(name, {STEP: 5, RUNNING: 0.1})
    search.on_trial_complete("finished", {STEP: 10, RUNNING: 0.1, OBJECTIVE: 0.9})
    search.on_trial_complete("stopped", {STEP: 5, RUNNING: 0.1})
    search.on_trial_complete("failed", {STEP: 5, RUNNING: math.nan}, error=True)
    states = optuna.trial.TrialState
    told = [(trial.state, trial.value) for trial in search._study.trials]
    assert told == [(states.COMPLETE, 0.9), (states.PRUNED, 0.1), (states.FAIL, None)]


def test_neither_measure_depends_on_lambda():
    terms = {"loss/style": 2.0, "loss/edges": 0.5, "loss/content": 1.0, "loss/total": 3.0}
    heavier = terms | {"loss/total": 9.0}
    assert running([terms]) == running([heavier]) == 2.5
    assert running([terms | {"loss/style": 100.0}, terms, terms, terms]) == 2.5  # the latest three reports
    assert objective({"heldout/score": 1.25, "loss/total": 9.0}) == 1.25


def test_the_summary_fits_a_terminal_and_puts_the_best_first():
    common = {"settings": SETTINGS, "steps": 100, "running": 1.5, "seconds": 1234.0, "run_id": "r", "error": None}
    trials = [
        TrialOutcome(name="s-000", status="stopped early", objective=None, **common),
        TrialOutcome(name="s-001", status="finished", objective=0.9, **common),
        TrialOutcome(name="s-002", status="finished", objective=0.7, **common),
    ]
    text = StringIO()
    Console(file=text, width=80).print(summary("sweep", trials, 100))
    assert "…" not in text.getvalue()
    rows = [line.split()[0] for line in text.getvalue().splitlines() if "100/100" in line]
    assert rows == ["002", "001", "000"]
