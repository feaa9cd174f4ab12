"""Batches made ahead: the same ones in the same order, and a position that a checkpoint can trust."""

from __future__ import annotations

import threading

import pytest

from trainables.generator.prefetch import Batches
from trainables.generator.sampler import ShardSampler

CLIPS = list(range(7))


class Recorder:
    """`Updates` as far as batches go."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.made: list[tuple[int, ...]] = []
        self.fails_at, self.begun = fails_at, threading.Semaphore(0)

    def batch(self, clips, draws):
        if len(self.made) == self.fails_at:
            raise ValueError("clip 3 is damaged")
        self.made.append(tuple(clips[draw.clip] for draw in draws))
        self.begun.release()
        return self.made[-1]


def test_batches_are_those_of_the_sampler_in_order():
    plain = ShardSampler(len(CLIPS), seed=5, rank=1)
    expected = [tuple(draw.clip for draw in plain.next(3)) for _ in range(6)]
    with Batches(Recorder(), CLIPS, ShardSampler(len(CLIPS), seed=5, rank=1), 3, 6) as batches:
        assert [batches.next() for _ in range(6)] == expected
        with pytest.raises(IndexError, match="handed out"):
            batches.next()


def test_the_next_batch_is_made_before_it_is_asked_for_and_does_not_count_yet():
    """A checkpoint written between two steps must not skip the batch that is waiting."""
    updates = Recorder()
    with Batches(updates, CLIPS, ShardSampler(len(CLIPS), seed=0, rank=0, position=6), 2, 3) as batches:
        batches.next()
        assert updates.begun.acquire(timeout=10) and updates.begun.acquire(timeout=10)
        assert batches.position == 8
    again = ShardSampler(len(CLIPS), seed=0, rank=0, position=8)
    assert tuple(draw.clip for draw in again.next(2)) == updates.made[1]


def test_a_batch_that_cannot_be_made_fails_the_step_that_wants_it():
    with Batches(Recorder(fails_at=1), CLIPS, ShardSampler(len(CLIPS), seed=0, rank=0), 2, 3) as batches:
        batches.next()
        with pytest.raises(ValueError, match="clip 3 is damaged"):
            batches.next()
