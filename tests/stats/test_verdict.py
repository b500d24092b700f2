"""The p value that decides; equivalence: TOST, ROPE, and the oracle of the paired analysis."""

import math

import numpy as np
import pytest

from simulated_predictions import differences, predictions
from xgrl import stats


def test_tost_rejects_exactly_when_the_90_percent_interval_is_inside():
    D = differences(10, 200, shift=0.4, seed=8)
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
def test_oracle_rope(oracles):
    case = oracles["rope_posterior"]
    d = np.array(case["inputs"]["d"])
    found = stats.rope(d.mean(), d.std(ddof=1) / math.sqrt(5), 4, case["inputs"]["rope"])
    assert found == pytest.approx(tuple(case["expected"]["independent_seeds"]), abs=1e-9)


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
