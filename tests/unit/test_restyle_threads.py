"""Windows of a clip on a core each."""

from __future__ import annotations

import threading

import pytest
import torch

from trainables.generator.restyle.threads import side_by_side


def test_results_come_in_order_from_threads_on_which_torch_takes_no_others() -> None:
    """Both are under way at once, and threads that start later have as many cores as before."""
    before, together = torch.get_num_threads(), threading.Barrier(2, timeout=60)

    def work(place: int) -> tuple[int, int]:
        together.wait()
        return place, torch.get_num_threads()

    try:
        torch.set_num_threads(2)
        assert list(side_by_side(work, range(6), 2)) == [(place, 1) for place in range(6)]
        assert torch.get_num_threads() == 2
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert later == [2]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_has_not_begun_when_nobody_waits_any_more_is_not_done(threads: int) -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def work(place: int) -> int:
        begun.append(place)
        if place:
            go_on.wait(60)
        return place

    painted = side_by_side(work, range(50), threads)
    assert next(painted) == 0
    painted.close()
    go_on.set()
    assert list(side_by_side(lambda place: place, range(2), threads)) == [0, 1]  # the threads are free again
    assert len(begun) <= 1 + threads


def test_a_window_that_fails_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda place: 1 // place, range(3), 2))
