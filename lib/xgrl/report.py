"""What people read of a study: the verdict sentence, the README table, one HTML file, the comparison with published results.

Commands:

    python -m xgrl.report html outputs/STUDY/analysis       its executed notebook as report.html, one file that opens offline
    python -m xgrl.report summary outputs/STUDY             the verdict
    python -m xgrl.report readme SUMMARY.json README.md     the results table between its markers
    python -m xgrl.report verify outputs/STUDY REFERENCE    what differs from published results, and by how much
    python -m xgrl.report publish outputs/STUDY REFERENCE   copy what is cited into the reference folder
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from xgrl import records, stats
from xgrl.collecting import KEYS, Study, arms_in_order

MARKERS = ("<!-- results:start -->", "<!-- results:end -->")


def summarise(study: Study, comparison: stats.Comparison, checked: pd.DataFrame) -> dict[str, Any]:
    """What summary.json holds: verdict, comparison, checks, audit, the rows of the README table, and what the study cost."""
    macro = study.runs[study.runs.phase == "target"].pivot_table(index="target", columns="arm", values="macro")
    macro = macro[arms_in_order(macro.columns)]
    whole = {"theta": comparison.theta, "low": comparison.ci[0], "high": comparison.ci[1], "p": comparison.p}
    rows = [{"target": "all targets", "scores": macro.mean().to_dict()} | whole]
    for row in comparison.per_task.itertuples():
        numbers = {"theta": row.theta, "low": row.low, "high": row.high, "p": row.p_holm}
        rows.append({"target": row.target, "scores": macro.loc[row.target].to_dict()} | numbers)
    return {
        "study": study.name,
        "verdict": str(comparison),
        "baseline": comparison.baseline,
        "treatment": comparison.treatment,
        "arms": list(macro.columns),
        "blocks": comparison.n_blocks,
        "table": [{key: None if value != value else value for key, value in row.items()} for row in rows],
        "checks": checked.to_dict("records"),
        "audit": study.audit.to_dict("records"),
        "comparison": comparison.summary(),
        "runs": len(study.runs),
        "core_hours": float((study.runs.wall_seconds * study.runs.threads).sum() / 3600),
        "peak_memory_mb": float(study.runs.peak_memory_mb.max()),
    }


def readme_table(summary: dict[str, Any]) -> str:
    """Markdown of summary.json: the verdict, then one row a target with arms, difference, 95 % interval and p."""
    arms = summary["arms"]
    head = ["zero-shot score, %", *arms, f"{summary['treatment']} - {summary['baseline']}, points [95 %]", "p"]
    lines = [f"**{summary['verdict']}**", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in summary["table"]:
        low, high = (row[side] if row[side] is not None else float("nan") for side in ("low", "high"))
        cells = [row["target"], *(f"{row['scores'][arm]:.1f}" for arm in arms)]
        cells += [f"{row['theta']:+.2f} [{low:+.2f}, {high:+.2f}]", format(row["p"], ".2g")]
        lines.append(f"| {' | '.join(cells)} |")
    cost = f"{summary['runs']} runs, {summary['core_hours']:.2f} core hours, at most {summary['peak_memory_mb']:.0f} MB a job."
    blocks = f"{summary['blocks']} blocks (intermediate task x seed). Macro average over zero-shot languages, English apart."
    return "\n".join([*lines, "", f"{blocks} p of single targets adjusted by Holm. {cost}"]) + "\n"


def write_readme(summary_path: str | Path, readme_path: str | Path) -> None:
    """Put `readme_table` between the two markers of a README; ValueError where it has none."""
    text = Path(readme_path).read_text()
    start, end = MARKERS
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"{readme_path}: needs the lines {start} and {end}, once each")
    table = readme_table(json.loads(Path(summary_path).read_text()))
    before, rest = text.split(start)
    records.write_bytes(readme_path, f"{before}{start}\n{table}{end}{rest.split(end)[1]}".encode())


STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
nav{border:1px solid #ccc;padding:.5rem 1rem;margin:1rem 0}nav ul{margin:0;padding-left:1.2rem}nav .h3{margin-left:1.2rem}
table{border-collapse:collapse;font-size:.85rem;margin:.5rem 0;display:block;overflow-x:auto}
th,td{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right}thead th{border-bottom:2px solid #111}
img,svg{max-width:100%;height:auto}pre{overflow-x:auto;font-size:.85rem;background:#f6f6f6;padding:.5rem}
details{color:#555;font-size:.85rem}.anchor-link,.prompt{display:none}a{color:#0058a3}
"""
TEMPLATE = """{%- extends 'basic/index.html.j2' -%}
{% block input_group %}<details><summary>code</summary>{{ super() }}</details>{% endblock %}"""
FETCHED = r"""(?:\b(?:src|srcset|poster|data)\s*=|<link\b[^>]*\bhref\s*=|\burl\(|@import)\s*["']?\s*(?!data:|#)[^\s"'>)]"""
NETWORK = re.compile(rf"{FETCHED}|<script\b|<iframe\b", re.I)


def html(executed: str | Path, output: str | Path, lead: str = "") -> Path:
    """One HTML file of an executed notebook: contents, figures inside, code folded away, nothing fetched from anywhere.

    Args:
        executed: notebook with outputs. output: the page. lead: a sentence to put above everything, such as the verdict.

    Raises:
        ValueError: the notebook was not executed, a cell of it failed, or the page would fetch something when opened.
    """
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    notebook = nbformat.read(executed, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    if not outputs or any(output.output_type == "error" for output in outputs):
        found = "a cell failed" if outputs else "it has no outputs"
        raise ValueError(f"{executed}: {found}; run the notebook to its end first")
    exporter = HTMLExporter(template_file="folded", extra_loaders=[DictLoader({"folded": TEMPLATE})])
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    body, _ = exporter.from_notebook_node(notebook)
    headings = re.findall(r'<h([123])[^>]*\bid="([^"]+)"[^>]*>(.*?)</h\1>', body, re.S)
    headings = [(level, name, re.sub(r"<[^>]+>|¶", "", text).strip()) for level, name, text in headings]
    title = next((text for level, _, text in headings if level == "1"), escape(Path(executed).stem))
    links = "".join(f'<li class="h{level}"><a href="#{name}">{text}</a></li>' for level, name, text in headings if level != "1")
    opening = f"<p><strong>{escape(lead)}</strong></p>" if lead else ""
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>{opening}<nav><b>Contents</b><ul>{links}</ul></nav>{body}</body></html>\n"
    )
    if found := NETWORK.search(page):
        raise ValueError(f"{executed}: the page would fetch something or run a script: {page[found.start() :][:80]!r}")
    return records.write_bytes(output, page.encode())


def verify(study_dir: str | Path, reference_dir: str | Path) -> pd.DataFrame:
    """Compare analysis/results.csv of two runs of a study, cell by cell.

    Returns:
        one row a difference: the key columns, score_here, score_reference, difference (NaN where one side has no such cell);
        empty when all scores and counts are equal.
    """
    here, reference = (pd.read_csv(Path(folder) / "analysis" / "results.csv") for folder in (study_dir, reference_dir))
    keys = ["study", *KEYS, "language", "metric"]
    both = here.merge(reference, on=keys, how="outer", suffixes=("_here", "_reference"))
    both["difference"] = both.score_here - both.score_reference
    equal = (both.difference == 0) & (both.n_here == both.n_reference)
    columns = [*keys, "n_here", "n_reference", "score_here", "score_reference", "difference"]
    return both.loc[~equal, columns].reset_index(drop=True)


def run_records(study_dir: str | Path) -> dict[str, dict[str, Any]]:
    """Every ``run.json`` of a study by the run's folder, with the sha256 of its predictions where it has any."""
    found = {}
    for path in sorted(Path(study_dir).rglob("run.json")):
        predictions = path.parent / "predictions.parquet"
        name = str(path.parent.relative_to(study_dir))
        found[name] = json.loads(path.read_text())
        if predictions.exists():
            found[name]["predictions_sha256"] = hashlib.sha256(predictions.read_bytes()).hexdigest()
    return found


def publish(study_dir: str | Path, reference_dir: str | Path) -> None:
    """Copy what a study is cited by into a reference folder: its analysis (notebook, report, results, figures) and runs.json.

    Raises:
        ValueError: the study has no finished report.
    """
    analysis = Path(study_dir) / "analysis"
    if not (analysis / "report.html").exists():
        raise ValueError(f"{analysis}: no report.html; run the study to its end first")
    skip = shutil.ignore_patterns(".*")
    target = Path(reference_dir) / "analysis"
    records.replace_folder(target, lambda p: shutil.copytree(analysis, p, dirs_exist_ok=True, ignore=skip))
    records.write_json(Path(reference_dir) / "runs.json", run_records(study_dir))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit 0, 1 where `verify` found differences, 2 where something is missing or broken."""
    parser = argparse.ArgumentParser(prog="python -m xgrl.report", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, places in (
        ("html", ["analysis"]),
        ("summary", ["study"]),
        ("readme", ["summary", "readme"]),
        ("verify", ["study", "reference"]),
        ("publish", ["study", "reference"]),
    ):
        command = commands.add_parser(name)
        for place in places:
            command.add_argument(place, type=Path)
    command, *paths = vars(parser.parse_args(arguments)).values()
    try:
        actions = {"html": _html, "summary": _summary, "readme": _readme, "verify": _verify, "publish": _publish}
        return actions[command](*paths)
    except (ValueError, FileNotFoundError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2


def _html(analysis: Path) -> int:
    verdict = json.loads((analysis / "summary.json").read_text())["verdict"]
    print(html(analysis / "05_analysis.ipynb", analysis / "report.html", verdict))
    return 0


def _summary(study: Path) -> int:
    """Five lines: what ran, the verdict, the numbers behind it, the targets, where the report is."""
    summary = json.loads((study / "analysis" / "summary.json").read_text())
    comparison, (whole, *targets) = summary["comparison"], summary["table"]
    print(
        f"study {summary['study']}: {summary['runs']} runs, {summary['blocks']} blocks, {summary['core_hours']:.2f} core hours"
    )
    print(f"verdict: {summary['verdict']}")
    scores = ", ".join(f"{arm} {value:.1f}" for arm, value in whole["scores"].items())
    tests = ", ".join(
        f"{name} p {comparison[key]:.2g}" for name, key in (("sign flip", "p_signflip"), ("crossed", "p_crossed"))
    )
    print(f"zero-shot macro, %: {scores}; {tests}")
    print("by target, points: " + ", ".join(f"{row['target']} {row['theta']:+.2f}" for row in targets))
    print(f"report: {study / 'analysis' / 'report.html'}")
    return 0


def _readme(summary: Path, readme: Path) -> int:
    write_readme(summary, readme)
    return 0


def _publish(study: Path, reference: Path) -> int:
    publish(study, reference)
    print(f"{study} -> {reference}")
    return 0


def _verify(study: Path, reference: Path) -> int:
    """Scores first; then, where the reference lists its runs, whether the predictions are the same bytes."""
    if (reference / "runs.json").exists():
        key = "predictions_sha256"
        theirs = {name: run[key] for name, run in json.loads((reference / "runs.json").read_text()).items() if key in run}
        ours = {name: run[key] for name, run in run_records(study).items() if key in run}
        equal = sum(ours.get(name) == digest for name, digest in theirs.items())
        print(f"predictions: {equal} of {len(theirs)} runs are equal bit for bit")
    differences = verify(study, reference)
    if differences.empty:
        print("every score is equal")
        return 0
    print(differences.to_string(max_rows=40))
    print(f"{len(differences)} scores differ, by at most {differences.difference.abs().max():.4g} points")
    return 1


if __name__ == "__main__":
    sys.exit(main())
