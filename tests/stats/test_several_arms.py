"""Arms against one baseline: partial arms, holes, planned pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulate import simulate
from xgrl import stats
from xgrl.report import load_study


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


def test_an_arm_with_some_seeds_is_compared_on_the_blocks_of_these(study):
    rows = study.predictions[(study.predictions.arm != "dann-0.1") | (study.predictions.seed == 1)]
    table = stats.against_baseline(rows, "standard", ["dann", "control", "dann-0.1"])
    table = table.set_index("arm")
    alone = stats.compare(rows[rows.seed == 1], treatment="dann-0.1")
    assert table.blocks.to_dict() == {"dann": 6, "control": 6, "dann-0.1": 2}
    assert table.theta["dann-0.1"] == pytest.approx(alone.theta)
    assert table.p["dann-0.1"] == alone.p and table.p_max_t.notna().all()
    # two arms with as many blocks, and not the same: each is held against its own
    rows = rows[(rows.arm != "control") | (rows.seed == 2)]
    both = stats.against_baseline(rows, "standard", ["control", "dann-0.1"]).set_index("arm")
    for arm, seed in (("control", 2), ("dann-0.1", 1)):
        own = stats.against_baseline(rows[rows.seed == seed], "standard", [arm])
        assert both.p_max_t[arm] == pytest.approx(min(1.0, 2 * own.p_max_t[0]))


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
    note = stats.against_baseline(single, "standard", ["dann"]).note[0]
    assert note.startswith("found one block only")
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
