"""A study in one file and a few tables: summary.json, and the LaTeX and Markdown made of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from xgrl import stats
from xgrl.arms import arms_in_order
from xgrl.report import claims
from xgrl.report.averages import group_weights
from xgrl.report.load_study import Study
from xgrl.runs import records

MARKERS = ("<!-- results:start -->", "<!-- results:end -->")
DESCRIBED = f"\nFewer than {stats.FEWEST} blocks: a description, no p is adjusted over arms.\n"
ARM_MARKERS = ("<!-- arms:start -->", "<!-- arms:end -->")


def summarise(
    study: Study, comparison: stats.Comparison, checked: pd.DataFrame, **further: Any
) -> dict[str, Any]:
    """What summary.json holds: verdict, comparison, checks, audit, results table, costs.

    further: more parts of the report by name, plain values or tables, which become lists of rows.
    """
    c, targets = comparison, comparison.per_task.target
    macro = study.of_phase("target").pivot_table(index="target", columns="arm", values="macro")
    main = {"none", "control", c.baseline, c.treatment} & set(macro.columns)
    macro = macro[arms_in_order(main)].loc[targets]
    # trained to be probed, on one target: no column of its own
    if "control" in macro and macro["control"].isna().any():
        macro = macro.drop(columns="control")
    average = macro.mul(c.weights, axis=0).sum(min_count=max(1, len(macro)))
    whole = {"theta": c.theta, "low": c.ci[0], "high": c.ci[1], "p": c.p}
    rows = [{"target": "all targets", "scores": average.to_dict()} | whole]
    marked, notes = study.data_marks, study.notes
    for row in c.per_task.itertuples():
        effect = {"theta": row.theta, "low": row.low, "high": row.high, "p": row.p_holm}
        rows.append({"target": row.target, "scores": macro.loc[row.target].to_dict()} | effect)
        said = {"data": marked.get((row.target, "")), "note": notes.get(row.target)}
        rows[-1] |= {key: text for key, text in said.items() if text}
    values = {"study": study.name, "verdict": str(c), "baseline": c.baseline}
    values |= {"treatment": c.treatment, "arms": list(macro.columns), "blocks": c.n_blocks}
    values |= {"table": rows, "checks": checked, "audit": study.audit, "comparison": c.summary()}
    values["beside"] = study.beside
    values |= {
        "runs": len(study.runs),
        "core_hours": float((study.runs.wall_seconds * study.runs.threads).sum() / 3600),
        "peak_memory_mb": float(study.runs.peak_memory_mb.max()),
    }
    return stats.plain(values | further)


def write(folder: str | Path, summary: Mapping[str, Any], results: pd.DataFrame) -> Markdown:
    """results.csv, summary.json, results.tex of an analysis, all atomic; returns its claims."""
    table = results.to_csv(index=False, float_format="%.6f")
    records.write_bytes(Path(folder) / "results.csv", table.encode())
    records.write_json(Path(folder) / "summary.json", summary)
    records.write_bytes(Path(folder) / "results.tex", latex(summary).encode())
    return claims.shown(summary)


def mark(row: Mapping[str, Any]) -> str:
    """What stands behind a target in the results table: "", or " (dev)" as in `Study.marks`."""
    said = [row[key] for key in ("data", "note") if row.get(key)]
    return f" ({'; '.join(said)})" if said else ""


def _scores(summary: Mapping[str, Any], name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The results table in numbers, and its first columns as text: target, called `name`, arms."""
    table, arms = pd.DataFrame(summary["table"]), summary["arms"]
    scores = pd.DataFrame(table["scores"].tolist(), columns=arms).astype(float)
    texts = scores.map(lambda score: "–" if np.isnan(score) else f"{score:.1f}")
    texts.insert(0, name, [row["target"] + mark(row) for row in summary["table"]])
    return table.astype(dict.fromkeys(("theta", "low", "high", "p"), float)), texts


def latex(summary: Mapping[str, Any]) -> str:
    """The results table with booktabs, one row a target: arms, difference, 95 % interval, p."""
    table, texts = _scores(summary, "target")
    known = table.low.notna() & table.high.notna()
    intervals = [f"$[{row.low:+.2f}, {row.high:+.2f}]$" for row in table.itertuples()]
    p = table.p.map(stats.p_format)
    differences = table.theta.map("${:+.2f}$".format)
    texts["difference"] = differences.where(table.theta.notna(), claims.UNKNOWN)
    texts["95 % interval"] = pd.Series(intervals).where(known, claims.UNKNOWN)
    texts["$p$"] = p.where(table.p.isna(), "$" + p + "$")
    style = texts.style.hide(axis="index").format(escape="latex-math")
    style = style.format_index(escape="latex-math", axis="columns")
    columns = f"l{'r' * len(summary['arms'])}rlr"
    lines = style.to_latex(hrules=True, column_format=columns).splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("all targets"))
    lines.insert(first + 1, r"\midrule")
    return "\n".join([r"% \usepackage{booktabs}", *lines]) + "\n"


def _effects(table: pd.DataFrame) -> list[str]:
    """Estimate and interval of each row as text."""
    return [claims.effect(row) for row in table.to_dict("records")]


def _with_groups(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of the results table, after that of the average those of groups of targets and of
    the mean without retrieval, where the planned average is over groups.
    """
    average, *targets = summary["table"]
    by, rows = {row["target"]: row["scores"] for row in targets}, []
    for row in (*summary["groups"], summary["means"][-1]) if "groups" in summary else ():
        if row["theta"] is not None:
            weights = pd.Series(group_weights(row["targets"].split(", ")))
            scores = pd.DataFrame({name: by[name] for name in weights.index}).astype(float)
            scores = (scores * weights).sum(axis=1, skipna=False).to_dict()
            own = {"target": row["part"], "scores": scores, "p": row.get("p_holm", row["p"])}
            rows.append({key: row[key] for key in ("theta", "low", "high")} | own)
    return [average, *rows, *targets]


def readme_table(summary: Mapping[str, Any]) -> str:
    """The verdict with its intermediate tasks, and the results table, as Markdown."""
    table, texts = _scores({**summary, "table": _with_groups(summary)}, "zero-shot score, %")
    control = pd.DataFrame(summary.get("positive_control", []))
    if len(control):
        control = control[control.kind.isin(["average", "group", "target"])]
        control = control.drop_duplicates("part").set_index("part").reindex(table.target)
        effects = pd.Series(_effects(control)).where(control.theta.notna().to_numpy(), "–")
        texts[f"{summary['baseline']} - none, points [95 %]"] = effects
    texts[f"{summary['treatment']} - {summary['baseline']}, points [95 %]"] = _effects(table)
    texts["p"] = table.p.map(stats.p_format)
    groups = "groups" in summary  # the planned average is over groups of targets
    notes = (
        f"{summary['blocks']} blocks (intermediate task x seed). "
        f"{'Mean over groups of targets' if groups else 'Macro average'} over zero-shot languages, "
        f"English apart. p of {'groups and of ' * groups}single targets adjusted by Holm. "
        f"{summary['runs']} runs, {summary['core_hours']:.2f} core hours, at most "
        f"{summary['peak_memory_mb']:.0f} MB a job."
    )
    if any(row.get("data") for row in summary["table"]):
        notes += " Behind a target: what its data folder says of a test set that is not official"
        notes += " (dev: the development set under the test's name)."
    return f"**{claims.verdict(summary)}**\n\n{_markdown(texts)}\n{notes}\n"


def arms_table(summary: Mapping[str, Any]) -> str:
    """Every arm against the baseline on the cells that both have, and its cost, as Markdown."""
    baseline, costs = summary["baseline"], pd.DataFrame(summary["costs"])
    table = pd.DataFrame(summary["arms_against_baseline"])
    table = table.merge(costs[["arm", "flops_ratio", "seconds_ratio"]], on="arm", how="left")
    numbers = ["theta", "low", "high", "p", "p_max_t", "p_holm", "flops_ratio", "seconds_ratio"]
    table[numbers] = table[numbers].astype(float)
    texts = table[["arm"]].assign(cells=table.targets + "; " + table.intermediate)
    texts[f"arm - {baseline}, points [95 %]"] = _effects(table)
    p_values, said = {"p": "p"}, DESCRIBED
    if table[["p_max_t", "p_holm"]].notna().any(axis=None):
        p_values |= {"p, maxT over all arms": "p_max_t", "p, Holm over all arms": "p_holm"}
        said = ""
    for name, key in p_values.items():
        texts[name] = table[key].map(stats.p_format)
    for name, key in (("FLOPs", "flops_ratio"), ("seconds", "seconds_ratio")):
        ratio = table[key].map("{:.2f}".format)
        texts[f"{name} / {baseline}"] = ratio.where(table[key].notna(), "–")
    absent = table.theta.isna()
    texts.loc[absent, texts.columns[2:]] = ""
    texts.loc[absent, "cells"] = "not comparable: " + table.note[absent]
    return _markdown(texts.rename(columns={"cells": "targets, intermediate tasks"})) + said


def _markdown(texts: pd.DataFrame) -> str:
    return texts.to_markdown(index=False, disable_numparse=True) + "\n"


def section(summary: Mapping[str, Any]) -> str:
    """What stands between a page's markers: table and claims; of the study "arms" its own."""
    if summary["study"] == "arms":
        return f"{arms_table(summary)}\n{claims.listed(claims.arm_claims(summary))}"
    return f"{readme_table(summary)}\n{claims.listed(claims.claims(summary)[1:])}"


def write_tables(summary_path: str | Path, page_path: str | Path) -> None:
    """Put a study's `section` between its markers of a Markdown page; ValueError without these."""
    text, summary = Path(page_path).read_text(encoding="utf-8"), claims.read(summary_path)
    start, end = ARM_MARKERS if summary["study"] == "arms" else MARKERS
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"{page_path}: needs the lines {start} and {end}, once each")
    before, after = text.split(start)[0], text.split(end)[1]
    records.write_bytes(page_path, f"{before}{start}\n{section(summary)}{end}{after}".encode())
