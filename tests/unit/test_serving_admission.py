"""A render that would wait too long is refused at once, whatever the clips and however many replicas render them."""

from __future__ import annotations

import contextlib

import pytest

from serving.admission import Admission
from serving.problems import Problem


class Queue:
    """Renders come back `between_s` seconds apart, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.admission = Admission(lambda: self.now)
        self.inside = contextlib.ExitStack()
        self.places: list[contextlib.ExitStack] = []

    def ask(self, patience_s: float = 4.0) -> None:
        place = contextlib.ExitStack()
        place.enter_context(self.admission.place(patience_s))
        self.places.append(place)

    def ask_until_refused(self) -> Problem:
        while True:
            try:
                self.ask()
            except Problem as problem:
                return problem

    def come_back(self, count: int, between_s: float) -> None:
        for _ in range(count):
            self.now += between_s
            self.places.pop(0).close()


def warm(queue: Queue, between_s: float, count: int = 60) -> None:
    """Renders one after the other, so that the time between two is known."""
    for _ in range(count):
        queue.ask()
        queue.come_back(1, between_s)


@pytest.mark.parametrize("between_s", [0.02, 0.1, 1.0])
def test_as_many_are_admitted_as_come_back_in_time(between_s: float) -> None:
    queue = Queue()
    warm(queue, between_s)
    problem = queue.ask_until_refused()
    assert len(queue.places) == pytest.approx(4.0 / between_s, abs=1.5)
    assert problem.status_code == 429
    assert 4 <= int(problem.headers["retry-after"]) <= 6
    queue.come_back(2, between_s)
    queue.ask()


def test_the_bound_follows_faster_and_slower_renders() -> None:
    queue = Queue()
    warm(queue, 0.1)
    queue.ask_until_refused()
    for _ in range(60):  # twice as many replicas now
        queue.come_back(1, 0.05)
        with contextlib.suppress(Problem):
            queue.ask()
    queue.ask_until_refused()
    assert len(queue.places) == pytest.approx(80, abs=4)


def test_a_replica_that_dies_holds_things_up_once_and_no_more_than_that() -> None:
    queue = Queue()
    warm(queue, 0.1)
    for _ in range(10):
        queue.ask()
    queue.now += 30
    queue.come_back(10, 0.1)
    queue.ask_until_refused()
    assert len(queue.places) == pytest.approx(40, abs=1.5)


def test_clips_of_a_batch_come_back_together() -> None:
    queue = Queue()
    for _ in range(8):
        for _ in range(4):
            queue.ask()
        queue.come_back(1, 0.4)
        queue.come_back(3, 0.0)
    queue.ask_until_refused()
    assert 40 <= len(queue.places) <= 56  # ten a second, less the one slow batch that might have been a mishap


def test_a_pause_is_no_slowness() -> None:
    queue = Queue()
    warm(queue, 0.1)
    for _ in range(50):
        queue.now += 60
        queue.ask()
        queue.come_back(1, 0.1)
    queue.ask_until_refused()
    assert len(queue.places) == pytest.approx(40, abs=1.5)


def test_patience_is_the_askers_own_and_nothing_is_refused_before_anything_is_known() -> None:
    queue = Queue()
    for _ in range(100):
        queue.ask()
    queue.come_back(90, 0.1)
    for _ in range(90):
        queue.ask(patience_s=20.0)
    with pytest.raises(Problem):
        queue.ask(patience_s=4.0)
    queue.ask(patience_s=float("inf"))


def test_what_failed_or_was_given_up_leaves_its_place_and_says_nothing_of_the_speed() -> None:
    queue = Queue()
    warm(queue, 0.1)
    with pytest.raises(ValueError, match="broken"), queue.admission.place(4.0):
        queue.now += 100
        raise ValueError("broken")
    assert queue.admission.expected_wait_s == 0
    queue.ask_until_refused()
    assert len(queue.places) == pytest.approx(40, abs=1.5)
