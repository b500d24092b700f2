"""Runs crossed with items: special cases, symmetries, variance components, strata."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from simulated_predictions import differences, rng
from xgrl import stats


def test_crossed_is_the_paired_t_test_when_items_do_not_vary():
    m = rng(6).normal(0.3, 1, size=8)
    found, t = stats.crossed(np.tile(m[:, None], (1, 30))), scipy_stats.ttest_1samp(m, 0)
    interval = t.confidence_interval(0.95)
    assert (found.mean, found.df, found.p) == pytest.approx((m.mean(), 7, t.pvalue))
    assert found.interval == pytest.approx((interval.low, interval.high))


def test_crossed_is_the_item_t_test_when_blocks_agree():
    c = rng(7).normal(0.3, 1, size=40)
    found, t = stats.crossed(np.tile(c, (5, 1))), scipy_stats.ttest_1samp(c, 0)
    assert (found.df, found.p) == pytest.approx((39, t.pvalue))


def test_crossed_symmetries():
    D = differences(6, 50, shift=2.0)
    found, mirrored = stats.crossed(D), stats.crossed(-D)
    shuffled = stats.crossed(D[rng(1).permutation(6)][:, rng(2).permutation(50)])
    assert mirrored.p == found.p
    assert mirrored.interval == pytest.approx(tuple(-x for x in found.interval[::-1]))
    assert (shuffled.se, shuffled.df, shuffled.p) == pytest.approx((found.se, found.df, found.p))
    assert found.df >= 5


def test_crossed_recovers_variance_components():
    parts = [
        stats.crossed(differences(20, 200, 2.0, 4.0, 10.0, seed=s)).components for s in range(40)
    ]
    means = pd.DataFrame(parts).mean()
    assert means["block"] == pytest.approx(4, rel=0.2)
    assert means["item"] == pytest.approx(16, rel=0.1)
    assert means["residual"] == pytest.approx(100, rel=0.02)


def test_crossed_p_never_underflows_to_zero():
    assert stats.crossed(differences(12, 2000, 1e-3, 1e-3, 1e-3, shift=100.0)).p > 0


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7])
def test_crossed_without_variance_is_an_error(value):
    with pytest.raises(stats.ZeroVariance, match="no spread"):
        stats.crossed(np.full((4, 9), value))


@pytest.mark.parametrize("shape", [(1, 9), (4, 1), (0, 4)])
def test_crossed_needs_two_blocks_and_two_items(shape):
    with pytest.raises(ValueError, match="need 2 axes of length 2"):
        stats.crossed(np.ones(shape))


def test_crossed_tasks_of_one_task_is_crossed():
    for seed in range(5):
        # small: some of these are truncated
        D = differences(5, 8, block=0.0, item=1.0, residual=5.0, seed=seed)
        one, whole = stats.crossed_tasks([D], [1.0]), stats.crossed(D)
        assert (one.mean, one.se, one.df, one.p) == pytest.approx(
            (whole.mean, whole.se, whole.df, whole.p)
        )


def test_crossed_tasks_adds_up_its_terms():
    D, w, strata = (
        [differences(6, 40, seed=1), differences(6, 90, item=15.0, seed=2)],
        [0.3, 0.7],
        ["a", "b"] * 3,
    )
    m = 0.3 * D[0].mean(1) + 0.7 * D[1].mean(1)
    ms = [stats.crossed(d) for d in D]
    items = sum(
        v**2 * max(0, s.ms_item - s.ms_residual) / d.size for v, s, d in zip(w, ms, D, strict=True)
    )
    plain, split = stats.crossed_tasks(D, w), stats.crossed_tasks(D, w, strata)
    assert plain.se**2 == pytest.approx(m.var(ddof=1) / 6 + items)
    assert split.se**2 == pytest.approx(
        (m[::2].var(ddof=1) + m[1::2].var(ddof=1)) / (2**2 * 3) + items
    )
    assert plain.mean == split.mean == pytest.approx(m.mean())
    assert plain.df >= 5 and split.df >= 4


def test_strata_take_out_fixed_differences_between_intermediate_tasks():
    D, strata = differences(12, 60, seed=3), np.repeat(["a", "b"], 6)
    moved = D + np.where(strata == "a", 30.0, -30.0)[:, None]
    assert stats.crossed_tasks([moved], [1.0], strata).se == pytest.approx(
        stats.crossed_tasks([D], [1.0], strata).se
    )
    assert stats.crossed_tasks([moved], [1.0]).se > 5 * stats.crossed_tasks([D], [1.0]).se


@pytest.mark.parametrize("strata", [["a", "a", "a", "b"], ["a", "b", "c", "d"], ["a", "a", "b"]])
def test_unequal_or_single_strata_are_refused(strata):
    with pytest.raises(ValueError, match="need equal strata"):
        stats.crossed_tasks([differences(4, 9)], [1.0], strata)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "name", ["crossed_ci_positive", "crossed_ci_truncated", "crossed_ci_larger"]
)
def test_oracle_crossed(oracles, name):
    inputs, want = oracles[name]["inputs"], oracles[name]["expected"]
    D = np.array(inputs["D_seed_by_item"], float)
    found = stats.crossed(D)
    got = {
        "mean": found.mean,
        "MS_seed": found.ms_block,
        "MS_item": found.ms_item,
        "MS_resid": found.ms_residual,
        "var_seed_hat": found.components["block"],
        "var_item_hat": found.components["item"],
        "var_resid_hat": found.components["residual"],
        "SE": found.se,
        "df": found.df,
        "p": found.p,
        "t": found.mean / found.se,
        "tost_p": stats.tost(found.mean, found.se, found.df, inputs["tost_margin"]),
    }
    assert got == pytest.approx({key: want[key] for key in got}, abs=1e-9)
    assert found.interval == pytest.approx(tuple(want["ci95"]), abs=1e-9)
    assert stats.crossed(D, level=0.9).interval == pytest.approx(tuple(want["ci90"]), abs=1e-9)
