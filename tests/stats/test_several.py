"""Several arms against one baseline, and how often the decision is right: levels by simulation,
exact cases, partial arms.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from simulate import simulate
from simulated_predictions import predictions
from xgrl import stats
from xgrl.report import load_study
from xgrl.stats import calibration_tables


def rng(seed=0):
    return np.random.default_rng(seed)


# ---------------------------------------------------------------- maxT over arms


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


# ---------------------------------------------------------------- tables of arms


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    arms = ("none", "standard", "control", "dann", "dann-0.1", "centring")
    return load_study.collect(
        simulate(tmp_path_factory.mktemp("arms"), arms=arms, seeds=(0, 1, 2), effect=-6.0)
    )


def test_every_arm_is_tested_like_the_planned_comparison(study):
    table = stats.against_baseline(
        study.predictions, "standard", ["control", "dann", "dann-0.1"]
    ).set_index("arm")
    whole = stats.compare(study.predictions)
    row = table.loc["dann"]
    assert (row.theta, row.low, row.high) == pytest.approx((whole.theta, *whole.ci))
    assert (row.p, row.tost_p, row.verdict, row.blocks) == (whole.p, whole.tost_p, whole.verdict, 6)
    assert row.score - row.baseline == pytest.approx(row.theta)
    assert (table.p_holm >= table.p).all() and list(table.index) == ["control", "dann", "dann-0.1"]


def test_an_arm_with_some_targets_is_compared_on_these_and_pays_for_its_own_group(study):
    table = stats.against_baseline(study.predictions, "standard", ["dann", "centring"]).set_index(
        "arm"
    )
    part = study.predictions[study.predictions.target == "emoji-names"]
    alone = stats.compare(part, treatment="centring")
    assert table.targets["centring"] == "emoji-names" and table.targets["dann"].count(",") == 2
    assert table.theta["centring"] == pytest.approx(alone.theta) and table.p["centring"] == alone.p
    assert table.p_max_t["centring"] == min(1.0, 2 * alone.p_signflip)  # two groups


def test_an_arm_with_one_intermediate_task_is_compared_on_it(study):
    rows = study.predictions
    rows = rows[(rows.arm != "dann-0.1") | (rows.intermediate == "sarcasm")]
    row = stats.against_baseline(rows, "standard", ["dann-0.1"]).iloc[0]
    assert (row.intermediate, row.blocks) == ("sarcasm", 3)


def test_a_hole_in_an_arm_is_a_reason_not_a_number(study):
    rows = study.predictions
    rows = rows[
        ~(
            (rows.arm == "dann-0.1")
            & (rows.intermediate == "sarcasm")
            & (rows.seed == 1)
            & (rows.target == "intent")
        )
    ]
    table = stats.against_baseline(rows, "standard", ["dann", "dann-0.1", "control"]).set_index(
        "arm"
    )
    lost = table.loc["dann-0.1"]
    assert (
        "found no rows" in lost.note
        and math.isnan(lost.theta)
        and math.isnan(lost.p_max_t)
        and math.isnan(lost.p_holm)
    )
    assert lost.verdict == "not comparable" and table.p_max_t[["dann", "control"]].notna().all()


def test_arms_without_a_target_in_common_or_with_one_block_are_not_comparable(study):
    rows = study.predictions
    apart = rows[(rows.arm != "standard") | (rows.target == "intent")]
    assert "no target in common" in stats.against_baseline(apart, "standard", ["centring"]).note[0]
    single = rows[(rows.arm != "dann") | ((rows.intermediate == "sarcasm") & (rows.seed == 0))]
    assert (
        "found no rows of arm 'dann'"
        in stats.against_baseline(single, "standard", ["dann"]).note[0]
    )
    one = rows[(rows.intermediate == "sarcasm") & (rows.seed == 0)]
    assert (
        stats.against_baseline(one, "standard", ["dann"]).note[0].startswith("found one block only")
    )
    fewer = rows[(rows.intermediate == "sarcasm") | (rows.seed != 0)]
    assert "unequal numbers of seeds" in stats.against_baseline(fewer, "standard", ["dann"]).note[0]


def test_pairs_are_those_whose_arms_are_there(study):
    table = stats.pairs(
        study.predictions, [("control", "dann"), ("shuffled", "dann"), ("control", "dann-0.1")]
    )
    assert table[["against", "arm"]].to_numpy().tolist() == [
        ["control", "dann"],
        ["control", "dann-0.1"],
    ]
    np.testing.assert_allclose(table.p_holm, stats.holm(table.p))
    assert stats.pairs(study.predictions, [("shuffled", "dann")]).empty


# ---------------------------------------------------------------- operating characteristics

COMPONENTS = pd.DataFrame(
    [
        ("a", 4.0, 40.0, 150.0, 300),
        ("b", 1.0, 20.0, 700.0, 1600),
        ("c", 0.4, 9.0, 160.0, 150),
        ("all", 0.9, 2.3, 30.0, 150),
    ],
    columns=["target", "block", "item", "residual", "n_items"],
)
EQUAL = np.full(3, 1 / 3)


@pytest.fixture(scope="module")
def design():
    return stats.Design.of(COMPONENTS, EQUAL, 12, 2)


def near(share, wanted, draws, errors=3.5):
    return abs(share - wanted) <= errors * math.sqrt(wanted * (1 - wanted) / draws)


def test_design_gives_the_weighted_mean_its_own_block_variance(design):
    assert EQUAL @ design.block @ EQUAL == pytest.approx(0.9)
    np.testing.assert_allclose(np.diag(design.block), [4.0, 1.0, 0.4])
    assert np.linalg.eigvalsh(design.block).min() > -1e-9
    with pytest.raises(ValueError, match="nothing varies"):
        stats.Design.of(COMPONENTS.assign(block=0.0, item=0.0, residual=0.0), EQUAL, 12, 2)


@pytest.fixture(scope="module")
def rates(design):
    return stats.verdict_rates(
        design, [-2.0, -1.0, 0.0, 0.5, 1.0, 2.0], 1.0, 3000, seed=1
    ).set_index("shift")


def test_verdicts_keep_their_nominal_rates(rates):
    assert (
        near(rates.superior[0.0] + rates.inferior[0.0], 0.05, 3000)
        or rates.superior[0.0] + rates.inferior[0.0] < 0.05
    )
    assert (rates.tost[[-1.0, 1.0]] <= 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / 3000)).all()
    assert (rates.equivalent <= rates.tost).all() and near(rates.coverage[0.0], 0.95, 3000, 4)
    shares = rates[["superior", "inferior", "equivalent", "inconclusive"]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (rates.trivial <= rates.superior + rates.inferior).all()


def test_each_verdict_is_the_common_one_where_it_should_be(rates):
    assert rates.superior[2.0] > 0.9 and rates.inferior[-2.0] > 0.9 and rates.equivalent[0.0] > 0.5
    assert rates.superior[2.0] > rates.superior[1.0] > rates.superior[0.5] > rates.superior[0.0]
    wide = stats.verdict_rates(
        stats.Design.of(COMPONENTS.assign(block=COMPONENTS.block * 9), EQUAL, 12, 2),
        [0.0],
        1.0,
        500,
    )
    assert wide.inconclusive[0] > 0.8


def test_simulation_by_sufficient_statistics_agrees_with_simulated_tables(design):
    g, rejected, studies = rng(3), 0, 500
    root = np.linalg.cholesky(design.block)
    strata = np.repeat([0, 1], 6)
    for _ in range(studies):
        block = g.standard_normal((12, 3)) @ root.T
        tables = [
            block[:, [t]]
            + math.sqrt(design.item[t]) * g.standard_normal((1, n))
            + math.sqrt(r) * g.standard_normal((12, n))
            for t, (n, r) in enumerate(zip((60, 90, 30), design.residual, strict=True))
        ]
        m = sum(w * table.mean(1) for w, table in zip(EQUAL, tables, strict=True)) + 0.8
        moved = [table + 0.8 for table in tables]
        rejected += max(stats.crossed_tasks(moved, EQUAL, strata).p, stats.sign_flip(m)) <= 0.05
    small = stats.Design(
        design.block, design.item, design.residual, np.array([60.0, 90.0, 30.0]), EQUAL, 12, 2
    )
    fast = stats.verdict_rates(small, [0.8], 1.0, 4000).superior[0]
    assert near(rejected / studies, fast, studies)


def test_families_keep_their_level_where_they_promise_it(design):
    table = stats.family_rates(design, 1500, seed=2).set_index("test")
    limit = 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / 1500)
    for name in (
        "any target, Holm",
        "any target, Holm behind the gate",
        "partial conjunction, k_hat > 0",
    ):
        assert table.rate[name] <= limit, name
    assert table.rate["any target, unadjusted"] > limit
    np.testing.assert_allclose(table.se, np.sqrt(table.rate * (1 - table.rate) / 1500))


def test_power_in_closed_form_is_that_of_the_minimal_effect_and_of_simulation(design):
    parts = (0.9, 2.3, 30.0)
    effect = stats.minimal_effect(*parts, 12, 150)
    assert stats.power_at(effect, *parts, 12, 150) == pytest.approx(0.8, abs=1e-6)
    assert stats.power_at(0.0, *parts, 12, 150) == pytest.approx(0.025, abs=1e-9)
    assert stats.power_at(-effect, *parts, 12, 150) == stats.power_at(effect, *parts, 12, 150)
    with pytest.raises(ValueError, match="found components"):
        stats.power_at(1.0, -1.0, 1.0, 1.0, 12, 150)
    one = pd.DataFrame([("a", *parts, 150), ("all", *parts, 150)], columns=COMPONENTS.columns)
    simulated = stats.verdict_rates(
        stats.Design.of(one, [1.0], 12, 1), [effect], 1.0, 3000
    ).superior[0]
    assert near(simulated, 0.8, 3000, 5)


def test_calibration_table_has_every_test_with_its_error():
    found = stats.compare(predictions(shift=0.3, items=40))
    table = calibration_tables.calibration(
        calibration_tables.design(found), found.components.iloc[-1], 1.0, 300, seed=1
    )
    assert {
        "larger of the two",
        "pooled examples",
        "TOST, true difference +margin",
        "any target, Holm",
    } <= set(table.test)
    assert (
        table.rate.between(0, 1).all() and table.se.notna().all() and (table.nominal == 0.05).all()
    )
    assert table.set_index("test").ours["several targets, strata: the larger"]
    assert not table.set_index("test").ours[["pooled examples", "any target, unadjusted"]].any()
    curve, needed = calibration_tables.power(found)
    assert curve.power.is_monotonic_increasing and needed.points.is_monotonic_decreasing
    assert needed.blocks[needed.here].tolist() == [found.n_blocks]


def test_nominal_rates_hold_through_compare_itself():
    shape = {"intermediates": 1, "items": 25, "languages": ("de",), "targets": ("news",)}
    found = [stats.compare(predictions(seed=s, **shape)) for s in range(100)]
    wrong = sum(c.verdict in ("superior", "inferior") for c in found)
    covered = sum(c.ci[0] <= 0 <= c.ci[1] for c in found)
    assert wrong <= 5 + 3 * math.sqrt(100 * 0.05 * 0.95) and covered >= 95 - 3 * math.sqrt(
        100 * 0.05 * 0.95
    )
