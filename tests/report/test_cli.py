"""The command line of the report: what it prints, and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from simulate import simulate
from small_report import HEAD, TEXT, cell, finished, write_analysis, write_notebook
from xgrl import stats
from xgrl.report import checks, cli, load_study
from xgrl.report.summary import latex, results_table, summarise
from xgrl.runs import records


@pytest.fixture(scope="module")
def summary(study):
    checked = checks.manipulation_checks(study, "standard", "dann")
    return summarise(study, stats.compare(study.predictions), checked)


@pytest.fixture
def call(capsys):
    return lambda *arguments: (cli.main(list(map(str, arguments))), *capsys.readouterr())


def test_verify_prints_what_differs_and_exits_with_it(tmp_path, call):
    there = write_analysis(tmp_path / "reference")
    assert call("verify", there, there)[0] == 0
    code, out, _ = call("verify", write_analysis(tmp_path / "other", change=0.25), there)
    assert code == 1 and "1 scores differ, by at most 0.25 points; 0 are on one side only" in out
    assert "the verdict and its numbers are equal" in out
    code, out, _ = call("verify", write_analysis(tmp_path / "third", verdict="inferior"), there)
    assert code == 1 and "inferior  superior" in out


def test_publish_and_verify_compare_the_bytes_of_predictions(tmp_path, call):
    study, there = write_analysis(tmp_path / "study"), tmp_path / "reference"
    code, _, problem = call("publish", study, there)
    assert code == 2 and "report.html" in problem
    (study / "analysis" / "report.html").write_text("<p>report")
    run = study / "target" / "t" / "none" / "seed-0"
    finished(run)
    assert call("publish", study, there)[0] == 0
    code, out, _ = call("verify", study, there)
    assert code == 0 and "1 of 1 runs are equal bit for bit" in out
    finished(run, b"two")
    assert "0 of 1 runs are equal" in call("verify", study, there)[1]


def test_summary_is_five_lines_without_an_arm_that_has_some_targets_only(tmp_path, summary, call):
    code, _, problem = call("summary", tmp_path / "absent")
    assert code == 2 and problem.startswith("refused: ")
    partial = json.loads(json.dumps(summary))
    partial["table"][0]["scores"]["control"] = None
    records.write_json(tmp_path / "analysis" / "summary.json", partial)
    code, out, _ = call("summary", tmp_path)
    lines = out.splitlines()
    assert code == 0 and len(lines) == 5
    assert "control" not in lines[2] and "standard" in lines[2]
    assert lines[0].endswith(" core hours")
    records.write_json(tmp_path / "analysis" / "summary.json", partial | {"beside": ["a", "b"]})
    assert "; 2 in its folder that the study file does not" in call("summary", tmp_path)[1]


def test_two_arms_that_score_the_same_on_every_item_have_a_summary_too(tmp_path, call):
    folder = simulate(tmp_path, arms=("control", "dann-0"), seeds=(0, 1))
    for path in folder.glob("target/*/*.control/*/predictions.parquet"):
        other = Path(str(path).replace(".control/", ".dann-0/"))
        pd.read_parquet(path).assign(arm="dann-0").to_parquet(other)
    study = load_study.collect(folder)
    comparison = stats.compare(study.predictions, "control", "dann-0")
    checked = checks.manipulation_checks(study, "control", "dann-0")
    values = summarise(study, comparison, checked)
    records.write_json(folder / "analysis" / "summary.json", values)
    code, out, problem = call("summary", folder)
    assert code == 0 and not problem
    assert "sign flip p 1, crossed p not estimable" in out and "intent +0.00" in out
    for text in (results_table(values), latex(values)):
        assert "not estimable" in text and "nan" not in text
    assert "+0.00 [not estimable]" in results_table(values)


def test_readme_and_html_are_written(tmp_path, summary, call):
    records.write_json(tmp_path / "summary.json", summary)
    name = f"{summary['study']} results"
    (tmp_path / "README.md").write_text(f"<!-- {name}:start -->\n<!-- {name}:end -->\n")
    assert call("readme", tmp_path / "summary.json", tmp_path / "README.md")[0] == 0
    assert "| all targets" in (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text("no markers")
    assert call("readme", tmp_path / "summary.json", tmp_path / "README.md")[0] == 2
    write_notebook(tmp_path, HEAD, cell("print('hello')", "stream", **TEXT))
    assert call("html", tmp_path)[0] == 0
    assert summary["verdict"][:40] in (tmp_path / "report.html").read_text()


def test_an_unknown_command_exits_with_2_and_names_it():
    shell = [sys.executable, "-m", "xgrl.report.cli", "tell"]
    done = subprocess.run(shell, capture_output=True, text=True)
    assert done.returncode == 2 and "tell" in done.stderr
    usage = subprocess.run([*shell[:3], "--help"], capture_output=True, text=True)
    assert all(name in usage.stdout for name in ("html", "summary", "readme", "verify", "publish"))
