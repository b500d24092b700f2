"""Sign flip, and maxT over tasks or arms: exact cases, symmetries, levels."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from simulated_predictions import rng
from xgrl import stats


def test_sign_flip_enumerates_like_scipy():
    m = rng(1).normal(0.4, 1, size=9)
    reference = scipy_stats.permutation_test(
        (m,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert stats.sign_flip(m) == pytest.approx(reference.pvalue, abs=1e-12)


def test_sign_flip_is_symmetric_and_ignores_order_and_unit():
    m = rng(2).normal(0.5, 1, size=12)
    p = stats.sign_flip(m)
    assert stats.sign_flip(-m) == p
    assert stats.sign_flip(m[::-1]) == pytest.approx(p, abs=1e-12)
    assert stats.sign_flip(m / 100) == pytest.approx(p, abs=1e-12)


@pytest.mark.parametrize("blocks", [1, 2, 5, 6, 8, 12, 20])
def test_sign_flip_is_never_below_its_smallest_value(blocks):
    assert stats.sign_flip(np.full(blocks, 0.1)) == 2 / 2**blocks


def test_sign_flip_counts_ties_in_spite_of_rounding():
    # tenths are not exact in binary, their integers are
    m = np.array([0.1, 0.2, 0.3, 0.4, -0.3, 0.7])
    assert stats.sign_flip(m) == stats.sign_flip(np.round(10 * m))
    assert stats.sign_flip([0.1, 0.2, -0.3]) == 1.0


def test_sign_flip_by_draws_agrees_with_enumeration_and_is_never_zero():
    # a zero block changes nothing but the method
    m = np.concatenate([rng(3).normal(0.35, 1, size=20), [0.0]])
    assert stats.sign_flip(m, seed=5) == pytest.approx(stats.sign_flip(m[:20]), abs=5e-3)
    assert stats.sign_flip(m, seed=5) == stats.sign_flip(m, seed=5)
    assert stats.sign_flip(np.ones(40)) == 1e-5


def test_westfall_young_with_copies_of_one_hypothesis_is_the_raw_p():
    m = rng(4).normal(0.6, 1, size=10)
    M = np.column_stack([m, 3 * m, -m])
    np.testing.assert_allclose(stats.westfall_young(M), stats.sign_flip(m), atol=1e-12)


def test_westfall_young_lies_between_raw_and_bonferroni_and_keeps_column_order():
    M = rng(5).normal([0.0, 0.9, 0.4, 0.2], 1, size=(9, 4))
    adjusted, raw = stats.westfall_young(M), np.array([stats.sign_flip(m) for m in M.T])
    assert (adjusted >= raw - 1e-12).all() and (adjusted <= np.minimum(1, 4 * raw) + 1e-12).all()
    np.testing.assert_allclose(stats.westfall_young(M[:, ::-1]), adjusted[::-1], atol=1e-12)
    assert stats.westfall_young(np.zeros((8, 2))).tolist() == [1.0, 1.0]


def test_arms_against_one_baseline_are_held_against_every_sign_vector_of_four_blocks():
    M = rng(6).normal([0.0, 1.0, 2.0], [1.0, 2.0, 3.0], size=(4, 3))  # of unequal spread
    signs = np.array(np.meshgrid(*[[1, -1]] * 4)).reshape(4, -1).T
    flipped = [(s[:, None] * M).mean(0) / (s[:, None] * M).std(0, ddof=1) for s in signs]
    t = np.abs(np.array(flipped))  # (16, 3), the identity first
    order = np.argsort(-t[0])
    step = [np.mean(t[:, order[k:]].max(1) >= t[0, order[k]] - 1e-12) for k in range(3)]
    want = np.maximum.accumulate(step)
    np.testing.assert_allclose(stats.westfall_young(M)[order], want, atol=1e-12)


@pytest.mark.parametrize("widest", [1.0, 3.0])
@pytest.mark.parametrize("moved", [0, 1])
def test_arms_that_do_nothing_keep_their_family_wise_error_whatever_their_variances(widest, moved):
    g, wrong, studies = rng(7), 0, 400
    for _ in range(studies):
        D = np.linspace(1, widest, 8) * g.normal(size=(10, 8)) - g.normal(size=(10, 1))
        D[:, :moved] += 20.0
        wrong += (stats.westfall_young(D)[moved:] <= 0.05).any()
    assert wrong / studies <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)


@pytest.mark.oracle
def test_oracle_sign_flip(oracles):
    case = oracles["signflip_exact"]
    for name in ("d5", "d8"):
        assert stats.sign_flip(case["inputs"][name]) == pytest.approx(
            case["expected"][f"{name}_two-sided"], abs=1e-12
        )
    for blocks, p in case["expected"]["min_two_sided_p"].items():
        assert stats.sign_flip(np.arange(1, int(blocks) + 1)) == pytest.approx(p, abs=1e-12)


@pytest.mark.oracle
def test_oracle_westfall_young(oracles):
    case = oracles["westfall_young_maxT"]
    M, want = np.array(case["inputs"]["D_block_by_task"]), case["expected"]
    np.testing.assert_allclose(stats.westfall_young(M), want["step_down"], atol=1e-12)
    raw = [stats.sign_flip(m) for m in M.T]
    np.testing.assert_allclose(raw, want["raw_p"], atol=1e-12)
    np.testing.assert_allclose(stats.holm(raw), want["holm_of_raw"], atol=1e-12)
