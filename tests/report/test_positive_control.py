"""Standard minus none in the report: rows, gate, what is not estimable."""

from dataclasses import replace

import numpy as np
import pytest

from simulate import simulate
from xgrl import stats
from xgrl.report import checks, load_study
from xgrl.report.averages import group_weights
from xgrl.report.positive_control import PASSED, gate_marks, positive_control
from xgrl.report.summary import results_table, summarise, targets_table


@pytest.fixture(scope="module")
def control(study):
    return positive_control(study, "standard")


def moved(study, points, target=None, task=None, english=0.0):
    """The study with so many points more for standard, on a target and after a task or on all."""
    rows = study.predictions
    own = rows.arm == "standard"
    own &= True if target is None else rows.target == target
    own &= True if task is None else rows.intermediate == task
    gained = np.where(rows.language == "en", english, points) * own
    return replace(study, predictions=rows.assign(score=rows.score + gained))


def test_every_target_and_pair_has_a_row_and_its_difference_is_that_of_the_means(study, control):
    assert control.kind.value_counts().to_dict() == {
        "average": 1, "intermediate": 2, "target": 3, "pair": 6,
    }  # fmt: skip
    rows = study.predictions[study.predictions.language != "en"]
    keys = ["target", "arm", "language"]
    means = rows.groupby(keys, observed=True).score.mean().groupby(keys[:2], observed=True).mean()
    means = means.unstack("arm")
    own = control[control.kind == "target"].set_index("part")
    difference = (means["standard"] - means["none"]).loc[own.index]
    np.testing.assert_allclose(own.theta, difference)
    assert control.theta[0] == pytest.approx(difference.mean())
    assert (control.theta - (control.baseline - control.none)).abs().max() < 1e-9
    pairs = control[control.kind == "pair"].groupby("part").theta.mean()
    np.testing.assert_allclose(pairs.loc[own.index], own.theta)
    np.testing.assert_allclose(own.p_holm, stats.holm(own.p))
    assert set(own.blocks) == {4} and set(own.seeds) == {2}


def test_the_gate_marks_what_passes_and_changes_no_average(study):
    up = moved(study, 900.0, "intent", "sarcasm", english=60.0)  # two seeds: one degree of freedom
    table = positive_control(up, "standard").set_index(["kind", "part", "intermediate"])
    assert table.gate["pair", "intent", "sarcasm"] == PASSED
    assert table.gate["pair", "intent", "question-type"] != PASSED
    table.loc[("target", "intent"), "gate"] = "not shown"
    assert "gate passed after sarcasm only" in gate_marks(up, table.reset_index())["intent", ""]
    whole = moved(study, 60.0, "intent", english=60.0)
    table = positive_control(whole, "standard")
    assert table.part[(table.kind == "target") & (table.gate == PASSED)].tolist() == ["intent"]
    marks = gate_marks(whole, table)
    assert "gate not passed" in marks["sentiment", ""] and ("intent", "") not in marks
    unknown = table.assign(p_holm=np.nan, gate="not estimable")
    assert "gate not estimable" in gate_marks(whole, unknown)["intent", ""]
    row = checks.manipulation_checks(whole, "standard", "dann", table).iloc[-1]
    assert row.ok and row.found.startswith("intent of 3 targets")
    assert stats.compare(whole.predictions).weights.tolist() == [1 / 3] * 3


@pytest.mark.parametrize(
    ("points", "english", "gate"), [(-60.0, 0.0, "below none"), (60.0, -60.0, "English below none")]
)
def test_a_study_in_which_no_target_passes_says_so_in_its_verdict(study, points, english, gate):
    lost = moved(study, points, english=english)
    table = positive_control(lost, "standard")
    assert gate in set(table.gate[table.kind == "target"])
    # emoji-names has no English part
    lost = moved(lost, -2 * points if points > 0 else 0.0, "emoji-names")
    table = positive_control(lost, "standard")
    checked = checks.manipulation_checks(lost, "standard", "dann", table)
    failed = checks.failures(checked, lost.audit)
    said = "gate, standard above none: no target passes, 0 of 6 pairs with one intermediate task do"
    assert said in failed
    comparison = stats.compare(lost.predictions, plan={"failed_checks": failed})
    assert "no target passes" in str(comparison)


def test_one_run_of_none_is_all_of_them_only_where_nothing_is_trained(study):
    rows = study.predictions
    once = rows[(rows.arm != "none") | (rows.seed == 0)]
    table = positive_control(replace(study, predictions=once), "standard")
    own = table[table.kind == "target"].set_index("part")
    assert np.isnan(own.p[["intent", "sentiment"]]).all() and own.gate["intent"] == "not estimable"
    assert "its spread is not known" in own.note["intent"] and own.theta.notna().all()
    assert own.p["emoji-names"] > 0 and "stands for all" in own.note["emoji-names"]
    # all trained targets by all seeds, retrieval by one: the average is whole
    kept = rows[(rows.arm != "none") | (rows.seed == 0) | (rows.target != "emoji-names")]
    table = positive_control(replace(study, predictions=kept), "standard")
    assert table.p.notna().all() and (table.seeds[0], table.blocks[0]) == (2, 4)


def test_without_none_there_is_no_row_and_without_some_of_its_runs_no_number(study):
    rows = study.predictions
    alone = replace(study, predictions=rows[rows.arm != "none"])
    assert positive_control(alone, "standard").empty
    checked = checks.manipulation_checks(alone, "standard", "dann", positive_control(alone, "dann"))
    assert "gate" not in " ".join(checked.question)
    some = replace(study, predictions=rows[(rows.arm != "none") | (rows.target != "intent")])
    table = positive_control(some, "standard").set_index(["kind", "part"])
    assert np.isnan(table.theta["average", "all targets"])  # never of other targets than planned
    assert np.isnan(table.theta["target", "intent"]) and table.p["target", "sentiment"] > 0
    own = (rows.arm == "none") & (rows.target == "intent") & (rows.language != "en")
    cut = rows.drop(rows.index[own][0])
    table = positive_control(replace(study, predictions=cut), "standard")
    assert np.isnan(table.set_index("part").theta["intent"]).all()


def test_readme_s_table_has_the_positive_control(study, control):
    comparison = stats.compare(study.predictions)
    checked = checks.manipulation_checks(study, "standard", "dann", control)
    values = summarise(study, comparison, checked, positive_control=control)
    page = targets_table(values)
    assert "standard - none, points [95 %]" in page and "standard - none" in results_table(values)
    row = control[control.kind == "target"].iloc[0]
    assert f"{row.theta:+.2f} [{row.low:+.2f}, {row.high:+.2f}]" in page
    plain = results_table(summarise(study, comparison, checked))
    assert "standard - none" not in plain


def test_averages_over_groups_have_their_rows(many):
    grouped = replace(many, average="groups")
    table = positive_control(grouped, "standard", group_weights).set_index(["kind", "part"])
    groups = table.loc["group"]
    assert list(groups.index) == ["retrieval", "classification", "structured prediction"]
    assert table.theta["average", "all targets"] == pytest.approx(groups.theta.mean())
    left = groups.theta.drop("retrieval").mean()
    assert table.theta["average", "without retrieval"] == pytest.approx(left)


def test_a_difference_that_is_there_is_found(tmp_path):
    found = load_study.collect(simulate(tmp_path, arms=("none", "standard"), seeds=range(4)))
    table = positive_control(moved(found, 25.0), "standard")
    assert (table.low < table.theta).all() and table.low[0] > 0
