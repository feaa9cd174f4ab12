import math

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from cluster.errors import InputError
from trainables.metrics.distances import (
    diversity,
    frechet_distance,
    kernel_distance,
    nearest_distances,
    precision_recall_density_coverage,
)
from trainables.metrics.motion import flicker_ratio, motion_magnitude


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_frechet_distance_of_equal_covariances_is_the_squared_shift_of_the_mean(rng):
    for count, features in ((500, 16), (20, 64)):  # more and fewer vectors than features
        real = rng.normal(size=(count, features))
        shift = rng.normal(size=features)
        assert frechet_distance(real, real + shift) == pytest.approx((shift**2).sum(), rel=1e-9)
        assert frechet_distance(real, real) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_scaled_sets_is_the_spread_of_deviations(rng):
    real = rng.normal(size=(4000, 3)) - 0.0
    real -= real.mean(0)
    expected = np.trace(np.cov(real.T)) * (2 - 1) ** 2
    assert frechet_distance(real, 2 * real) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_against_the_sum_written_out(rng):
    real, made = rng.normal(size=(5, 4)), rng.normal(size=(6, 4)) + 0.3

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (float(a @ b) / 4 + 1) ** 3

    within_real = np.mean([kernel(real[i], real[j]) for i in range(5) for j in range(5) if i != j])
    within_made = np.mean([kernel(made[i], made[j]) for i in range(6) for j in range(6) if i != j])
    between = np.mean([kernel(a, b) for a in real for b in made])
    assert kernel_distance(real, made) == pytest.approx(1000 * (within_real + within_made - 2 * between))


def test_kernel_distance_is_unbiased_at_any_size(rng):
    for count in (8, 64):
        values = [kernel_distance(rng.normal(size=(count, 32)), rng.normal(size=(count, 32))) for _ in range(300)]
        assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(len(values))
    assert kernel_distance(rng.normal(size=(64, 32)), rng.normal(size=(64, 32)) + 1) > 1000


def test_equal_distributions_have_density_one_and_coverage_one_minus_two_to_the_minus_k(rng):
    """Expected values of Naeem et al. 2020, section 3, at N = M."""
    found = [
        precision_recall_density_coverage(rng.normal(size=(300, 8)), rng.normal(size=(300, 8)), k=5) for _ in range(20)
    ]
    assert np.mean([item.density for item in found]) == pytest.approx(1, abs=0.02)
    assert np.mean([item.coverage for item in found]) == pytest.approx(1 - 2**-5, abs=0.01)
    assert np.mean([item.precision - item.recall for item in found]) == pytest.approx(0, abs=0.02)


def test_precision_recall_density_coverage_against_the_definitions_written_out(rng):
    real, made, k = rng.normal(size=(40, 6)), 0.7 * rng.normal(size=(50, 6)), 5
    between = pairwise_distances(real, made)
    real_reach = np.sort(pairwise_distances(real), 1)[:, k]
    made_reach = np.sort(pairwise_distances(made), 1)[:, k]
    found = precision_recall_density_coverage(real, made, k)
    assert found.precision == np.mean([any(between[i, j] < real_reach[i] for i in range(40)) for j in range(50)])
    assert found.recall == np.mean([any(between[i, j] < made_reach[j] for j in range(50)) for i in range(40)])
    assert found.density == pytest.approx(sum((between[i] < real_reach[i]).sum() for i in range(40)) / (k * 50))
    assert found.coverage == np.mean([any(between[i, j] < real_reach[i] for j in range(50)) for i in range(40)])


def test_a_collapsed_set_loses_recall_and_diversity_but_not_precision(rng):
    real = rng.normal(size=(100, 8))
    collapsed = real[:1] + 0.01 * rng.normal(size=(100, 8))
    found = precision_recall_density_coverage(real, collapsed)
    assert found.precision == 1.0
    assert found.recall == 0.01
    assert found.coverage < 0.2
    assert diversity(collapsed) < 0.02 * diversity(real)


def test_copies_are_at_distance_zero(rng):
    known = rng.normal(size=(30, 5))
    made = np.concatenate([known[[3, 7]], known[:1] + [3.0, 4.0, 0, 0, 0]])
    found = nearest_distances(made, np.concatenate([known, known + 100]))
    assert found[:2] == pytest.approx(0, abs=1e-6)
    assert 0 < found[2] <= 5


def test_diversity_of_a_known_triangle():
    assert diversity(np.array([[0, 0], [3, 0], [0, 4.0]])) == pytest.approx((3 + 4 + 5) / 3)


def test_sets_that_do_not_fit_are_refused(rng):
    with pytest.raises(InputError, match="equal F"):
        kernel_distance(rng.normal(size=(5, 3)), rng.normal(size=(5, 4)))
    with pytest.raises(InputError, match="k is 5"):
        precision_recall_density_coverage(rng.normal(size=(5, 3)), rng.normal(size=(9, 3)))


def test_motion_magnitude_and_flicker_ratio_of_known_clips():
    ramp = np.broadcast_to(np.arange(0, 40, 4, dtype=np.uint8)[:, None, None, None], (10, 8, 8, 3))
    assert motion_magnitude(ramp) == 4
    assert motion_magnitude(ramp[:1].repeat(4, 0)) == 0
    assert flicker_ratio(ramp, ramp) == 1
    assert flicker_ratio(ramp[:1].repeat(10, 0), ramp) == 0
    assert flicker_ratio(2 * ramp, ramp) == 2
