"""A render that would wait too long is refused at once, whatever the clips and however many replicas render them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from serving.admission import Admission
from serving.problems import Problem
from serving.render_queue import Served


class Queue:
    """Renders come back `between_s` seconds apart, in order, from so many replicas."""

    def __init__(self, replicas: int = 1) -> None:
        self.now = 0.0
        self.replicas = replicas
        self.admission = Admission(lambda: self.now)
        self.places: list[tuple[contextlib.ExitStack, Callable[[float], None]]] = []

    def ask(self, patience_s: float = 4.0) -> None:
        place = contextlib.ExitStack()
        came_back = place.enter_context(self.admission.place(patience_s))
        self.places.append((place, came_back))

    def ask_until_refused(self) -> Problem:
        while True:
            try:
                self.ask()
            except Problem as problem:
                return problem

    def come_back(self, count: int, between_s: float) -> None:
        for _ in range(count):
            self.now += between_s
            waited = len(self.places) > self.replicas
            place, came_back = self.places.pop(0)
            took_s = between_s * min(self.replicas, len(self.places) + 1)
            came_back(Served(b"", took_s=took_s, waited_s=took_s if waited else 0.0, batch=1))
            place.close()


def warm(queue: Queue, between_s: float, count: int = 60) -> None:
    """One more under way than there are replicas, so that the time between two is known."""
    for _ in range(count):
        while len(queue.places) <= queue.replicas:
            queue.ask()
        queue.come_back(1, between_s)
    queue.come_back(len(queue.places), between_s)


@pytest.mark.parametrize("between_s", [0.02, 0.1, 1.0])
def test_as_many_are_admitted_as_come_back_in_time(between_s: float) -> None:
    queue = Queue()
    warm(queue, between_s)
    problem = queue.ask_until_refused()
    assert len(queue.places) == pytest.approx(4.0 / between_s + 1, abs=1.5)
    assert problem.status_code == 429
    assert 4 <= int(problem.headers["retry-after"]) <= 6
    queue.come_back(2, between_s)
    queue.ask()


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_a_render_that_finds_a_replica_free_is_never_refused(replicas: int) -> None:
    """Each takes ten seconds, longer than anybody is ready to wait."""
    queue = Queue(replicas)
    for _ in range(30):  # one after the other, as if there were one replica
        queue.ask()
        queue.come_back(1, 10.0)
    while len(queue.places) < replicas:
        queue.ask()
    warm(queue, 10.0 / replicas)
    while len(queue.places) < replicas:
        queue.ask()
    queue.ask_until_refused()
    assert len(queue.places) <= 2 * replicas


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
    assert len(queue.places) == pytest.approx(41, abs=1.5)


def test_clips_of_a_batch_come_back_together() -> None:
    queue = Queue()
    batch_of_four = Served(b"", took_s=0.4, waited_s=0.4, batch=4)
    for _ in range(8):
        while len(queue.places) < 8:
            queue.ask()
        queue.now += 0.4
        for _ in range(4):
            place, came_back = queue.places.pop(0)
            came_back(batch_of_four)
            place.close()
    queue.ask_until_refused()
    assert 44 <= len(queue.places) <= 56  # ten a second, less the one slow batch that might have been a mishap


def test_a_pause_is_no_slowness() -> None:
    queue = Queue()
    warm(queue, 0.1)
    for _ in range(50):
        queue.now += 60
        queue.ask()
        queue.come_back(1, 0.1)
    queue.ask_until_refused()
    assert len(queue.places) == pytest.approx(41, abs=1.5)


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
    assert len(queue.places) == pytest.approx(41, abs=1.5)
