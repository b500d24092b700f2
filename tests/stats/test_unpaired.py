"""Standard minus none: unpaired in runs, crossed in items."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from simulated_predictions import rng
from xgrl import stats


def tables(seed=1, runs=(6, 4), items=30, spread=(1.0, 1.0), item=3.0):
    """X (B, n) and Y (K, n) with item effects of each arm and difficulties that they share."""
    g, difficulty = rng(seed), 20 * rng(seed + 99).normal(size=items)
    return [
        difficulty
        + item * g.normal(size=items)
        + sd * g.normal(size=(count, 1))
        + 5 * g.normal(size=(count, items))
        for count, sd in zip(runs, spread, strict=True)
    ]


def test_where_items_give_no_variance_it_is_welch_s_test():
    # the same scores on every item: nothing but runs varies
    x, y = rng(2).normal(1, 2, size=7), rng(3).normal(0, 1, size=4)
    X, Y = (np.repeat(side[:, None], 5, axis=1) for side in (x, y))
    found, welch = (
        stats.unpaired_tasks([X], [Y], [1.0]),
        scipy_stats.ttest_ind(x, y, equal_var=False),
    )
    low, high = welch.confidence_interval()
    assert (found.p, found.df) == pytest.approx((welch.pvalue, welch.df))
    assert found.interval == pytest.approx((low, high))


def test_where_runs_do_not_vary_it_is_the_paired_t_test_over_items():
    x, y = rng(4).normal(1, 2, size=40), rng(5).normal(0, 2, size=40)
    found = stats.unpaired_tasks([np.tile(x, (5, 1))], [x[None] - y], [1.0])  # one run of none
    paired = scipy_stats.ttest_1samp(y, 0)
    assert (found.mean, found.p, found.df) == pytest.approx((y.mean(), paired.pvalue, 39))


def test_the_variance_is_the_formula_s():
    (X, Y), n = tables(), 30
    d = X.mean(0) - Y.mean(0)
    left = [t - t.mean(1, keepdims=True) - t.mean(0) + t.mean() for t in (X, Y)]
    ms = [(t**2).sum() / ((len(t) - 1) * (n - 1)) for t in left]
    runs = X.mean(1).var(ddof=1) / 6 + Y.mean(1).var(ddof=1) / 4
    assert (item := d.var(ddof=1) - ms[0] / 6 - ms[1] / 4) > 0
    found = stats.unpaired_tasks([X], [Y], [1.0])
    assert found.se**2 == pytest.approx(runs + item / n) and found.mean == pytest.approx(d.mean())


def test_what_both_arms_share_of_an_item_changes_nothing_nor_does_the_order_of_runs():
    X, Y = tables()
    shared = 50 * rng(8).normal(size=30)
    want = stats.unpaired_tasks([X], [Y], [1.0])
    moved = stats.unpaired_tasks([X[::-1] + shared], [Y[[2, 0, 3, 1]] + shared], [1.0])
    assert (moved.mean, moved.se, moved.df) == pytest.approx((want.mean, want.se, want.df))
    other = stats.unpaired_tasks([Y], [X], [1.0])
    assert (other.mean, other.se, other.p) == pytest.approx((-want.mean, want.se, want.p))


def test_fixed_differences_between_intermediate_tasks_are_no_noise():
    X, Y = tables()
    strata, apart = [0, 0, 0, 1, 1, 1], np.repeat([40.0, -40.0], 3)[:, None]
    each = 30 * rng(9).normal(size=30)  # an item may be harder after one of them
    each -= each.mean()
    split = np.where(np.arange(6)[:, None] < 3, each, -each)
    want = stats.unpaired_tasks([X], [Y], [1.0], strata)
    found = stats.unpaired_tasks([X + apart + split], [Y], [1.0], strata)
    assert (found.mean, found.se, found.df) == pytest.approx((want.mean, want.se, want.df))
    assert found.se < stats.unpaired_tasks([X + apart], [Y], [1.0]).se


def test_several_tasks_are_weighted_and_one_run_of_none_stands_for_all():
    X, Y = tables()
    more, less = tables(seed=3, items=50)
    both = stats.unpaired_tasks([X, more], [Y, less], [0.25, 0.75])
    assert both.mean == pytest.approx(
        0.25 * (X.mean() - Y.mean()) + 0.75 * (more.mean() - less.mean())
    )
    one, copies = less[:1], np.repeat(less[:1], 4, axis=0)
    lone, same = (stats.unpaired_tasks([X, more], [Y, own], [0.5, 0.5]) for own in (one, copies))
    assert (lone.mean, lone.se, lone.df) == pytest.approx((same.mean, same.se, same.df))


def test_what_does_not_fit_is_refused():
    X, Y = tables()
    with pytest.raises(ValueError, match="the same items"):
        stats.unpaired_tasks([X], [Y[:, 1:]], [1.0])
    holes = np.full_like(Y, math.nan)
    with pytest.raises(ValueError, match="found nan"):
        stats.unpaired_tasks([X], [holes], [1.0])
    with pytest.raises(ValueError, match="equal strata"):
        stats.unpaired_tasks([X], [Y], [1.0], [0, 0, 0, 0, 1, 1])
    with pytest.raises(stats.ZeroVariance):
        stats.unpaired_tasks([np.ones((3, 4))], [np.zeros((2, 4))], [1.0])


@pytest.mark.simulation
@pytest.mark.parametrize("spread", [(1.0, 1.0), (1.0, 3.0), (3.0, 1.0)])
@pytest.mark.parametrize("runs", [(12, 8), (12, 4), (4, 4)])
def test_it_keeps_its_level_with_few_seeds_of_none(runs, spread):
    g, studies = rng(11), 1500
    wrong = 0
    for _ in range(studies):
        X, Y = (
            4 * g.normal(size=40) + sd * g.normal(size=(count, 1)) + 9 * g.normal(size=(count, 40))
            for count, sd in zip(runs, spread, strict=True)
        )
        wrong += stats.unpaired_tasks([X], [Y], [1.0]).p <= 0.05
    error = math.sqrt(0.05 * 0.95 / studies)
    assert 0.035 - 3 * error < wrong / studies < 0.065 + 3 * error
