"""Sign flip, maxT over tasks, maxT over arms: exact cases, symmetries, levels."""

from __future__ import annotations

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


@pytest.mark.parametrize("blocks", [3, 8, 12])
def test_one_arm_alone_is_the_exact_sign_flip(blocks):
    Y = rng(blocks).normal([0.0, 0.7], 1, size=(blocks, 2))
    assert stats.max_t(Y)[0] == stats.sign_flip(Y[:, 1] - Y[:, 0])


def test_max_t_of_two_arms_agrees_with_every_relabelling_of_three_blocks():
    Y = rng(1).normal([0.0, 1.0, 2.0], 1, size=(3, 3))
    orders = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])

    def largest(table):
        D = table[:, 1:] - table[:, :1]
        return (np.abs(D.sum(0)) / np.sqrt((D**2).sum(0))).max()

    # 216 relabellings
    every = [
        largest(np.stack([Y[0, a], Y[1, b], Y[2, c]]))
        for a in orders
        for b in orders
        for c in orders
    ]
    exact = np.mean(np.array(every) >= largest(Y) - 1e-12)
    assert stats.max_t(Y, draws=20_000, seed=1).min() == pytest.approx(
        exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000)
    )


def test_max_t_keeps_the_order_of_its_columns_and_ignores_a_shift_of_whole_blocks():
    Y = rng(2).normal([0.0, 0.1, 1.5, 0.6], 1, size=(9, 4))
    p = stats.max_t(Y, seed=3)
    assert p[1] == p.min() and (p > 0).all() and (p <= 1).all()
    swapped = stats.max_t(Y[:, [0, 3, 2, 1]], seed=4)
    np.testing.assert_allclose(swapped, p[[2, 1, 0]], atol=0.02)
    np.testing.assert_allclose(
        stats.max_t(Y + 50 * rng(5).normal(size=(9, 1)), seed=3), p, atol=0.02
    )


def test_max_t_of_arms_that_never_differ_is_one_and_nonsense_is_refused():
    assert stats.max_t(np.tile(rng(1).normal(size=(6, 1)), 4)).tolist() == [1.0, 1.0, 1.0]
    for bad in (np.ones((4, 1)), np.ones(4), np.full((4, 3), np.nan)):
        with pytest.raises(ValueError, match="max_t"):
            stats.max_t(bad)


@pytest.mark.parametrize("moved", [0.0, 3.0])
def test_max_t_keeps_the_family_wise_error_of_arms_that_do_nothing(moved):
    g, wrong, studies = rng(7), 0, 400
    for _ in range(studies):
        Y = 2 * g.normal(size=(10, 1)) + g.normal(size=(10, 5))
        Y[:, 1] += moved
        wrong += (stats.max_t(Y, draws=199, seed=g)[1 if moved else 0 :] <= 0.05).any()
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
