"""xgrl.stats: properties of the tests, agreement with oracles, the audit of prediction rows, and
every verdict.
"""

from __future__ import annotations

import html
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from simulated_predictions import predictions
from xgrl import stats
from xgrl.stats.alignment import weighted_items

ROOT = Path(__file__).resolve().parents[2]
ORACLES = ROOT.parent / "shared" / "oracles" / "stats_oracles.json"


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def oracles():
    if not ORACLES.exists():
        pytest.skip("the shared oracles are not beside the project")
    return json.loads(ORACLES.read_text())["cases"]


def table(blocks, items, block=1.0, item=5.0, residual=20.0, shift=0.0, seed=0):
    """(B, n) differences with given standard deviations in points."""
    g = rng(seed)
    return (
        shift
        + block * g.normal(size=(blocks, 1))
        + item * g.normal(size=(1, items))
        + residual * g.normal(size=(blocks, items))
    )


# ---------------------------------------------------------------- sign flip and maxT


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


# ---------------------------------------------------------------- crossed


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
    D = table(6, 50, shift=2.0)
    found, mirrored = stats.crossed(D), stats.crossed(-D)
    shuffled = stats.crossed(D[rng(1).permutation(6)][:, rng(2).permutation(50)])
    assert mirrored.p == found.p and mirrored.interval == pytest.approx(
        tuple(-x for x in found.interval[::-1])
    )
    assert (shuffled.se, shuffled.df, shuffled.p) == pytest.approx((found.se, found.df, found.p))
    assert found.df >= 5


def test_crossed_recovers_variance_components():
    parts = [stats.crossed(table(20, 200, 2.0, 4.0, 10.0, seed=s)).components for s in range(40)]
    means = pd.DataFrame(parts).mean()
    assert means["block"] == pytest.approx(4, rel=0.2)
    assert means["item"] == pytest.approx(16, rel=0.1)
    assert means["residual"] == pytest.approx(100, rel=0.02)


def test_crossed_p_never_underflows_to_zero():
    assert stats.crossed(table(12, 2000, 1e-3, 1e-3, 1e-3, shift=100.0)).p > 0


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7])
def test_crossed_without_variance_is_an_error(value):
    with pytest.raises(stats.ZeroVariance, match="no spread"):
        stats.crossed(np.full((4, 9), value))


@pytest.mark.parametrize(
    "function",
    [
        stats.crossed,
        lambda D: stats.crossed_tasks([D], [1.0]),
        stats.westfall_young,
        lambda D: stats.sign_flip(D[:, 0]),
        lambda D: stats.effect_sizes(D[:, 0]),
    ],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(function, bad):
    D = table(4, 5)
    D[2, 0] = bad
    with pytest.raises(ValueError, match=str(bad)):
        function(D)


@pytest.mark.parametrize("shape", [(1, 9), (4, 1), (0, 4)])
def test_crossed_needs_two_blocks_and_two_items(shape):
    with pytest.raises(ValueError, match="need 2 axes of length 2"):
        stats.crossed(np.ones(shape))


def test_crossed_tasks_of_one_task_is_crossed():
    for seed in range(5):
        # small: some of these are truncated
        D = table(5, 8, block=0.0, item=1.0, residual=5.0, seed=seed)
        one, whole = stats.crossed_tasks([D], [1.0]), stats.crossed(D)
        assert (one.mean, one.se, one.df, one.p) == pytest.approx(
            (whole.mean, whole.se, whole.df, whole.p)
        )


def test_crossed_tasks_adds_up_its_terms():
    D, w, strata = (
        [table(6, 40, seed=1), table(6, 90, item=15.0, seed=2)],
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
    D, strata = table(12, 60, seed=3), np.repeat(["a", "b"], 6)
    moved = D + np.where(strata == "a", 30.0, -30.0)[:, None]
    assert stats.crossed_tasks([moved], [1.0], strata).se == pytest.approx(
        stats.crossed_tasks([D], [1.0], strata).se
    )
    assert stats.crossed_tasks([moved], [1.0]).se > 5 * stats.crossed_tasks([D], [1.0]).se


@pytest.mark.parametrize("strata", [["a", "a", "a", "b"], ["a", "b", "c", "d"], ["a", "a", "b"]])
def test_unequal_or_single_strata_are_refused(strata):
    with pytest.raises(ValueError, match="need equal strata"):
        stats.crossed_tasks([table(4, 9)], [1.0], strata)


# ---------------------------------------------------------------- equivalence, multiplicity,
# effects, power


def test_tost_rejects_exactly_when_the_90_percent_interval_is_inside():
    D = table(10, 200, shift=0.4, seed=8)
    found, (low, high) = stats.crossed(D), stats.crossed(D, level=0.9).interval
    edge = max(abs(low), abs(high))
    assert stats.tost(found.mean, found.se, found.df, edge) == pytest.approx(0.05)
    assert stats.tost(found.mean, found.se, found.df, 1.01 * edge) < 0.05


def test_rope_is_a_distribution_and_mirrors():
    below, within, above = stats.rope(0.3, 0.5, 7, 1.0)
    assert below + within + above == pytest.approx(1) and above > below
    assert stats.rope(-0.3, 0.5, 7, 1.0) == pytest.approx((above, within, below))
    for bad in [(0.3, 0.0, 7, 1.0), (0.3, 0.5, 7, 0.0), (math.nan, 0.5, 7, 1.0)]:
        for function in (stats.rope, stats.tost):
            with pytest.raises(ValueError, match="need a finite mean"):
                function(*bad)


def test_holm_agrees_with_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for seed in range(5):
        p = rng(seed).random(9) ** 3
        np.testing.assert_allclose(
            stats.holm(p), multitest.multipletests(p, method="holm")[1], atol=1e-14
        )


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


def test_mcnemar_is_symmetric_and_one_without_discordance():
    assert stats.mcnemar(4, 9) == stats.mcnemar(9, 4)
    assert stats.mcnemar(0, 0) == (1.0, 1.0) and stats.mcnemar(6, 6) == (1.0, 1.0)


def test_minimal_effect_is_found_with_the_stated_power_in_simulation():
    sa2, sb2, sc2, B, n = 1.0, 40.0, 300.0, 8, 300
    effect = stats.minimal_effect(sa2, sb2, sc2, B, n)
    rows = stats.calibrate(
        {"block": sa2, "item": sb2, "residual": sc2}, B, n, draws=800, seed=3, shift=effect
    )
    power = rows.set_index("test").power
    assert power["crossed"] == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 800))


def test_minimal_effect_equals_the_paired_t_power_for_block_variance_alone():
    effect = stats.minimal_effect(2.25, 0, 0, 10, 500)
    critical = scipy_stats.t.ppf(0.975, 9)
    assert scipy_stats.nct.sf(critical, 9, effect / 1.5 * math.sqrt(10)) == pytest.approx(
        0.8, abs=1e-6
    )


def test_blocks_needed_is_the_first_number_that_is_enough():
    parts = (1.0, 40.0, 300.0)
    blocks = stats.blocks_needed(1.0, *parts, 2000)
    assert (
        stats.minimal_effect(*parts, blocks, 2000)
        <= 1.0
        < stats.minimal_effect(*parts, blocks - 1, 2000)
    )
    assert stats.blocks_needed(50.0, *parts, 2000) == 6  # fewer cannot reach .05 by sign flip
    assert stats.blocks_needed(0.1, *parts, 2000) is None  # the items alone leave more uncertainty


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
    D = [table(12, 50, block=5.0, item=0.5, residual=0.5, seed=s) for s in (1, 2)]
    boot = stats.bootstrap(D, [0.5, 0.5], draws=4000, seed=1)
    found = stats.crossed_tasks(D, [0.5, 0.5])
    # plug-in: B, not B - 1
    assert boot.se == pytest.approx(found.se * math.sqrt(11 / 12), rel=0.06)
    assert boot.draws.mean() == pytest.approx(found.mean, abs=4 * found.se / math.sqrt(4000))


def test_bootstrap_keeps_strata_apart_and_repeats_itself():
    D, strata = table(6, 30, block=0.1, item=0.1, residual=0.1), np.repeat(["a", "b"], 3)
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
    D, strata = [table(6, 20, seed=1), table(6, 35, seed=2)], ["a", "b"] * 3
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


def test_violation_ratio_ends_and_mirrors():
    assert (
        stats.violation_ratio([3, 4, 5], [1, 2, 3]) == 0
        and stats.violation_ratio([1, 2], [3, 4]) == 1
    )
    a, b = rng(1).normal(size=9), rng(2).normal(size=9)
    assert stats.violation_ratio(a, b) == pytest.approx(1 - stats.violation_ratio(b, a))
    assert stats.violation_ratio(a, a) == 0.5
    with pytest.raises(ValueError, match="as many of either arm"):
        stats.violation_ratio([1.0], [1.0, 2.0])


def test_expected_best_runs_from_mean_to_largest():
    v = rng(3).normal(size=7)
    assert stats.expected_best(v, 1) == pytest.approx(v.mean()) and stats.expected_best(
        v, 7
    ) == pytest.approx(v.max())
    assert stats.expected_best(v, 1, replacement=True) == pytest.approx(v.mean())
    pairs = [max(v[i], v[j]) for i in range(7) for j in range(i)]
    assert stats.expected_best(v, 2) == pytest.approx(np.mean(pairs))
    assert stats.expected_best(v, 2, replacement=True) < stats.expected_best(v, 2)
    with pytest.raises(ValueError, match="need 1 <= k <= 7"):
        stats.expected_best(v, 8)


# ---------------------------------------------------------------- calibration


def test_the_larger_of_the_two_is_near_nominal_and_the_naive_methods_are_not():
    components = {"block": 3.4, "item": 450.0, "residual": 600.0}
    rows = stats.calibrate(components, 10, 300, draws=600, seed=1, shift=4.0).set_index("test")
    ours = rows.loc["larger of the two"]
    assert ours.rate < 0.06 + 3 * math.sqrt(0.06 * 0.94 / 600)
    assert ours.coverage > 0.94 - 3 * math.sqrt(0.06 * 0.94 / 600)
    assert ours.rate <= min(rows.rate["crossed"], rows.rate["sign flip"])
    for naive in (
        "sign flip",
        "pooled examples",
        "one run, item t",
        "t on seed means",
        "stratified bootstrap",
    ):
        assert rows.rate[naive] > 0.09, naive
    assert (rows.power > rows.rate).all()
    np.testing.assert_allclose(rows.se, np.sqrt(rows.rate * (1 - rows.rate) / 600))
    missed = 1 - rows.coverage
    np.testing.assert_allclose(rows.coverage_se, np.sqrt(missed * (1 - missed) / 600))


def test_calibration_repeats_itself_and_refuses_nonsense():
    parts = {"block": 1.0, "item": 0.0, "residual": 9.0}
    once, again = (stats.calibrate(parts, 6, 20, 50, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(once, again)
    with pytest.raises(ValueError, match="lack residual"):
        stats.calibrate({"block": 1.0, "item": 1.0}, 6, 20, 50, seed=0)
    with pytest.raises(ValueError, match="not all 0"):
        stats.calibrate(dict.fromkeys(parts, 0.0), 6, 20, 50, seed=0)


# ---------------------------------------------------------------- items of several languages


@pytest.mark.parametrize("sharing", ["parallel", "own", "partly"])
def test_weighted_items_average_to_the_macro_average(sharing):
    g = rng(3)
    pools = {
        "parallel": [range(20)] * 4,
        "own": [range(9), range(9, 30), range(30, 34), range(34, 90)],
        "partly": [range(20), range(10, 40), range(15), range(38, 45)],
    }[sharing]
    language = np.concatenate([np.full(len(pool), code) for code, pool in enumerate(pools)])
    item = np.concatenate([np.asarray(pool) for pool in pools])
    values = g.normal(size=(3, len(item)))
    macro = np.mean([values[:, language == code].mean(1) for code in range(4)], axis=0)
    c = weighted_items(values, language, item)
    assert c.shape == (3, item.max() + 1)
    np.testing.assert_allclose(c.mean(1), macro, rtol=1e-12)
    if sharing == "parallel":
        np.testing.assert_allclose(c, values.reshape(3, 4, 20).mean(1))


def bitext(shift=2.0, pairs=40, blocks=4, languages=("de", "fr"), seed=0):
    """Rows of a target whose pairs are searched in both directions, and the same with a pair's two
    rows averaged.
    """
    g, rows = rng(seed), []
    pair = 20 * g.normal(size=pairs)
    for b in range(blocks):
        for language in languages:
            for direction in ("xx-en", "en-xx"):
                for arm, moved in (("standard", 0.0), ("dann", shift + g.normal())):
                    score = 50 + moved * (1 + pair / 20) + 5 * g.normal(size=pairs)
                    rows += [
                        (b, language, arm, f"p{k} {direction}", f"p{k}", v)
                        for k, v in enumerate(score)
                    ]
    frame = pd.DataFrame(rows, columns=["seed", "language", "arm", "example_id", "pair", "score"])
    frame = frame.assign(study="s", target="emoji-names", intermediate="i")
    keys = ["study", "intermediate", "target", "seed", "language", "arm", "pair"]
    averaged = frame.groupby(keys).score.mean().reset_index().rename(columns={"pair": "example_id"})
    return frame.drop(columns="pair"), averaged


def test_a_pair_searched_in_both_directions_is_one_item():
    both, averaged = (stats.compare(frame) for frame in bitext())
    assert both.per_task.n_items[0] == 40 and both.items["emoji-names"].shape == (4, 40)
    np.testing.assert_allclose(both.items["emoji-names"], averaged.items["emoji-names"])
    assert (both.theta, both.se, both.df, both.p) == pytest.approx(
        (averaged.theta, averaged.se, averaged.df, averaged.p)
    )
    pd.testing.assert_frame_equal(both.per_language, averaged.per_language)
    assert not any("not shared" in note for note in both.notes)


def test_a_pair_that_lacks_a_direction_in_one_arm_is_refused():
    frame, _ = bitext()
    gone = (
        (frame.arm == "dann")
        & (frame.example_id == "p3 en-xx")
        & (frame.language == "fr")
        & (frame.seed == 2)
    )
    with pytest.raises(
        ValueError, match=r"ids differ.*arm dann.*seed 2, language fr, example p3 en-xx"
    ):
        stats.compare(frame[~gone])


# ---------------------------------------------------------------- compare


@pytest.fixture(scope="module")
def frame():
    return predictions(shift=2.5)


@pytest.fixture(scope="module")
def result(frame):
    return stats.compare(frame)


def test_theta_is_the_mean_of_macro_averages_without_english(frame, result):
    zero_shot = frame[frame.language != "en"]
    cells = (
        zero_shot.groupby(["target", "intermediate", "seed", "language", "arm"])
        .score.mean()
        .unstack("arm")
    )
    expected = (cells.dann - cells.standard).groupby(["target"]).mean()
    assert result.theta == pytest.approx(expected.mean())
    np.testing.assert_allclose(result.per_task.set_index("target").theta, expected)
    np.testing.assert_allclose(
        result.per_task.treatment - result.per_task.baseline, result.per_task.theta
    )
    np.testing.assert_allclose(result.per_task.baseline, cells.standard.groupby("target").mean())
    assert result.per_task.n_languages.tolist() == [3, 3] and result.per_task.n_items.tolist() == [
        165,
        60,
    ]
    per_language = cells.groupby(["target", "language"]).mean()
    np.testing.assert_allclose(result.per_language.theta, per_language.dann - per_language.standard)
    np.testing.assert_allclose(result.blocks.treatment - result.blocks.baseline, result.blocks.m_b)
    assert result.blocks.m_b.mean() == pytest.approx(result.theta) and result.n_blocks == 12


def test_the_primary_p_is_the_larger_of_sign_flip_and_crossed(result):
    m, strata = result.blocks.m_b.to_numpy(), result.blocks.intermediate.to_numpy()
    expected = stats.crossed_tasks(list(result.items.values()), [0.5, 0.5], strata)
    assert result.p_signflip == stats.sign_flip(m)
    assert (result.p_crossed, result.se, result.df, *result.ci) == pytest.approx(
        (expected.p, expected.se, expected.df, *expected.interval)
    )
    assert result.p == max(result.p_signflip, result.p_crossed)
    assert result.tost_p == pytest.approx(stats.tost(result.theta, result.se, result.df, 1.0))
    assert sum(result.rope) == pytest.approx(1)
    assert (result.per_task.p_holm >= result.per_task.p_raw).all()
    assert (result.per_language.p_bh >= result.per_language.p).all()


def test_components_give_back_the_standard_error(result):
    parts = result.components.iloc[-1]
    n = parts.n_items
    assert parts.target == "all"
    assert parts.block / 12 + parts["item"] / n + parts.residual / (12 * n) == pytest.approx(
        result.se**2
    )
    assert result.minimal_effect > result.se
    assert set(result.blocks_needed) == {0.5, 1.0, 2.0}


def test_compare_ignores_row_order_other_arms_and_dtypes(frame, result):
    other = frame[frame.arm == "dann"].assign(arm="control", score=0.0)
    none = other.assign(arm="none", intermediate="none")
    mixed = pd.concat([frame, other, none]).sample(frac=1, random_state=1)
    for column in ("arm", "language", "example_id"):
        mixed[column] = mixed[column].astype("category")
    again = stats.compare(mixed.astype({"target": object}))
    assert again.summary() == result.summary()


def test_swapping_the_arms_mirrors_everything(frame, result):
    mirror = stats.compare(frame, baseline="dann", treatment="standard")
    assert mirror.theta == pytest.approx(-result.theta) and mirror.p == pytest.approx(result.p)
    assert mirror.ci == pytest.approx(tuple(-x for x in result.ci[::-1]))
    assert (result.verdict, mirror.verdict) == ("superior", "inferior")


def test_planned_weights_are_scaled_and_used(frame, result):
    theta = result.per_task.set_index("target").theta
    weighted = stats.compare(frame, plan={"weights": {"news": 3, "intent": 1}})
    assert weighted.theta == pytest.approx(0.75 * theta["news"] + 0.25 * theta["intent"])
    assert any("intent 0.25" in note for note in weighted.notes)


def test_reused_seeds_make_the_seed_the_unit(frame, result):
    by_seed = stats.compare(frame, plan={"unit": "seed"})
    assert by_seed.n_blocks == 6 and by_seed.theta == pytest.approx(result.theta)
    np.testing.assert_allclose(by_seed.blocks.m_b, result.blocks.groupby("seed").m_b.mean())
    assert by_seed.p_signflip == stats.sign_flip(by_seed.blocks.m_b)


def test_intermediate_tasks_are_tested_apart_and_average_to_theta(frame, result):
    table = result.per_intermediate
    assert table.intermediate.tolist() == [
        "task0",
        "task1",
    ] and table.theta.mean() == pytest.approx(result.theta)
    only = stats.compare(frame[frame.intermediate == "task1"])
    row = table.iloc[1]
    assert (row.theta, row.low, row.high, row.p_raw) == pytest.approx(
        (only.theta, *only.ci, only.p)
    )
    assert len(only.per_intermediate) == 1 and set(only.replicated) == {"targets"}
    np.testing.assert_allclose(table.p_holm, stats.holm(table.p_raw))


def test_replication_is_counted_over_targets_and_over_intermediate_tasks(result):
    for name, table in (
        ("targets", result.per_task),
        ("intermediate tasks", result.per_intermediate),
    ):
        wanted = stats.partial_conjunction(table.p_raw)
        assert (
            result.replicated[name].k_hat == wanted.k_hat
            and (result.replicated[name].p == wanted.p).all()
        )


def test_more_than_twenty_blocks_are_drawn_and_repeat_themselves():
    rows = predictions(
        shift=3.0, intermediates=2, seeds=11, items=12, languages=("de",), targets=("news",)
    )
    found = stats.compare(rows)
    assert found.n_blocks == 22 and 1e-5 <= found.p_signflip < 0.01
    assert found.summary() == stats.compare(rows).summary()


def test_a_target_with_one_language_is_analysed_like_any_other(frame):
    one = frame[(frame.target != "news") | frame.language.isin(["de", "en"])]
    found = stats.compare(one)
    assert found.per_task.set_index("target").n_languages["news"] == 1
    row = found.per_language[found.per_language.target == "news"].iloc[0]
    assert (
        row.theta == pytest.approx(found.per_task.set_index("target").theta["news"])
        and row.p == row.p_bh
    )


def test_ties_everywhere_in_one_target_leave_the_other_tested(frame):
    tied = frame.assign(score=frame.score.where(frame.target != "news", 50.0))
    found = stats.compare(tied)
    row = found.per_task.set_index("target").loc["news"]
    assert (row.theta, row.p_raw, row.p_holm, row.p_westfall_young) == (
        0.0,
        1.0,
        1.0,
        1.0,
    ) and math.isnan(row.low)
    assert (
        any("news: no variance" in note for note in found.notes)
        and found.ci[0] < found.theta < found.ci[1]
    )


VERDICTS = {
    "superior": ({"shift": 4.0}, False),
    "inferior": ({"shift": -4.0}, False),
    "equivalent": ({"shift": 0.02, "block": 0.3, "item": 0.5, "residual": 2.0}, False),
    "inconclusive": ({"shift": 0.0, "block": 4.0}, False),
    "trivial": ({"shift": 0.5, "block": 0.1, "item": 0.3, "residual": 1.0}, True),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_every_verdict_is_reached_and_said_in_words(name):
    settings, trivial = VERDICTS[name]
    found = stats.compare(predictions(**settings))
    text = str(found)
    assert found.verdict == ("superior" if trivial else name) and found.trivial is trivial
    assert found.gate is (found.p <= 0.05)
    words = {
        "superior": "is better than",
        "inferior": "is worse than",
        "equivalent": "are equivalent within",
        "inconclusive": "Inconclusive",
        "trivial": "real but trivial",
    }
    assert words[name] in text
    assert f"{found.theta:+.2f}" in text and f"{found.ci[0]:+.2f}" in text and "12 blocks" in text
    assert "no effect" not in text and "no difference" not in text
    assert html.escape(text) in found._repr_html_()
    assert json.loads(json.dumps(found.summary(), allow_nan=False))["verdict"] == found.verdict


def test_failed_manipulation_checks_stand_in_front(frame):
    text = str(stats.compare(frame, plan={"failed_checks": ["nli was not learned"]}))
    assert text.startswith("Manipulation checks failed (nli was not learned)")


def test_an_interval_without_zero_is_not_significant_when_the_sign_flip_disagrees():
    found = stats.compare(predictions(shift=4.0, intermediates=1, seeds=5))
    assert (
        found.verdict == "inconclusive"
        and found.ci[0] > 0
        and found.p == found.p_signflip == 0.0625
    )
    assert "leaves out 0" in str(found) and any("at least 0.0625" in note for note in found.notes)


# ---------------------------------------------------------------- audit


def drop(frame, **where):
    mask = np.logical_and.reduce([frame[key] == value for key, value in where.items()])
    return frame[~mask]


AUDIT = {
    "arm missing in a block": (
        lambda f: drop(f, arm="dann", intermediate="task1", seed=3),
        "intermediate task1, seed 3.*no rows of arm 'dann'",
    ),
    "language missing": (
        lambda f: drop(f, arm="dann", intermediate="task0", seed=2, target="news", language="fr"),
        "'news'.*no rows.*arm dann, intermediate task0, seed 2, language fr",
    ),
    "language missing in both arms": (
        lambda f: drop(f, intermediate="task0", seed=2, target="news", language="fr"),
        "'news'.*no rows.*seed 2, language fr",
    ),
    "target missing": (
        lambda f: drop(f, arm="standard", seed=1, intermediate="task0", target="intent"),
        "'intent'.*no rows.*arm standard, intermediate task0, seed 1",
    ),
    "one example missing": (
        lambda f: drop(
            f,
            arm="dann",
            intermediate="task0",
            seed=0,
            target="news",
            language="de",
            example_id="7",
        ),
        "'news'.*ids differ.*arm dann.*language de, example 7",
    ),
    "other ids in one block": (
        lambda f: f.assign(
            example_id=f.example_id.where(
                ~(
                    (f.seed == 4)
                    & (f.intermediate == "task1")
                    & (f.target == "news")
                    & (f.language == "de")
                    & (f.example_id == "7")
                ),
                "x7",
            )
        ),
        "'news'.*ids differ between arms or blocks",
    ),
    "duplicated row": (
        lambda f: pd.concat([f, f[f.language == "zh"].iloc[[11]]]),
        "duplicated rows.*language zh",
    ),
    "nan score": (
        lambda f: f.assign(score=f.score.where(f.index != f[f.language == "fr"].index[5], np.nan)),
        r"score: found nan at .*language fr",
    ),
    "infinite score": (
        lambda f: f.assign(score=f.score.where(f.index != f[f.language == "fr"].index[5], np.inf)),
        r"score: found inf at",
    ),
    "two studies": (lambda f: pd.concat([f, f.assign(study="t")]), "found studies s, t, need one"),
    "empty": (lambda f: f[:0], "found 0 rows"),
    "column missing": (lambda f: f.drop(columns="seed"), "without columns .*seed"),
    "key missing": (
        lambda f: f.assign(example_id=f.example_id.where(f.index != 3)),
        "'example_id'.*row 3",
    ),
    "english only": (lambda f: f[f.language == "en"], "other than English"),
    "one block": (
        lambda f: f[(f.seed == 0) & (f.intermediate == "task0")],
        "one block only.*task0, seed 0",
    ),
    "unequal seeds": (
        lambda f: f[(f.seed > 0) | (f.intermediate == "task0")],
        "task0: 6, task1: 5",
    ),
    "one item": (
        lambda f: f[(f.language != "fr") | (f.target != "news") | (f.example_id == "0")],
        "'news'.*single item.*language fr",
    ),
}


@pytest.mark.parametrize("name", AUDIT)
def test_rows_that_do_not_line_up_are_refused_with_the_cell(frame, name):
    spoil, message = AUDIT[name]
    with pytest.raises(ValueError, match=message):
        stats.compare(spoil(frame))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"treatment": "dan"}, "arm 'dan' is unknown.*did you mean 'dann'"),
        ({"baseline": "dann"}, "need two arms"),
        ({"margin": 0.0}, "margin: found 0.0"),
        ({"plan": {"weight": {}}}, "plan entry 'weight'.*did you mean 'weights'"),
        ({"plan": {"unit": "seeds"}}, "plan unit 'seeds'.*did you mean 'seed'"),
        ({"plan": {"weights": {"news": 1, "inten": 1}}}, "'inten'.*did you mean 'intent'"),
        ({"plan": {"weights": {"news": 1}}}, "need a positive weight for each of intent, news"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(frame, arguments, message):
    with pytest.raises(ValueError, match=message):
        stats.compare(frame, **arguments)


def test_arm_none_cannot_be_paired(frame):
    none = frame[frame.arm == "standard"].assign(arm="none", intermediate="none")
    with pytest.raises(ValueError, match="arm none has no intermediate task"):
        stats.compare(pd.concat([frame, none]), baseline="none")


def test_unlike_seeds_cannot_be_the_unit(frame):
    moved = frame.assign(seed=frame.seed + 6 * (frame.intermediate == "task1"))
    assert stats.compare(moved).n_blocks == 12  # different numbers for different blocks are fine
    with pytest.raises(ValueError, match="need every intermediate task to have the same seeds"):
        stats.compare(moved, plan={"unit": "seed"})


# ---------------------------------------------------------------- fallbacks


def test_one_block_a_stratum_falls_back_to_no_strata():
    found = stats.compare(predictions(intermediates=6, seeds=1))
    assert any("not stratified" in note for note in found.notes)
    assert found.se == pytest.approx(stats.crossed_tasks(list(found.items.values()), [0.5, 0.5]).se)


@pytest.mark.parametrize(
    ("difference", "p", "verdict", "reason"),
    [
        (0.0, 1.0, "inconclusive", "both arms score the same on every item"),
        (3.0, 2 / 2**12, "superior", "no variance at all"),
    ],
)
def test_without_variance_the_sign_flip_stands_alone(difference, p, verdict, reason):
    rows = predictions(shift=difference, block=0.0, item=0.0, residual=0.0)
    rows["score"] = np.where(rows.arm == "dann", 50.0 + difference, 50.0)
    found = stats.compare(rows, plan={"weights": {"news": 1, "intent": 1}})
    # "intent" weights its items unequally, so drop it: only then is nothing left to vary
    if difference:
        found = stats.compare(rows[rows.target == "news"])
    assert (found.p, found.verdict) == (p, verdict)
    assert math.isnan(found.tost_p) and math.isnan(found.ci[0]) and math.isnan(found.minimal_effect)
    assert any(reason in note for note in found.notes)
    assert found.summary()["ci"] == [None, None] and "not estimable" in str(found)


def test_a_language_without_differences_is_reported_as_such(frame):
    same = frame.assign(
        score=frame.score.where((frame.language != "zh") | (frame.target != "news"), 50.0)
    )
    found = stats.compare(same)
    row = found.per_language.query("target == 'news' and language == 'zh'").iloc[0]
    assert (
        row.p == 1.0
        and math.isnan(row.low)
        and any("news zh: no variance" in note for note in found.notes)
    )


# ---------------------------------------------------------------- oracles


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
def test_oracle_paired_t_tost_and_effects(oracles):
    inputs, want = (oracles["paired_t_tost_effects"][key] for key in ("inputs", "expected"))
    arm1, arm0 = np.array(inputs["arm1"]), np.array(inputs["arm0"])
    m = arm1 - arm0
    t95, t90 = (stats.crossed(np.tile(m[:, None], (1, 3)), level) for level in (0.95, 0.9))
    assert (t95.mean, t95.p) == pytest.approx((want["mean"], want["p"]), abs=1e-9)
    assert t95.mean / t95.se == pytest.approx(want["t"], abs=1e-9)
    assert t95.interval == pytest.approx(tuple(want["ci95"]), abs=1e-9)
    assert t90.interval == pytest.approx(tuple(want["ci90"]), abs=1e-9)
    assert stats.tost(t95.mean, t95.se, 7, inputs["tost_margin"]) == pytest.approx(
        want["tost_p"], abs=1e-9
    )
    found = stats.effect_sizes(m)
    assert (found.dz, found.hedges, found.p_improve) == pytest.approx(
        (want["dz"], want["dz_corrected"], want["p_improve_paired"]), abs=1e-9
    )
    assert stats.cliffs_delta(arm1, arm0) == pytest.approx(want["cliffs_delta_unpaired"], abs=1e-9)
    assert stats.sign_flip(m) == pytest.approx(want["signflip_p"], abs=1e-9)


@pytest.mark.oracle
def test_oracle_mcnemar(oracles):
    case = oracles["mcnemar"]
    found = stats.mcnemar(
        case["inputs"]["b01_only_arm1_right"], case["inputs"]["c10_only_arm0_right"]
    )
    assert found == pytest.approx((case["expected"]["exact"], case["expected"]["mid_p"]), abs=1e-12)


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


@pytest.mark.oracle
def test_oracle_rope(oracles):
    case = oracles["rope_posterior"]
    d = np.array(case["inputs"]["d"])
    found = stats.rope(d.mean(), d.std(ddof=1) / math.sqrt(5), 4, case["inputs"]["rope"])
    assert found == pytest.approx(tuple(case["expected"]["independent_seeds"]), abs=1e-9)


@pytest.mark.oracle
def test_oracle_clopper_pearson(oracles):
    for share, interval in oracles["p_a_gt_b"]["expected"]["clopper_pearson95"].items():
        k, n = map(int, share.split("/"))
        assert stats.exact_binomial(k, n, 0.95) == pytest.approx(tuple(interval), abs=1e-9)
        m = np.where(np.arange(n) < k, 1.0, -1.0) + np.linspace(0, 0.1, n)
        assert stats.effect_sizes(m).p_improve_interval == pytest.approx(tuple(interval), abs=1e-9)


@pytest.mark.oracle
def test_oracle_westfall_young(oracles):
    case = oracles["westfall_young_maxT"]
    M, want = np.array(case["inputs"]["D_block_by_task"]), case["expected"]
    np.testing.assert_allclose(stats.westfall_young(M), want["step_down"], atol=1e-12)
    raw = [stats.sign_flip(m) for m in M.T]
    np.testing.assert_allclose(raw, want["raw_p"], atol=1e-12)
    np.testing.assert_allclose(stats.holm(raw), want["holm_of_raw"], atol=1e-12)


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


@pytest.mark.oracle
def test_oracle_almost_stochastic_order(oracles):
    case = oracles["aso"]
    found = stats.violation_ratio(case["inputs"]["a"], case["inputs"]["b"])
    assert found == pytest.approx(case["expected"]["violation_ratio_exact_equal_n"], abs=1e-12)


@pytest.mark.oracle
def test_oracle_expected_best_of_k(oracles):
    case = oracles["expected_max_validation"]
    for name, replacement in (("with_replacement", True), ("unbiased_without_replacement", False)):
        for k, want in case["expected"][name].items():
            assert stats.expected_best(case["inputs"]["v"], int(k), replacement) == pytest.approx(
                want, abs=1e-12
            )


@pytest.mark.oracle
def test_oracle_iqm(oracles):
    case = oracles["iqm"]
    assert stats.iqm(case["inputs"]["scores"]) == pytest.approx(case["expected"]["iqm"], abs=1e-12)
