"""Adjusted p values: agreement with closed testing and the oracle, order, ends."""

from itertools import combinations

import numpy as np
import pytest

from simulated_predictions import rng
from xgrl import stats


def test_holm_is_the_closed_test_of_bonferroni():
    """Marcus, Peritz and Gabriel 1976: a hypothesis falls where every intersection with it does."""
    for seed in range(5):
        p = rng(seed).random(9) ** 3
        sets = [list(s) for k in range(1, 10) for s in combinations(range(9), k)]
        closed = [max(min(1, len(s) * p[s].min()) for s in sets if i in s) for i in range(9)]
        np.testing.assert_allclose(stats.holm(p), closed, atol=1e-14)


@pytest.mark.parametrize("adjust", [stats.holm, stats.benjamini_hochberg])
def test_adjusted_p_values_keep_order_and_never_shrink(adjust):
    p = rng(1).random(12)
    adjusted = adjust(p)
    assert (adjusted >= p).all() and (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    with pytest.raises(ValueError, match=r"need p values in \[0, 1\]"):
        adjust([0.2, 1.3])


def test_partial_conjunction_ends():
    p = np.array([0.001, 0.2, 0.04])
    found = stats.partial_conjunction(p)
    assert found.p[0] == pytest.approx(3 * p.min()) and found.p[-1] >= p.max() and found.k_hat == 1
    assert stats.partial_conjunction([0.001] * 4).k_hat == 4


@pytest.mark.oracle
def test_oracle_multiplicity(oracles):
    case = oracles["multiplicity_dror_example"]
    p, want = case["inputs"]["p"], case["expected"]
    np.testing.assert_allclose(stats.holm(p), want["holm"], atol=1e-12)
    np.testing.assert_allclose(stats.benjamini_hochberg(p), want["bh"], atol=1e-12)
    found = stats.partial_conjunction(p)
    np.testing.assert_allclose(found.p, want["pc_bonferroni_cummax"], atol=1e-12)
    assert found.k_hat == want["k_hat_bonferroni"]
    other = oracles["deepsig_bonferroni_is_wrong"]
    np.testing.assert_allclose(
        stats.holm(other["inputs"]["p"]), other["expected"]["holm"], atol=1e-10
    )
