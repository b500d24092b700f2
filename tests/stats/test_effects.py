"""Effect sizes: ends, mirrors, oracles."""

import math

import numpy as np
import pytest

from simulated_predictions import rng
from xgrl import stats


def test_effect_sizes_mirror_and_count_ties_half():
    m = np.array([1.0, -0.5, 0.0, 2.0, 0.7])
    one, other = stats.effect_sizes(m), stats.effect_sizes(-m)
    assert (other.points, other.dz, other.hedges) == pytest.approx(
        (-one.points, -one.dz, -one.hedges)
    )
    assert one.p_improve == 0.7 and other.p_improve == pytest.approx(0.3)
    assert other.p_improve_interval == pytest.approx(
        tuple(1 - x for x in one.p_improve_interval[::-1])
    )
    assert math.isnan(stats.effect_sizes([0.1, 0.1, 0.1]).dz)


def test_violation_ratio_ends_and_mirrors():
    assert stats.violation_ratio([3, 4, 5], [1, 2, 3]) == 0
    assert stats.violation_ratio([1, 2], [3, 4]) == 1
    a, b = rng(1).normal(size=9), rng(2).normal(size=9)
    assert stats.violation_ratio(a, b) == pytest.approx(1 - stats.violation_ratio(b, a))
    assert stats.violation_ratio(a, a) == 0.5
    with pytest.raises(ValueError, match="as many of either arm"):
        stats.violation_ratio([1.0], [1.0, 2.0])


def test_expected_best_runs_from_mean_to_largest():
    v = rng(3).normal(size=7)
    assert stats.expected_best(v, 1) == pytest.approx(v.mean())
    assert stats.expected_best(v, 7) == pytest.approx(v.max())
    pairs = [max(v[i], v[j]) for i in range(7) for j in range(i)]
    assert stats.expected_best(v, 2) == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="need 1 <= k <= 7"):
        stats.expected_best(v, 8)


@pytest.mark.oracle
def test_oracle_almost_stochastic_order(oracles):
    case = oracles["aso"]
    found = stats.violation_ratio(case["inputs"]["a"], case["inputs"]["b"])
    assert found == pytest.approx(case["expected"]["violation_ratio_exact_equal_n"], abs=1e-12)


@pytest.mark.oracle
def test_oracle_expected_best_of_k(oracles):
    case = oracles["expected_max_validation"]
    for k, want in case["expected"]["unbiased_without_replacement"].items():
        found = stats.expected_best(case["inputs"]["v"], int(k))
        assert found == pytest.approx(want, abs=1e-12)


@pytest.mark.oracle
def test_oracle_iqm(oracles):
    case = oracles["iqm"]
    assert stats.iqm(case["inputs"]["scores"]) == pytest.approx(case["expected"]["iqm"], abs=1e-12)
