"""Measures of impressions against values counted by hand or by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.metrics import impressions as measures


def test_auc_counts_ties_half() -> None:
    assert measures.auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])) == pytest.approx(0.75)
    assert measures.auc(np.array([0, 1]), np.array([0.5, 0.5])) == 0.5
    assert np.isnan(measures.auc(np.ones(3), np.arange(3)))


def test_gauc_is_the_impression_weighted_mean_over_viewers_with_both_outcomes() -> None:
    viewer = np.array([1, 1, 2, 2, 2, 3, 3])
    happened = np.array([1, 0, 1, 0, 0, 1, 1])
    score = np.array([0.9, 0.1, 0.5, 0.5, 0.9, 0.1, 0.2])
    # viewer 1: 1.0 on 2 rows; viewer 2: 0.25 on 3 rows; viewer 3 has one outcome only.
    assert measures.gauc(viewer, happened, score) == pytest.approx((2 * 1.0 + 3 * 0.25) / 5)
    assert np.isnan(measures.gauc(viewer[5:], happened[5:], score[5:]))


def test_log_loss_of_even_chances_is_log_two() -> None:
    assert measures.log_loss(np.array([0, 1]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))


def test_calibration_error_is_the_gap_where_all_share_a_bin() -> None:
    assert measures.expected_calibration_error(np.array([1, 0, 0, 0]), np.full(4, 0.45)) == pytest.approx(0.2)
    assert measures.expected_calibration_error(np.array([1, 0]), np.full(2, 0.5)) == pytest.approx(0.0)


def test_xauc_equals_a_loop_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    for size in (2, 5, 64, 101):
        seen, said = rng.integers(0, 6, size).astype(float), rng.integers(0, 8, size).astype(float)
        first, second = np.triu_indices(size, 1)
        unequal = seen[first] != seen[second]
        if not unequal.any():
            continue
        agree = np.sign(seen[first] - seen[second]) * np.sign(said[first] - said[second])
        assert measures.xauc(seen, said) == pytest.approx(((agree[unequal] + 1) / 2).mean())
    assert np.isnan(measures.xauc(np.ones(4), np.arange(4.0)))


def test_mean_absolute_error() -> None:
    assert measures.mean_absolute_error(np.array([0.0, 4.0]), np.array([1.0, 1.0])) == 2.0
