"""What people read of a study: the verdict sentence, the README table, one HTML file, the
comparison with published results.

Commands:

    python -m xgrl.report.cli html outputs/STUDY/analysis       its executed notebook as report.html, one file that opens offline
    python -m xgrl.report.cli summary outputs/STUDY             the verdict
    python -m xgrl.report.cli readme SUMMARY.json README.md     the results table between its markers
    python -m xgrl.report.cli verify outputs/STUDY REFERENCE    what differs from published results, and by how much
    python -m xgrl.report.cli publish outputs/STUDY REFERENCE   copy what is cited into the reference folder
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from xgrl import stats
from xgrl.arms import arms_in_order
from xgrl.report.html import html
from xgrl.report.load_study import Study
from xgrl.report.reference import publish, run_records, verify, verify_verdict
from xgrl.runs import records

MARKERS = ("<!-- results:start -->", "<!-- results:end -->")
ARM_MARKERS = ("<!-- arms:start -->", "<!-- arms:end -->")


def summarise(
    study: Study,
    comparison: stats.Comparison,
    checked: pd.DataFrame,
    **further: pd.DataFrame | Mapping | str | None,
) -> dict[str, Any]:
    """What summary.json holds: verdict, comparison, checks, audit, the rows of the README table,
    and what the study cost.

    Args:
        further: more parts of the report by name, tables or plain values; a table becomes a list of
            its rows.
    """
    macro = study.runs[study.runs.phase == "target"].pivot_table(
        index="target", columns="arm", values="macro"
    )
    main = {"none", "control", comparison.baseline, comparison.treatment}
    macro = macro[arms_in_order(main & set(macro.columns))].loc[
        [row.target for row in comparison.per_task.itertuples()]
    ]
    # trained to be probed, on one target: no column of its own
    if "control" in macro and macro["control"].isna().any():
        macro = macro.drop(columns="control")
    whole = {
        "theta": comparison.theta,
        "low": comparison.ci[0],
        "high": comparison.ci[1],
        "p": comparison.p,
    }
    average = macro.mul(comparison.weights, axis=0).sum(min_count=len(macro))
    rows = [{"target": "all targets", "scores": average.to_dict()} | whole]
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
        "table": stats.plain(rows),
        "checks": checked.to_dict("records"),
        "audit": study.audit.to_dict("records"),
        "comparison": comparison.summary(),
        "runs": len(study.runs),
        "core_hours": float((study.runs.wall_seconds * study.runs.threads).sum() / 3600),
        "peak_memory_mb": float(study.runs.peak_memory_mb.max()),
    } | {name: stats.plain(part) for name, part in further.items()}


def latex(summary: dict[str, Any]) -> str:
    """The results table as LaTeX with booktabs: one row a target with arms, difference, 95 %
    interval and p.
    """
    arms = summary["arms"]
    names = " & ".join(_escaped(arm) for arm in arms)
    lines = [
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'r' * len(arms)}rlr}}",
        r"\toprule",
        rf"target & {names} & difference & 95\,\% interval & $p$ \\",
        r"\midrule",
    ]
    for k, row in enumerate(summary["table"]):
        cells = [
            _escaped(row["target"]),
            *(_score(row, arm) for arm in arms),
            f"${row['theta']:+.2f}$",
        ]
        known = row["low"] is not None and row["high"] is not None
        cells += [f"$[{row['low']:+.2f}, {row['high']:+.2f}]$" if known else "not estimable"]
        p = _p(row["p"])
        cells += [f"${p}$" if p[0] in "<0123456789" else p]
        lines += [rf"{' & '.join(cells)} \\"] + [r"\midrule"] * (k == 0)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _score(row: dict[str, Any], arm: str) -> str:
    value = row["scores"][arm]
    return "\u2013" if value is None else f"{value:.1f}"


def _p(p: float | None) -> str:
    return stats.p_format(float("nan") if p is None else p)


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "&%$#_{}" else c for c in text)


def readme_table(summary: dict[str, Any]) -> str:
    """Markdown of summary.json: the verdict with the effect after each intermediate task, then one
    row a target with arms, difference, 95 % interval and p, and whether p is at its floor.
    """
    arms = summary["arms"]
    head = [
        "zero-shot score, %",
        *arms,
        f"{summary['treatment']} - {summary['baseline']}, points [95 %]",
        "p",
    ]
    lines = [f"**{_scope(summary)}{summary['verdict']}**", ""]
    lines += [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in summary["table"]:
        cells = [row["target"], *(_score(row, arm) for arm in arms), _interval(row), _p(row["p"])]
        lines.append(f"| {' | '.join(cells)} |")
    cost = (
        f"{summary['runs']} runs, {summary['core_hours']:.2f} core hours, at most "
        f"{summary['peak_memory_mb']:.0f} MB a job."
    )
    blocks = (
        f"{summary['blocks']} blocks (intermediate task x seed). Macro average over zero-shot "
        f"languages, English apart."
    )
    p = "p of single targets adjusted by Holm."
    if summary["comparison"]["p"] == 2 / 2 ** summary["blocks"]:
        p = f"The p above is the smallest that a sign flip over so many blocks can give; {p}"
    return "\n".join([*lines, "", f"{blocks} {p} {cost}"]) + "\n"


def _scope(summary: dict[str, Any]) -> str:
    """What a verdict holds for: the intermediate tasks, each with its own effect and interval."""
    rows = summary["comparison"]["per_intermediate"]
    effects = "; ".join(f"{row['intermediate']} {_interval(row)}" for row in rows)
    return f"For the intermediate tasks tried here ({effects}): "


def arms_table(summary: dict[str, Any]) -> str:
    """Markdown of summary.json: every arm against the baseline, on the cells that both have, with
    what it cost beside it.
    """
    baseline = summary["baseline"]
    head = [
        "arm", "targets, intermediate tasks", f"arm - {baseline}, points [95 %]", "p", "p, maxT over all arms",
        "p, Holm over all arms",
        f"FLOPs / {baseline}", f"seconds / {baseline}",
    ]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    costs = {row["arm"]: row for row in summary["costs"]}
    for row in summary["arms_against_baseline"]:
        if row["theta"] is None:
            lines.append(
                f"| {row['arm']} | not comparable: {row['note']} |{' |' * (len(head) - 2)}"
            )
            continue
        cost = costs.get(row["arm"], {})
        ratios = (cost.get("flops_ratio"), cost.get("seconds_ratio"))
        cells = [
            row["arm"],
            f"{row['targets']}; {row['intermediate']}",
            _interval(row),
            _p(row["p"]),
            _p(row["p_max_t"]),
            _p(row["p_holm"]),
        ]
        lines.append(
            f"| "
            f"{' | '.join([*cells, *('–' if ratio is None else f'{ratio:.2f}' for ratio in ratios)])} "
            f"|"
        )
    return "\n".join(lines) + "\n"


def _interval(row: dict[str, Any]) -> str:
    low, high = (row[side] if row[side] is not None else float("nan") for side in ("low", "high"))
    return f"{row['theta']:+.2f} [{low:+.2f}, {high:+.2f}]"


def write_readme(summary_path: str | Path, readme_path: str | Path) -> None:
    """Put a study's table between its two markers of a README; ValueError where it has none.

    Of the study "arms" that is `arms_table`, of any other `readme_table`.
    """
    text, summary = Path(readme_path).read_text(), json.loads(Path(summary_path).read_text())
    (start, end), make = (
        (ARM_MARKERS, arms_table) if summary["study"] == "arms" else (MARKERS, readme_table)
    )
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"{readme_path}: needs the lines {start} and {end}, once each")
    table = make(summary)
    before, rest = text.split(start)
    records.write_bytes(readme_path, f"{before}{start}\n{table}{end}{rest.split(end)[1]}".encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit 0, 1 where `verify` found differences, 2 where something is missing or
    broken.
    """
    parser = argparse.ArgumentParser(
        prog="python -m xgrl.report.cli", description=__doc__.split("\n")[0]
    )
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
        actions = {
            "html": _html,
            "summary": _summary,
            "readme": _readme,
            "verify": _verify,
            "publish": _publish,
        }
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
        f"study {summary['study']}: {summary['runs']} runs, {summary['blocks']} blocks, "
        f"{summary['core_hours']:.2f} core hours"
    )
    print(f"verdict: {summary['verdict']}")
    scores = ", ".join(
        f"{arm} {value:.1f}" for arm, value in whole["scores"].items() if value is not None
    )
    tests = ", ".join(
        f"{name} p {comparison[key]:.2g}"
        for name, key in (("sign flip", "p_signflip"), ("crossed", "p_crossed"))
    )
    print(f"zero-shot macro, %: {scores}; {tests}")
    print(
        "by target, points: " + ", ".join(f"{row['target']} {row['theta']:+.2f}" for row in targets)
    )
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
    """Scores first; then, where the reference lists its runs, whether the predictions are the same
    bytes.
    """
    if (reference / "runs.json").exists():
        key = "predictions_sha256"
        theirs = {
            name: run[key]
            for name, run in json.loads((reference / "runs.json").read_text()).items()
            if key in run
        }
        ours = {name: run[key] for name, run in run_records(study).items() if key in run}
        equal = sum(ours.get(name) == digest for name, digest in theirs.items())
        print(f"predictions: {equal} of {len(theirs)} runs are equal bit for bit")
    differences, verdict = verify(study, reference), verify_verdict(study, reference)
    if differences.empty and verdict.empty:
        print("every score is equal, and so is the verdict")
        return 0
    if len(differences):
        print(differences.to_string(max_rows=40))
        largest, gone = differences.difference.abs().max(), int(differences.difference.isna().sum())
        print(
            f"{len(differences)} scores differ, by at most {largest:.4g} points; {gone} are on "
            f"one side only"
        )
        by = (
            differences.assign(size=differences.difference.abs())
            .groupby(["target", "arm"])["size"]
            .agg(["size", "mean", "max"])
        )
        print(
            by.rename(
                columns={"size": "scores", "mean": "mean points", "max": "largest"}
            ).to_string(float_format="%.4g")
        )
    print(
        "the verdict and its numbers are equal"
        if verdict.empty
        else verdict.to_string(index=False, float_format="%.4g")
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
