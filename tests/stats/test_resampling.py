"""Jackknife and pigeonhole bootstrap: special cases, agreement with each other and crossed."""

import math

import numpy as np
import pytest

from simulated_predictions import differences, rng
from xgrl import stats


def test_jackknife_of_a_mean_is_the_items_themselves():
    scores = rng(1).random(30)
    counts = np.column_stack([scores, np.ones(30)])
    np.testing.assert_allclose(stats.jackknife(lambda s: s[..., 0] / s[..., 1], counts), scores)


def test_jackknife_variance_of_f1_agrees_with_a_bootstrap():
    g = rng(2)
    gold, said = g.random(600) < 0.4, g.random(600) < 0.35
    counts = np.column_stack([gold & said, ~gold & said, gold & ~said]).astype(float)

    def f1(s):
        return 200 * s[..., 0] / (2 * s[..., 0] + s[..., 1] + s[..., 2])

    pseudo = stats.jackknife(f1, counts)
    drawn = f1(counts[g.integers(0, 600, (2000, 600))].sum(1))
    assert pseudo.std(ddof=1) / math.sqrt(600) == pytest.approx(drawn.std(), rel=0.1)
    with pytest.raises(ValueError, match="pseudo-values"), np.errstate(all="ignore"):
        stats.jackknife(f1, np.eye(3)[:2] * [1, 0, 0])  # without its one count the metric is 0/0


def test_bootstrap_agrees_with_crossed_where_blocks_dominate():
    D = [differences(12, 50, block=5.0, item=0.5, residual=0.5, seed=s) for s in (1, 2)]
    boot = stats.bootstrap(D, [0.5, 0.5], draws=4000, seed=1)
    found = stats.crossed_tasks(D, [0.5, 0.5])
    # plug-in: B, not B - 1
    assert boot.se == pytest.approx(found.se * math.sqrt(11 / 12), rel=0.06)
    assert boot.draws.mean() == pytest.approx(found.mean, abs=4 * found.se / math.sqrt(4000))


def test_bootstrap_keeps_strata_apart_and_repeats_itself():
    D, strata = differences(6, 30, block=0.1, item=0.1, residual=0.1), np.repeat(["a", "b"], 3)
    D[3:] += 50
    assert (
        stats.bootstrap([D], [1.0], strata, draws=500).se
        < 1
        < stats.bootstrap([D], [1.0], draws=500).se
    )
    assert (
        stats.bootstrap([D], [1.0], draws=50, seed=3).interval
        == stats.bootstrap([D], [1.0], draws=50, seed=3).interval
    )


def test_bootstrap_standard_error_in_closed_form_is_that_of_its_draws():
    D, strata = [differences(6, 20, seed=1), differences(6, 35, seed=2)], ["a", "b"] * 3
    for labels in (None, strata):
        boot = stats.bootstrap(D, [0.3, 0.7], labels, draws=20_000, seed=2)
        assert boot.se == pytest.approx(boot.draws.std(), rel=0.02)


def test_pigeonhole_of_a_mean_is_the_bootstrap():
    g = rng(5)
    scores = g.normal(size=(2, 5, 40))
    language, item = np.zeros(40, int), np.arange(40)
    found = stats.pigeonhole(
        np.stack([scores, np.ones_like(scores)], -1),
        lambda s: s[..., 0] / s[..., 1],
        language,
        item,
    )
    assert found.se == pytest.approx(
        stats.bootstrap([scores[1] - scores[0]], [1.0], draws=10).se, rel=0.08
    )
    with pytest.raises(ValueError, match="need two arms"):
        stats.pigeonhole(np.ones((3, 5, 40, 2)), lambda s: s[..., 0], language, item)


def test_pigeonhole_draws_an_item_once_for_both_arms_and_all_languages():
    counts = np.zeros((2, 4, 60, 1))
    # the arms differ nowhere: no draw may tell them apart
    counts[:] = rng(6).normal(size=(1, 1, 60, 1))
    found = stats.pigeonhole(
        counts, lambda s: s[..., 0], np.repeat([0, 1], 30), np.tile(np.arange(30), 2), draws=200
    )
    assert np.abs(found.draws).max() < 1e-12


def test_jackknife_interval_of_an_f1_agrees_with_the_pigeonhole_bootstrap():
    def f1(s):
        return 200 * s[..., 0] / (s[..., 1] + s[..., 2])

    g, blocks, items = rng(8), 8, 400
    right = g.random((2, blocks, items)) < 0.6 + 0.04 * np.arange(2)[
        :, None, None
    ] + 0.03 * g.normal(size=(2, blocks, 1))
    counts = np.stack(
        [
            2 * right,
            np.full(right.shape, 2),
            np.broadcast_to(2 + np.arange(items) % 3, right.shape),
        ],
        -1,
    )
    pseudo = np.array([[stats.jackknife(f1, c) for c in arm] for arm in counts])
    crossed = stats.crossed(pseudo[1] - pseudo[0])
    boot = stats.pigeonhole(counts, f1, np.zeros(items, int), np.arange(items), draws=1500)
    plain = f1(counts.sum(2)).mean(1)
    assert crossed.mean == pytest.approx(plain[1] - plain[0], abs=0.02)
    assert 0.95 * crossed.se < boot.se < 1.5 * crossed.se  # it counts the residual more than once


@pytest.mark.oracle
def test_oracle_bootstrap_of_three_blocks(oracles):
    case = oracles["exact_bootstrap_S3"]
    boot = stats.bootstrap(
        [np.array(case["inputs"]["block_means"])[:, None]], [1.0], draws=40_000, seed=1
    )
    want = case["expected"]
    assert boot.se == pytest.approx(want["sd"], abs=1e-12)
    assert boot.interval == pytest.approx(tuple(want["q025_q975_inverted_cdf"]), abs=1e-12)
    assert [boot.draws.min(), boot.draws.max()] == pytest.approx(want["range"], abs=1e-12)
