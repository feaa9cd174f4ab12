"""A replica of the recommender has a few versions at hand; no request waits for one, or fails for want of it."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from serving import live_versions
from serving.contracts import LoadError
from serving.live_versions import HELD, LiveVersion, LiveVersions
from tests.waiting import wait_for


class Part:
    """Something that is done in the background."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def stop(self) -> None:
        self.stopped.set()


def version(reference: str) -> LiveVersion:
    return LiveVersion(reference, Part(), Part())


class Shelf:
    """Loads versions when told to; version 9 is damaged."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_load = threading.Event()

    def __call__(self, reference: str) -> LiveVersion:
        self.asked.append(reference)
        assert self.may_load.wait(60)
        if reference.endswith("/9"):
            raise LoadError(f"{reference} cannot be loaded (InputError)")
        return version(reference)


@pytest.fixture
def held() -> SimpleNamespace:
    shelf = Shelf()
    return SimpleNamespace(shelf=shelf, versions=LiveVersions(version("recommender/1"), shelf))


def test_until_a_version_is_there_another_answers_and_says_so(held: SimpleNamespace) -> None:
    assert [held.versions.get("recommender/2").reference for _ in range(5)] == ["recommender/1"] * 5
    held.shelf.may_load.set()
    wait_for(lambda: held.versions.get("recommender/2").reference == "recommender/2", "the version answers")
    assert held.shelf.asked == ["recommender/2"]
    assert held.versions.get("recommender/1").reference == "recommender/1"


def test_few_versions_are_kept_and_what_goes_is_ended(held: SimpleNamespace) -> None:
    held.shelf.may_load.set()
    first = held.versions.get("recommender/1")
    for number in range(2, 2 + HELD):
        held.versions.load(f"recommender/{number}")
    assert first.live.stopped.wait(60) and first.hosts.stopped.wait(60)
    assert held.versions.get("recommender/2").reference == "recommender/2"
    assert not held.versions.get("recommender/2").live.stopped.is_set()


def test_version_that_cannot_be_loaded_is_told_and_not_tried_with_every_request(
    held: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.shelf.may_load.set()
    with pytest.raises(LoadError, match="recommender/9 cannot be loaded"):
        held.versions.load("recommender/9")
    held.versions.get("recommender/9")
    wait_for(lambda: "recommender/9" in held.versions._tried_at, "the version was tried in the background")
    tried = len(held.shelf.asked)
    assert {held.versions.get("recommender/9").reference for _ in range(20)} == {"recommender/1"}
    assert len(held.shelf.asked) == tried
    monkeypatch.setattr(live_versions, "RETRY_S", 0.0)
    held.versions.get("recommender/9")
    wait_for(lambda: len(held.shelf.asked) == tried + 1, "the version is tried again later")
