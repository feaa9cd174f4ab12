"""Learned looks: what is shown is what was logged, viewers' answers move the next choices, an erasure reaches both."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cluster.cli import evaluate
from cluster.cli.main import app  # noqa: F401 - adds `looks` to `evaluate`
from cluster.errors import InputError
from cluster.pseudonym import Pseudonymiser
from serving.args import AppArgs, LookArgs
from serving.event_store import EventStore, StoredEvent
from serving.look_choices import LookChoices
from serving.looks import LearnedLooks
from tests.serving_site import KEY, PRESETS, Site, make_site
from trainables.generator.restyle.presets import preset_codes
from trainables.recommender.looks.outcomes import outcomes
from trainables.recommender.looks.policies import compare
from trainables.recommender.looks.thompson import BanditConfig, LookBandit

AT_ONCE = {"learned": True, "settle_s": 0.0}


def learned(database: str, **args: Any) -> LearnedLooks:
    return LearnedLooks(
        LookChoices(database), EventStore(database), tuple(PRESETS), LookArgs.model_validate({**AT_ONCE, **args})
    )


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/events.db"


@pytest.fixture
def site(catalogue: Any, storage: Any, database: str) -> Site:
    return make_site(catalogue, storage, database, looks=learned(database))


def logged(database: str) -> list:
    return LookChoices(database).between(0, 2**62)


def slate(site: Site, viewer: str) -> dict[str, Any]:
    return site("POST", "/v1/recommend", json={"viewer": viewer, "k": 3}).json()


def answers(site: Site, viewer: str, said: dict[str, Any], event_type: str, **extra: Any) -> None:
    event = {"viewer": viewer, "product_id": said["items"][0]["product"]["id"], "event_type": event_type}
    event |= {"request_id": said["request_id"], "style": said["look"]["style"], **extra}
    assert site("POST", "/v1/events", json=[event]).status_code == 202


def test_the_look_that_is_shown_is_logged_with_the_chance_of_every_look(site: Site, database: str) -> None:
    said = slate(site, "mia")
    (choice,) = logged(database)
    assert (choice.request_id, choice.style) == (said["request_id"], said["look"]["style"])
    assert said["look"]["weights"] == {choice.style: 1.0}
    assert said["look"]["propensity"] == choice.propensities[choice.style]
    assert choice.propensities.keys() == PRESETS.keys()
    assert sum(choice.propensities.values()) == pytest.approx(1)
    assert choice.weights == {"minimal": 1.0}, "the viewer's own look is what the choice began with"
    assert f'shopreel_looks_chosen_total{{replica="0",style="{choice.style}"}} 1.0' in site("GET", "/metrics").text


def test_a_viewer_keeps_a_look_for_a_while_and_viewers_differ(site: Site, database: str) -> None:
    looks = {viewer: slate(site, viewer)["look"]["style"] for viewer in map(str, range(40))}
    assert all(slate(site, viewer)["look"]["style"] == look for viewer, look in looks.items())
    assert set(looks.values()) == set(PRESETS)
    brief = learned(database, hold_s=1e-6)
    assert len({brief.choose("mia", {"minimal": 1.0}).style for _ in range(60)}) == len(PRESETS)


def test_a_feed_is_rendered_in_the_look_that_was_chosen(site: Site) -> None:
    feed = site("POST", "/v1/feed", json={"viewer": "mia", "k": 2}).json()
    code = PRESETS[feed["look"]["style"]]
    assert len(site.generator.requests) == 2
    assert all((request.code_S == code).all() for request in site.generator.requests)


def test_what_viewers_take_to_is_chosen_more_often_also_after_a_restart(site: Site, database: str) -> None:
    for viewer in map(str, range(150)):
        said = slate(site, viewer)
        if said["look"]["style"] == "ink":
            answers(site, viewer, said, "click")
        else:
            answers(site, viewer, said, "watch", watch_seconds=0.2, duration_seconds=2.0)
    before, after = learned(database), learned(database)
    after.learn()
    chosen = {
        name: Counter(looks.choose(f"new {i}", {"minimal": 1.0}).style for i in range(300))
        for name, looks in (("before", before), ("after", after))
    }
    assert chosen["after"]["ink"] > 250 > 150 > chosen["before"]["ink"]


@pytest.mark.parametrize(
    ("event", "reward"),
    [
        pytest.param({"event_type": "click"}, 1, id="click"),
        pytest.param({"event_type": "like"}, 1, id="like"),
        pytest.param({"event_type": "purchase"}, 1, id="purchase"),
        pytest.param(
            {"event_type": "watch", "watch_seconds": 2.0, "duration_seconds": 2.0}, 1, id="watched to the end"
        ),
        pytest.param({"event_type": "watch", "watch_seconds": 0.5, "duration_seconds": 2.0}, 0, id="left early"),
        pytest.param({"event_type": "impression"}, 0, id="only shown"),
        pytest.param({"event_type": "click", "style": None}, 0, id="click on the original"),
        pytest.param({"event_type": "click", "request_id": None}, 0, id="click elsewhere"),
        pytest.param({"event_type": "click", "request_id": "another"}, 0, id="click on another slate"),
    ],
)
def test_a_look_is_liked_where_a_clip_in_it_was(site: Site, database: str, event: dict[str, Any], reward: int) -> None:
    said = slate(site, "mia")
    answers(site, "mia", said, **event)
    known = outcomes(logged(database), EventStore(database).of_looks(0), LookBandit(tuple(PRESETS), BanditConfig()))
    assert known.reward_N.tolist() == [reward]


def test_choices_among_other_styles_are_left_out(site: Site, database: str) -> None:
    slate(site, "mia")
    fewer = LookBandit(("minimal", "neon"), BanditConfig())
    assert len(outcomes(logged(database), EventStore(database).of_looks(0), fewer).reward_N) == 0


def test_choices_that_are_too_fresh_or_too_old_teach_nothing(site: Site, database: str) -> None:
    for viewer in map(str, range(60)):
        slate(site, viewer)
    strangers = [f"new {i}" for i in range(50)]

    def chosen(looks: LearnedLooks) -> list[str]:
        return [looks.choose(viewer, {"neon": 1.0}).style for viewer in strangers]

    untaught, fresh = learned(database), learned(database, settle_s=600.0)
    fresh.learn()
    assert chosen(fresh) == chosen(untaught)
    assert len(logged(database)) == 60
    old = learned(database, memory_days=1e-9)
    old.learn()
    assert chosen(old) == chosen(untaught)
    assert logged(database) == [], "nobody learns from them any more"


def test_a_probe_and_clips_made_ahead_are_not_choices(site: Site, database: str) -> None:
    assert site("GET", "/readyz").status_code == 200
    shown = slate(site, "mia")
    ahead = asyncio.run(site.shop.slate("mia", 5, shown=False))
    assert ahead.look.style == shown["look"]["style"], "what is made ahead is what the viewer will be shown"
    assert [choice.request_id for choice in logged(database)] == [shown["request_id"]]


def test_an_erased_viewer_leaves_no_choice(site: Site, database: str, tmp_path: Path) -> None:
    for viewer in ("mia", "tom"):
        slate(site, viewer)
    receipt = site("DELETE", "/v1/viewers/mia").json()
    assert receipt["removed"]["look_choices"] == 1
    assert len(logged(database)) == 1
    gone, there = (Pseudonymiser(KEY).of(viewer).encode() for viewer in ("mia", "tom"))
    files = b"".join(file.read_bytes() for file in tmp_path.glob("events.db*"))
    assert there in files
    assert gone not in files


def test_learning_is_off_unless_asked_for(catalogue: Any, storage: Any, database: str) -> None:
    said = slate(make_site(catalogue, storage, database), "mia")
    assert said["look"]["propensity"] is None
    assert logged(database) == []


def test_a_wrong_setting_is_named() -> None:
    given = {"data": "d", "storage_root": "s", "tracking_uri": "t", "event_store_url": "e"}
    with pytest.raises(InputError, match=r"bandit.explore is 2.0; set 0…1"):
        AppArgs.parse({**given, "looks": {"learned": True, "bandit": {"explore": 2}}})
    with pytest.raises(InputError, match="curiosity"):
        AppArgs.parse({**given, "looks": {"bandit": {"curiosity": 2}}})


def simulated(database: str, viewers: int) -> None:
    """Choices at random among three looks; ink pleases seven in ten, the others two in ten."""
    choices, store, rng = LookChoices(database), EventStore(database), np.random.default_rng(0)
    styles = tuple(preset_codes())
    chance = dict.fromkeys(styles, 1 / len(styles))
    events = []
    for i in range(viewers):
        style = styles[rng.integers(len(styles))]
        choices.keep(f"r{i}", f"v{i}", style, chance, {"neon": 1.0})
        if rng.random() < (0.7 if style == "ink" else 0.2):
            events.append(
                StoredEvent(
                    event_id=f"e{i}", viewer_id=f"v{i}", product_id="p", event_type="click", at_ms=1, style=style,
                    request_id=f"r{i}",
                )
            )  # fmt: skip
    store.append(events)


def test_the_command_estimates_what_other_looks_would_have_brought(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPREEL_EVENT_STORE", database)
    out = tmp_path / "looks.json"
    command = ["looks", "--out", str(out), "--settle-minutes", "0"]
    nothing = CliRunner().invoke(evaluate.app, command)
    assert isinstance(nothing.exception, InputError)
    assert "looks.learned=true" in str(nothing.exception)
    simulated(database, 900)
    result = CliRunner().invoke(evaluate.app, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "always ink" in result.output
    found = {row["policy"]: row for row in json.loads(out.read_text())["policies"]}
    truth = {"always ink": 0.7, "the viewer's taste": 0.2, "at random": (0.7 + 5 * 0.2) / 6}
    for policy, value in truth.items():
        for method in ("snips", "doubly_robust"):
            assert found[policy][method]["low"] < value < found[policy][method]["high"]
    assert found["always ink"]["snips"]["low"] > found["the viewer's taste"]["snips"]["high"]
    assert found["at random"]["snips"]["effective_choices"] == pytest.approx(900)
    with pytest.raises(InputError, match="20 are needed"):
        compare(outcomes([], EventStore(database).of_looks(0), LookBandit(("a", "b"), BanditConfig())), ("a", "b"))
