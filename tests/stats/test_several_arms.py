"""Arms against one baseline: partial arms, holes, planned pairs."""

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
        simulate(tmp_path_factory.mktemp("arms"), arms=arms, seeds=range(5), effect=-6.0)
    )


def test_every_arm_is_tested_like_the_planned_comparison(study):
    table = stats.against_baseline(
        study.predictions, "standard", ["control", "dann", "dann-0.1"]
    ).set_index("arm")
    whole = stats.compare(study.predictions)
    row = table.loc["dann"]
    assert (row.theta, row.low, row.high) == pytest.approx((whole.theta, *whole.ci))
    assert (row.p, row.tost_p, row.verdict, row.blocks) == (
        whole.p,
        whole.tost_p,
        whole.verdict,
        10,
    )
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
    twice = 2 * alone.p_signflip  # two groups
    assert table.p_max_t["centring"] == min(1.0, max(twice, alone.p))


def test_an_arm_with_one_intermediate_task_is_compared_on_it(study):
    rows = study.predictions
    rows = rows[(rows.arm != "dann-0.1") | (rows.intermediate == "sarcasm")]
    row = stats.against_baseline(rows, "standard", ["dann-0.1"]).iloc[0]
    assert (row.intermediate, row.blocks) == ("sarcasm", 5)


def test_an_arm_with_some_seeds_is_compared_on_the_blocks_of_these(study):
    rows = study.predictions[(study.predictions.arm != "dann-0.1") | (study.predictions.seed == 1)]
    table = stats.against_baseline(rows, "standard", ["dann", "control", "dann-0.1"])
    table = table.set_index("arm")
    alone = stats.compare(rows[rows.seed == 1], treatment="dann-0.1")
    assert table.blocks.to_dict() == {"dann": 10, "control": 10, "dann-0.1": 2}
    assert table.theta["dann-0.1"] == pytest.approx(alone.theta)
    assert table.p["dann-0.1"] == alone.p


def test_an_adjusted_p_is_never_below_its_own_p(study):
    arms = ["control", "dann", "dann-0.1", "centring"]
    table = stats.against_baseline(study.predictions, "standard", arms)
    assert (table.p_max_t >= table.p).all() and (table.p_holm >= table.p).all()


def test_arms_of_few_blocks_are_described_and_in_no_family(study):
    rows = study.predictions
    few = rows[(rows.arm != "dann-0.1") | (rows.seed == 1)]
    table = stats.against_baseline(few, "standard", ["dann", "control", "dann-0.1"])
    without = stats.against_baseline(few, "standard", ["dann", "control"])
    table = table.set_index("arm")
    lone = table.loc["dann-0.1"]
    assert lone.theta == lone.theta and "fewer than 10 blocks" in lone.note
    assert math.isnan(lone.p_max_t) and math.isnan(lone.p_holm)
    for name in ("p_max_t", "p_holm"):  # the others' p are what they are without it
        assert table[name].iloc[:2].tolist() == without[name].tolist()
    six = stats.against_baseline(rows[rows.seed.isin([0, 1, 2])], "standard", ["dann", "control"])
    assert six.p.notna().all() and six.p_max_t.isna().all() and six.p_holm.isna().all()
    contrast = stats.pairs(rows[rows.seed.isin([0, 1, 2])], [("control", "dann")])
    assert contrast.p.notna().all() and contrast.p_holm.isna().all()


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
    assert "found no rows" in lost.note
    assert math.isnan(lost.theta)
    assert math.isnan(lost.p_max_t)
    assert math.isnan(lost.p_holm)
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


def test_a_target_without_a_weight_is_refused():
    assert stats.weights_of(["a", "b"], lambda _: {"a": 1, "b": 3, "c": 9}).tolist() == [0.25, 0.75]
    for given in ({"a": 1}, {"a": 1, "b": 0}, {"a": 1, "b": float("nan")}):
        with pytest.raises(ValueError, match="need a positive weight for each of a, b"):
            stats.weights_of(["a", "b"], lambda _, given=given: given)
