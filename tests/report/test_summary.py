"""summary.json and the tables that are made of it."""

import json
import math
import re
from dataclasses import replace

import pandas as pd
import pytest

from simulate import simulate
from xgrl import stats
from xgrl.report import checks, load_study, summary
from xgrl.runs import records


@pytest.fixture(scope="module")
def summarised(tmp_path_factory):
    study = load_study.collect(simulate(tmp_path_factory.mktemp("report"), seeds=(0, 1, 2)))
    comparison = stats.compare(
        study.predictions, margin=1.0, plan={"failed_checks": ["task learned: nli"]}
    )
    return summary.summarise(
        study, comparison, checks.manipulation_checks(study, "standard", "dann")
    ), comparison


def test_summary_is_json_and_has_the_failed_check(summarised):
    values, comparison = summarised
    again = json.loads(json.dumps(values, allow_nan=False))
    assert again["verdict"] == str(comparison) and "task learned: nli" in again["verdict"]
    assert [row["target"] for row in again["table"]] == [
        "all targets",
        "emoji-names",
        "intent",
        "sentiment",
    ]
    assert again["table"][0]["theta"] == comparison.theta and again["blocks"] == 6
    assert again["core_hours"] == pytest.approx(again["runs"] * 12.5 / 3600)


def test_results_table_has_all_numbers(summarised):
    values, comparison = summarised
    text = summary.results_table(values)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4 and len({row.count("|") for row in rows}) == 1
    assert f"{comparison.theta:+.2f} [{comparison.ci[0]:+.2f}, {comparison.ci[1]:+.2f}]" in rows[2]
    difference = comparison.per_task.set_index("target").loc["intent"]
    shown = next(row for row in rows if row.startswith("| intent"))
    assert f"{difference.treatment:.1f}" in shown and f"{difference.theta:+.2f}" in shown
    claim, failed = text.splitlines()[:3:2]
    assert f"{claim.strip('*')} {failed}".endswith(str(comparison))
    assert failed == "Checks that failed: task learned: nli." and claim[:2] == claim[-2:] == "**"
    assert len(comparison.per_intermediate) == 2
    for row in comparison.per_intermediate.itertuples():
        assert f"{row.intermediate} {row.theta:+.2f} [{row.low:+.2f}, {row.high:+.2f}]" in claim


def test_what_must_be_known_of_a_target_stands_beside_its_name(summarised):
    values = json.loads(json.dumps(summarised[0]))
    assert not any("note" in row for row in values["table"])
    values["table"][2]["note"] = "trained on tydiqa"
    assert "| intent (trained on tydiqa)" in summary.targets_table(values)
    assert "intent (trained on tydiqa) &" in summary.latex(values)
    values["table"][2]["data"] = "dev"
    assert "| intent (dev; trained on tydiqa)" in summary.targets_table(values)


def test_results_table_survives_an_interval_that_cannot_be_estimated(summarised):
    values = json.loads(json.dumps(summarised[0]))
    values["table"][1] |= {"low": None, "high": None}
    assert "[not estimable]" in summary.results_table(values)


def test_the_gate_of_each_row_stands_beside_its_control(summarised):
    values = json.loads(json.dumps(summarised[0]))
    assert "| gate" not in summary.results_table(values)
    row = {"intermediate": "", "theta": 1.0, "low": 0.5, "high": 1.5, "p_holm": 0.01}
    control = [row | {"kind": "average", "part": "all targets", "gate": "passed"}]
    below = {"kind": "target", "part": "intent", "gate": "below none", "theta": -1.0}
    control.append(row | below)
    values["positive_control"] = control
    text = summary.results_table(values)
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line[:1] == "|"}
    assert "+1.00 [+0.50, +1.50]" in lines["all targets"] and "passed" in lines["all targets"]
    assert "below none" in lines["intent"] and lines["sentiment"].count("–") == 2
    assert "Gate: standard above none (p of groups and of targets by Holm)" in text


def test_arms_beside_the_compared_ones_stay_out_of_the_readme_and_an_absent_score_is_a_dash(
    tmp_path,
):
    study = load_study.collect(
        simulate(tmp_path, arms=("none", "standard", "dann", "dann-0.1"), seeds=(0, 1))
    )
    runs = study.runs[(study.runs.arm != "none") | (study.runs.target != "intent")]
    study = replace(study, runs=runs)
    values = summary.summarise(
        study,
        stats.compare(study.predictions),
        checks.manipulation_checks(study, "standard", "dann"),
    )
    assert values["arms"] == ["none", "standard", "dann"]
    assert values["table"][0]["scores"]["none"] is None
    assert re.search(r"\| intent +\| – ", summary.results_table(values))
    assert "intent & – &" in summary.latex(values)


def test_control_has_a_column_only_where_it_has_every_target(study):
    runs = study.runs[(study.runs.arm != "control") | (study.runs.target == "intent")]
    for frame, arms in (
        (study.runs, ["none", "standard", "control", "dann"]),
        (runs, ["none", "standard", "dann"]),
    ):
        part = replace(study, runs=frame)
        comparison, checked = (
            stats.compare(study.predictions),
            checks.manipulation_checks(part, "standard", "dann"),
        )
        assert summary.summarise(part, comparison, checked)["arms"] == arms


def test_scores_are_means_over_the_blocks_that_are_compared(study):
    runs = study.runs[(study.runs.arm != "control") | (study.runs.seed == 0)]
    part = replace(study, runs=runs)
    checked = checks.manipulation_checks(part, "standard", "dann")
    values = summary.summarise(part, stats.compare(study.predictions), checked)
    assert values["arms"] == ["none", "standard", "dann"]  # control has half of the blocks
    own = study.predictions[(study.predictions.arm == "none") | (study.predictions.seed == 0)]
    values = summary.summarise(study, stats.compare(own), checked)
    compared = study.runs[(study.runs.phase == "target") & (study.runs.seed == 0)]
    means = compared.groupby(["arm", "target"]).macro.mean()
    for row in values["table"][1:]:
        for arm in ("standard", "control", "dann"):
            assert row["scores"][arm] == pytest.approx(means[arm, row["target"]])


def test_latex_table_has_every_row_and_column(summarised):
    lines = summary.latex(summarised[0]).splitlines()
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == 1 + 4 and len({row.count("&") for row in rows}) == 1
    columns = next(line for line in lines if "begin{tabular}" in line).rsplit("{", 1)[1]
    assert len(columns.rstrip("}")) == rows[0].count("&") + 1
    assert f"${summarised[1].theta:+.2f}$" in rows[1] and lines.count(r"\midrule") == 2
    assert (
        summary.latex(json.loads(json.dumps(summarised[0]).replace("emoji-names", "a_b"))).count(
            r"a\_b"
        )
        == 1
    )


def test_further_parts_of_the_report_become_plain(study):
    comparison = stats.compare(study.predictions)
    checked = checks.manipulation_checks(study, "standard", "dann")
    values = summary.summarise(
        study, comparison, checked, doses=pd.DataFrame({"a": [1.0, math.nan]}), plan=None
    )
    assert values["doses"] == [{"a": 1.0}, {"a": None}] and values["plan"] is None
    json.dumps(values, allow_nan=False)


def test_pages_are_changed_between_the_study_s_markers_only_and_twice_is_once(summarised, tmp_path):
    pages, path = [tmp_path / "README.md", tmp_path / "more.md"], tmp_path / "summary.json"
    records.write_json(path, {**summarised[0], "study": "own"})

    def marked(name, text="old\n"):
        return f"<!-- {name}:start -->\n{text}<!-- {name}:end -->"

    other = marked("other results")
    pages[0].write_text(f"# before\n\n{marked('own results')}\n\nbetween\n\n{other}\n\nafter\n")
    pages[1].write_text(f"{marked('own targets', '')}\n")
    summary.write_tables(path, pages)
    once = [page.read_text() for page in pages]
    start, *_, end = once[0].split("\n\n")
    assert (start, end) == ("# before", "after\n") and other in once[0]
    assert once[0].count("old") == 1 and "Mean over targets" in once[0]
    assert "| intent " in once[1] and "Holm over 3 targets" in once[1]
    summary.write_tables(path, pages)
    assert [page.read_text() for page in pages] == once
    with pytest.raises(ValueError, match="own results:start"):
        pages[0].write_text("no markers, or of one study only: " + other)
        summary.write_tables(path, pages[:1])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"p": 0.05, "theta": 1.0, "tost_p": 0.2}, "better"),
        ({"p": 0.05, "theta": -1.0, "tost_p": 0.01}, "worse (trivial)"),
        ({"p": 0.051, "theta": -1.0, "tost_p": 0.05}, "equivalent"),
        ({"p": 0.051, "theta": -1.0, "tost_p": 0.051}, "inconclusive"),
        ({"p": 0.051, "theta": -1.0, "tost_p": None}, "no difference shown"),
        ({"p": 0.01, "theta": 1.0, "tost_p": 0.2, "described": True}, "describes"),
        ({"p": None, "theta": 1.0, "tost_p": None}, "not estimable"),
    ],
)
def test_the_verdict_of_a_row_follows_from_its_p(summarised, row, said):
    values = json.loads(json.dumps(summarised[0]))
    values["table"][2] |= {"described": False} | row
    shown = next(x for x in summary.targets_table(values).splitlines() if x.startswith("| intent"))
    assert shown.split("|")[-2].strip() == said


def test_arms_table_has_a_row_for_an_arm_that_cannot_be_compared_or_trains_nothing():
    row = {"arm": "dann", "targets": "a, b", "intermediate": "i", "note": ""}
    row |= {"theta": 1.0, "low": 0.5, "high": 1.5, "p": 0.01, "p_max_t": 0.02, "p_holm": 0.03}
    empty = dict.fromkeys(row) | {"arm": "mlm", "note": "no target in common"}
    cost = {"arm": "dann", "flops_ratio": 2.0, "seconds_ratio": None}
    values = {"baseline": "standard", "arms_against_baseline": [row, empty], "costs": [cost]}
    lines = [line.split("|")[1:-1] for line in summary.arms_table(values).splitlines()]
    _, _, dann, mlm = [[cell.strip() for cell in line] for line in lines]
    assert dann == ["dann", "a, b; i", "+1.00 [+0.50, +1.50]", "0.01", "0.02", "0.03", "2.00", "–"]
    assert mlm == ["mlm", "not comparable: no target in common", *[""] * 6]


def test_one_block_a_task_leaves_no_effect_by_task_to_name(summarised):
    values = json.loads(json.dumps(summarised[0]))
    values["comparison"]["per_intermediate"] = []
    assert "tried here (one block each" in summary.results_table(values)
