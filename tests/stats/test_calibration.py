"""How often the decision is right: levels, coverage and power by simulation."""

import math

import numpy as np
import pandas as pd
import pytest

from simulated_predictions import rng
from xgrl import stats


@pytest.mark.simulation
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


@pytest.mark.simulation
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


@pytest.mark.simulation
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


@pytest.mark.simulation
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


@pytest.mark.simulation
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


@pytest.mark.simulation
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
