"""Counters know the strict past and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.recommender.ranking.counters import REMEMBERED_HALF_LIVES, AsOfCounter, DecayedCounter, joint_key


@pytest.fixture
def events() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.integers(0, 9, 400), rng.integers(0, 1000, 400), rng.normal(size=(400, 2))


def asked(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(-1, 11, 200), rng.integers(-50, 1100, 200)


def test_sums_equal_a_naive_loop_over_strictly_earlier_events(events) -> None:
    key, at, values = events
    rows, moments = asked(np.random.default_rng(4))
    found = AsOfCounter(key, at, values).before(rows, moments)
    for row, moment, sums in zip(rows, moments, found, strict=True):
        earlier = (key == row) & (at < moment)
        np.testing.assert_allclose(sums, [earlier.sum(), *values[earlier].sum(axis=0)], atol=1e-9)


def test_decayed_sums_equal_a_naive_loop(events) -> None:
    key, at, values = events
    rows, moments = asked(np.random.default_rng(5))
    half_life = 12.0
    found = DecayedCounter(key, at, values, half_life).before(rows, moments)
    for row, moment, sums in zip(rows, moments, found, strict=True):
        earlier = (key == row) & (at < moment)
        weight = np.exp2(-(moment - at[earlier]) / half_life)
        exact = np.r_[weight.sum(), weight @ values[earlier]]
        forgotten = 2.0**-REMEMBERED_HALF_LIVES * 20
        np.testing.assert_allclose(sums, exact, atol=forgotten)


def test_decay_neither_overflows_nor_forgets_within_ten_thousand_half_lives() -> None:
    at = np.array([0, 9_999, 10_000])
    found = DecayedCounter(np.zeros(3, int), at, np.ones((3, 1)), 1.0).before(
        np.zeros(3, int), np.array([1, 10_000, 10_001])
    )
    np.testing.assert_allclose(found[:, 0], [0.5, 0.5, 0.75])


def test_the_latest_event_is_the_last_one_strictly_before() -> None:
    counter = AsOfCounter(np.array([1, 1, 2]), np.array([30, 10, 20]))
    assert counter.latest(np.array([1, 1, 1, 2, 3]), np.array([10, 11, 31, 21, 99])).tolist() == [-1, 1, 0, 2, -1]
    assert counter.latest(np.array([1, 1]), np.array([31, 11]), back=2).tolist() == [1, -1]


def test_counts_between_two_moments_include_the_first_and_not_the_second() -> None:
    counter = AsOfCounter(np.zeros(3, int), np.array([10, 20, 30]))
    assert counter.count_between(np.zeros(2, int), np.array([10, 11]), np.array([30, 31])).tolist() == [2, 2]


def test_one_event_at_a_broken_clock_s_zero_leaves_the_sums_of_all_others_right() -> None:
    """Hundreds of thousands of keys times two thousand years of milliseconds are more than an int64 holds."""
    year_1, now = -62_135_596_800_000, 1_714_557_600_000
    key = np.arange(200_000)
    at = np.where(key == 0, year_1, now)
    for counter in (AsOfCounter(key, at), DecayedCounter(key, at, np.ones((len(key), 1)), 86_400_000.0)):
        assert counter.before(key[1:], np.full(len(key) - 1, now + 1))[:, 0] == pytest.approx(1.0)


def test_without_events_everything_is_zero() -> None:
    empty = np.empty(0, np.int64)
    counter = AsOfCounter(empty, empty, np.empty((0, 2)))
    assert counter.before(np.array([1]), np.array([5])).tolist() == [[0, 0, 0]]
    assert DecayedCounter(empty, empty, np.empty((0, 1)), 5.0).before(np.array([1]), np.array([5])).tolist() == [[0, 0]]


def test_joint_keys_tell_pairs_apart() -> None:
    first, second = (part.ravel() for part in np.meshgrid(np.arange(-1, 50), np.arange(-1, 50)))
    assert len(np.unique(joint_key(first, second))) == len(first)
