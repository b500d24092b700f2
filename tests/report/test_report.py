"""What people read: the README's table, the page that opens offline, the comparison with published
results.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import subprocess
import sys

import nbformat
import pandas as pd
import pytest

from simulate import simulate
from xgrl import stats
from xgrl.report import checks, cli, load_study
from xgrl.report.plan import deviations, find_plan
from xgrl.runs import records


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    study = load_study.collect(simulate(tmp_path_factory.mktemp("report"), seeds=(0, 1, 2)))
    comparison = stats.compare(
        study.predictions, margin=1.0, plan={"failed_checks": ["task learned: nli"]}
    )
    return cli.summarise(
        study, comparison, checks.manipulation_checks(study, "standard", "dann")
    ), comparison


@pytest.fixture
def book(tmp_path):
    """An executed notebook in a file, and a function to rewrite it."""

    def write(*cells):
        path = tmp_path / "05_analysis.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
        return path

    return write


def cell(source: str, kind: str = "display_data", data: dict | None = None, **fields):
    output = (
        nbformat.v4.new_output(kind, data=data, **fields)
        if data
        else nbformat.v4.new_output(kind, **fields)
    )
    return nbformat.v4.new_code_cell(source, outputs=[output])


HEAD = nbformat.v4.new_markdown_cell(
    "# A title & more\n\n## 1. First part\ntext with a [link](https://example.org)\n\n## 2. "
    "Second\n"
)
TEXT = {"name": "stdout", "text": "hello <b>\n"}


def test_summary_is_json_and_leads_with_the_failed_check(summary):
    values, comparison = summary
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


def test_readme_table_has_all_numbers(summary):
    values, comparison = summary
    text = cli.readme_table(values)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4 and len({row.count("|") for row in rows}) == 1
    assert f"{comparison.theta:+.2f} [{comparison.ci[0]:+.2f}, {comparison.ci[1]:+.2f}]" in rows[2]
    difference = comparison.per_task.set_index("target").loc["intent"]
    shown = next(row for row in rows if row.startswith("| intent"))
    assert f"{difference.treatment:.1f}" in shown and f"{difference.theta:+.2f}" in shown
    claim = text.splitlines()[0]
    assert claim.endswith(f"{comparison}**") and len(comparison.per_intermediate) == 2
    for row in comparison.per_intermediate.itertuples():
        assert f"{row.intermediate} {row.theta:+.2f} [{row.low:+.2f}, {row.high:+.2f}]" in claim


def test_readme_says_when_p_cannot_be_smaller(summary):
    values = json.loads(json.dumps(summary[0]))
    for p, said in ((2 / 2**6, True), (3 / 2**6, False)):
        values["comparison"]["p"] = p
        assert ("smallest that a sign flip" in cli.readme_table(values)) == said


def test_readme_table_survives_an_interval_that_cannot_be_estimated(summary):
    values = json.loads(json.dumps(summary[0]))
    values["table"][1] |= {"low": None, "high": None}
    assert "[+nan, +nan]" in cli.readme_table(values)


def test_arms_beside_the_compared_ones_stay_out_of_the_readme_and_an_absent_score_is_a_dash(
    tmp_path,
):
    study = load_study.collect(
        simulate(tmp_path, arms=("none", "standard", "dann", "dann-0.1"), seeds=(0, 1))
    )
    runs = study.runs[(study.runs.arm != "none") | (study.runs.target != "intent")]
    study = load_study.Study(**{**vars(study), "runs": runs})
    values = cli.summarise(
        study,
        stats.compare(study.predictions),
        checks.manipulation_checks(study, "standard", "dann"),
    )
    assert (
        values["arms"] == ["none", "standard", "dann"]
        and values["table"][0]["scores"]["none"] is None
    )
    assert "| intent | \u2013 |" in cli.readme_table(values) and "intent & \u2013 &" in cli.latex(
        values
    )


def test_control_has_a_column_only_where_it_has_every_target(tmp_path):
    study = load_study.collect(simulate(tmp_path, seeds=(0, 1)))
    runs = study.runs[(study.runs.arm != "control") | (study.runs.target == "intent")]
    for frame, arms in (
        (study.runs, ["none", "standard", "control", "dann"]),
        (runs, ["none", "standard", "dann"]),
    ):
        part = load_study.Study(**{**vars(study), "runs": frame})
        comparison, checked = (
            stats.compare(study.predictions),
            checks.manipulation_checks(part, "standard", "dann"),
        )
        assert cli.summarise(part, comparison, checked)["arms"] == arms


def test_latex_table_has_every_row_and_column(summary):
    lines = cli.latex(summary[0]).splitlines()
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == 1 + 4 and len({row.count("&") for row in rows}) == 1
    columns = next(line for line in lines if "begin{tabular}" in line).rsplit("{", 1)[1]
    assert len(columns.rstrip("}")) == rows[0].count("&") + 1
    assert f"${summary[1].theta:+.2f}$" in rows[1] and lines.count(r"\midrule") == 2
    assert (
        cli.latex(json.loads(json.dumps(summary[0]).replace("emoji-names", "a_b"))).count(r"a\_b")
        == 1
    )


def test_further_parts_of_the_report_become_plain(summary, tmp_path):
    study = load_study.collect(simulate(tmp_path, seeds=(0, 1)))
    comparison = stats.compare(study.predictions)
    checked = checks.manipulation_checks(study, "standard", "dann")
    values = cli.summarise(
        study, comparison, checked, doses=pd.DataFrame({"a": [1.0, math.nan]}), plan=None
    )
    assert values["doses"] == [{"a": 1.0}, {"a": None}] and values["plan"] is None
    json.dumps(values, allow_nan=False)


def test_readme_is_changed_between_its_markers_only_and_twice_is_once(summary, tmp_path):
    readme, path = tmp_path / "README.md", tmp_path / "summary.json"
    records.write_json(path, summary[0])
    start, end = cli.MARKERS
    readme.write_text(f"# before\n\n{start}\nold\n{end}\n\nafter\n")
    cli.write_readme(path, readme)
    once = readme.read_text()
    assert (
        once.startswith("# before\n\n") and once.endswith(f"{end}\n\nafter\n") and "old" not in once
    )
    cli.write_readme(path, readme)
    assert readme.read_text() == once
    readme.write_text("no markers")
    with pytest.raises(ValueError, match="results:start"):
        cli.write_readme(path, readme)


def test_page_has_contents_figures_inside_and_fetches_nothing(book, tmp_path):
    picture = {"image/png": "iVBORw0KGgo="}
    table = {"text/html": pd.DataFrame({"a": [1]}).to_html(), "text/plain": "a"}
    path = book(
        HEAD,
        cell("print('hello')", "stream", **TEXT),
        cell("figure", data=picture),
        cell("frame", data=table),
    )
    page = cli.html(path, tmp_path / "report.html", lead="verdict: a < b").read_text()
    links = re.findall(r'<li class="h2"><a href="#([^"]+)">', page)
    assert len(links) == 2 and all(f'id="{name}"' in page for name in links)
    assert (
        "<title>A title &amp; more</title>" in page
        and "verdict: a &lt; b" in page.split("<nav>")[0]
    )
    assert "data:image/png;base64,iVBORw0KGgo=" in page and "hello &lt;b&gt;" in page
    assert page.count("<details>") == 3 and "<script" not in page
    # a link is no fetch
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]+)"', page) == ["https://example.org"]


def test_columns_of_numbers_are_set_right_and_text_left(book, tmp_path):
    frame = pd.DataFrame(
        {"name": ["a", "b"], "n": [1, 2], "p": ["<0.0001", "0.3"], "mixed": ["1", "x"]}
    )
    by_two = pd.DataFrame({"k": ["u", "u"], "l": ["v", "w"], "m": [1.5, 2.5]}).set_index(["k", "l"])
    tables = [{"text/html": each._repr_html_()} for each in (frame, by_two)]
    page = cli.html(
        book(HEAD, *(cell("x", data=table) for table in tables)), tmp_path / "report.html"
    ).read_text()
    for right in ("<th>n</th>", "<th>p</th>", "<td>1</td>\n<td>", "<th>m</th>", "<td>2.5</td>"):
        assert right not in page
    for heading, right in (
        ("name", False),
        ("n", True),
        ("p", True),
        ("mixed", False),
        ("m", True),
    ):
        assert (f'<th class="number">{heading}</th>' in page) is right and (
            f"<th>{heading}</th>" in page
        ) is not right
    assert page.count('<td class="number">') == 2 + 2 + 2 and "text-align: right" not in page
    assert "<th>0</th>" not in page and "<th>u</th>" not in page.replace(
        '<th rowspan="2" valign="top">u</th>', ""
    )


def test_default_parameters_give_way_to_those_of_the_run(book, tmp_path):
    default, own = (cell(f"study = {name!r}", "stream", **TEXT) for name in ("smoke", "laptop"))
    default.metadata["tags"], own.metadata["tags"] = ["parameters"], ["injected-parameters"]
    assert "smoke" in cli.html(book(HEAD, default), tmp_path / "report.html").read_text()
    page = cli.html(book(HEAD, default, own), tmp_path / "report.html").read_text()
    assert "laptop" in page and "smoke" not in page


@pytest.mark.parametrize(
    "html",
    [
        '<script>alert(1)</script>',
        '<img src="https://example.org/a.png">',
        "<img src=//example.org/a.png>",
        '<img src="figures/a.png">',
        '<link rel="stylesheet" href="https://example.org/a.css">',
        "<style>@import 'https://example.org/a.css'</style>",
        "<style>body{background:url(https://example.org/a.png)}</style>",
        '<iframe src="x"></iframe>',
    ],
)  # fmt: skip
def test_page_that_would_fetch_something_is_refused(book, tmp_path, html):
    with pytest.raises(ValueError, match="would fetch something or run a script"):
        cli.html(book(HEAD, cell("x", data={"text/html": html})), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_page_of_a_notebook_that_failed_or_never_ran_is_refused(book, tmp_path):
    with pytest.raises(ValueError, match="it has no outputs"):
        cli.html(book(HEAD, nbformat.v4.new_code_cell("1")), tmp_path / "report.html")
    error = cell("1 / 0", "error", ename="ZeroDivisionError", evalue="", traceback=[])
    with pytest.raises(ValueError, match="a cell failed"):
        cli.html(book(HEAD, error), tmp_path / "report.html")


def results(folder, change=0.0, drop=0, verdict="superior", theta=10.0):
    frame = pd.DataFrame({
        "study": "s", "intermediate": "i", "arm": ["none", "dann"], "target": "t", "seed": 0, "language": "de",
        "metric": "accuracy", "score": [50.0, 60.0 + change], "n": 10,
    })  # fmt: skip
    (folder / "analysis").mkdir(parents=True, exist_ok=True)
    frame.iloc[drop:].to_csv(folder / "analysis" / "results.csv", index=False)
    row = {"target": "all targets", "theta": theta, "low": 9.0, "high": None, "p": 0.01}
    records.write_json(
        folder / "analysis" / "summary.json", {"table": [row], "comparison": {"verdict": verdict}}
    )
    return folder


def test_verify_says_what_differs_and_by_how_much(tmp_path):
    reference = results(tmp_path / "reference")
    assert cli.verify(results(tmp_path / "same"), reference).empty
    found = cli.verify(results(tmp_path / "other", change=0.25), reference)
    assert found[["arm", "difference"]].to_numpy().tolist() == [["dann", 0.25]]
    missing = cli.verify(results(tmp_path / "less", drop=1), reference)
    assert missing.arm.tolist() == ["none"] and math.isnan(missing.difference[0])


def test_verify_says_how_the_verdict_differs(tmp_path):
    reference = results(tmp_path / "reference")
    # rounding
    assert cli.verify_verdict(results(tmp_path / "same", theta=10.0 + 1e-13), reference).empty
    found = cli.verify_verdict(
        results(tmp_path / "other", verdict="inconclusive", theta=9.5), reference
    )
    assert found.number.tolist() == ["verdict", "theta"] and found.difference.iloc[1] == -0.5
    assert found[["here", "reference"]].iloc[0].tolist() == ["inconclusive", "superior"]


def test_publish_copies_the_analysis_and_every_record_and_verify_compares_bytes(tmp_path, capsys):
    study = results(tmp_path / "study")
    with pytest.raises(ValueError, match=r"report\.html"):
        cli.publish(study, tmp_path / "reference")
    (study / "analysis" / "report.html").write_text("<p>report")
    run = study / "target" / "t" / "none" / "seed-0"
    records.write_json(run / "run.json", {"schema": 1})
    (run / "predictions.parquet").write_bytes(b"one")
    cli.publish(study, tmp_path / "reference")
    assert (tmp_path / "reference/analysis/report.html").read_text() == "<p>report"
    assert list(json.loads((tmp_path / "reference/runs.json").read_text())) == [
        "target/t/none/seed-0"
    ]
    assert cli.main(["verify", str(study), str(tmp_path / "reference")]) == 0
    assert "1 of 1 runs are equal bit for bit" in capsys.readouterr().out
    (run / "predictions.parquet").write_bytes(b"two")
    cli.main(["verify", str(study), str(tmp_path / "reference")])
    assert "0 of 1 runs are equal" in capsys.readouterr().out


def test_command_line(tmp_path, summary, book, capsys):
    reference, other = results(tmp_path / "reference"), results(tmp_path / "other", change=0.25)

    def call(*arguments):
        return cli.main(list(map(str, arguments))), *capsys.readouterr()

    assert call("verify", reference, reference)[0] == 0
    code, out, _ = call("verify", other, reference)
    assert code == 1 and "1 scores differ, by at most 0.25 points; 0 are on one side only" in out
    assert "the verdict and its numbers are equal" in out
    code, out, _ = call("verify", results(tmp_path / "third", verdict="inferior"), reference)
    assert code == 1 and "inferior  superior" in out
    code, _, problem = call("summary", tmp_path / "absent")
    assert code == 2 and problem.startswith("refused: ")
    records.write_json(tmp_path / "summary.json", summary[0])
    partial = json.loads(json.dumps(summary[0]))
    partial["table"][0]["scores"]["control"] = None  # an arm that has some of the targets only
    records.write_json(tmp_path / "partial" / "analysis" / "summary.json", partial)
    code, out, _ = call("summary", tmp_path / "partial")
    assert code == 0 and "control" not in out.splitlines()[2] and "standard" in out.splitlines()[2]
    book(HEAD, cell("print('hello')", "stream", **TEXT))
    assert call("html", tmp_path)[0] == 0
    assert summary[0]["verdict"][:40] in (tmp_path / "report.html").read_text()
    shell = subprocess.run(
        [sys.executable, "-m", "xgrl.report.cli", "tell"], capture_output=True, text=True
    )
    assert shell.returncode == 2 and "html" in shell.stderr


PLAN = """---
study: simulated
date: 2026-01-02
baseline: standard
treatment: dann
margin: 1.0
alpha: 0.05
unit: block
targets: [sentiment, intent, emoji-names]
intermediate: [sarcasm, question-type]
seeds: 2
weights: equal
lambda_max: 0.05
domains: languages
discriminator_languages: 4
exclusions: none
---

# The plan
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return load_study.collect(simulate(tmp_path_factory.mktemp("planned"), seeds=(0, 1)))


def test_a_study_without_a_plan_has_none_and_one_with_it_is_found(tmp_path):
    assert find_plan("simulated", tmp_path) is None
    (tmp_path / "analysis_plan.md").write_text(PLAN)
    plan = find_plan("simulated", tmp_path)
    assert plan.sha256 == hashlib.sha256(PLAN.encode()).hexdigest() and plan.weights is None
    assert find_plan("other", tmp_path) is None
    own = tmp_path / "analysis_plan.other.md"
    own.write_text(
        PLAN.replace("study: simulated", "study: other").replace(
            "weights: equal", "weights: {intent: 2}"
        )
    )
    assert find_plan("other", tmp_path).path == own and find_plan("other", tmp_path).weights == {
        "intent": 2
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# no front matter", "begins without front matter"),
        (PLAN.replace("margin: 1.0\n", ""), "is missing 'margin'"),
        (PLAN.replace("margin: 1.0", "margins: 1.0"), "front matter"),
        (
            PLAN.replace("study: simulated", "study: else"),
            "is the plan of study 'else', need 'simulated'",
        ),
    ],
)
def test_a_plan_that_cannot_be_read_is_refused(tmp_path, text, message):
    (tmp_path / "analysis_plan.simulated.md").write_text(text)
    with pytest.raises(ValueError, match=message):
        find_plan("simulated", tmp_path)


def deviated(folder, study, text, margin=1.0):
    (folder / "analysis_plan.md").write_text(text)
    held = deviations(find_plan("simulated", folder), study, "standard", "dann", margin)
    return held[~held.ok].set_index("item")[["planned", "found"]].T.to_dict("list")


def test_a_study_that_keeps_its_plan_has_no_deviations(tmp_path, planned):
    assert deviated(tmp_path, planned, PLAN) == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("seeds: 2", "seeds: 6", {"seeds": ["6", "2"], "blocks": ["12", "4"]}),
        ("lambda_max: 0.05", "lambda_max: 0.1", {"lambda max": ["0.1", "0.05"]}),
        ("margin: 1.0", "margin: 0.5", {"margin": ["0.5", "1"]}),
        (
            "[sentiment, intent, emoji-names]",
            "[sentiment]",
            {"targets": ["sentiment", "emoji-names, intent, sentiment"]},
        ),
        (
            "discriminator_languages: 4",
            "discriminator_languages: 9",
            {"discriminator languages": ["9", "4"]},
        ),
        ("domains: languages", "domains: binary", {"domains": ["binary", "languages"]}),
        ("alpha: 0.05", "alpha: 0.01", {"alpha": ["0.01", "0.05"]}),
    ],
)
def test_every_departure_from_the_plan_is_listed(tmp_path, planned, old, new, expected):
    assert deviated(tmp_path, planned, PLAN.replace(old, new)) == expected


def test_the_registered_plan_of_the_laptop_study_can_be_read(root):
    plan = find_plan("laptop", root / "params")
    assert (
        str(plan.fields["date"]) == "2026-11-23"
        and plan.fields["treatment"] == "dann"
        and plan.weights is None
    )
    assert find_plan("smoke", root / "params") is None
