"""The t interval and the exact binomial interval against scipy."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from simulated_predictions import rng
from xgrl import stats


def test_exact_binomial_agrees_with_scipy():
    for k, n, level in [(0, 7, 0.95), (7, 7, 0.9), (3, 11, 0.99)]:
        reference = scipy_stats.binomtest(k, n).proportion_ci(level, method="exact")
        assert stats.exact_binomial(k, n, level) == pytest.approx((reference.low, reference.high))
    with pytest.raises(ValueError, match="8 of 7"):
        stats.exact_binomial(8, 7)


def test_t_interval_is_that_of_the_one_sample_t_test_for_every_row():
    values = rng(9).normal(3, 2, size=(4, 5, 11))
    reference = scipy_stats.ttest_1samp(values, 0, axis=-1).confidence_interval(0.9)
    mean, low, high = stats.t_interval(values, 0.9)
    np.testing.assert_allclose(mean, values.mean(-1), rtol=1e-14)
    np.testing.assert_allclose((low, high), (reference.low, reference.high), rtol=1e-12)
    half = stats.t_half_width(values[0, 0].std(ddof=1) / math.sqrt(11), 10, 0.9)
    assert stats.t_interval(values[0, 0], 0.9)[2] == pytest.approx(mean[0, 0] + half)


def test_t_interval_leaves_out_what_is_missing_and_says_nothing_from_one_value():
    full = rng(10).normal(size=7)
    holed = np.insert(full, [0, 3], np.nan)
    assert stats.t_interval(holed) == pytest.approx(stats.t_interval(full), rel=1e-14)
    rows = stats.t_interval([[1.5, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(rows, [[1.5, np.nan], [np.nan] * 2, [np.nan] * 2])


@pytest.mark.oracle
def test_oracle_clopper_pearson(oracles):
    for share, interval in oracles["p_a_gt_b"]["expected"]["clopper_pearson95"].items():
        k, n = map(int, share.split("/"))
        assert stats.exact_binomial(k, n, 0.95) == pytest.approx(tuple(interval), abs=1e-9)
        m = np.where(np.arange(n) < k, 1.0, -1.0) + np.linspace(0, 0.1, n)
        assert stats.effect_sizes(m).p_improve_interval == pytest.approx(tuple(interval), abs=1e-9)
