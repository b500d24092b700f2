"""A study in one file and a few tables: summary.json, and the LaTeX and Markdown made of it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from xgrl import stats
from xgrl.arms import arms_in_order
from xgrl.report import claims, sentences
from xgrl.report.averages import group_weights
from xgrl.report.load_study import Study
from xgrl.runs import records

NUMBERS = ("theta", "low", "high", "p")
DESCRIBED = f"\nFewer than {stats.FEWEST} blocks: a description, no p is adjusted over arms.\n"
MARKED = re.compile(r"(?s)<!-- ([\w.-]+) (results|targets|claims):start -->\n.*?<!-- \1 \2:end -->")


def summarise(
    study: Study, comparison: stats.Comparison, checked: pd.DataFrame, **further: Any
) -> dict[str, Any]:
    """What summary.json holds: verdict, comparison, checks, audit, results table, costs.

    further: more parts of the report by name, plain values or tables, which become lists of rows.
    """
    c, targets = comparison, comparison.per_task.target
    runs, main = study.of_phase("target"), {"none", "control", c.baseline, c.treatment}
    blocks = pd.MultiIndex.from_frame(c.blocks[["intermediate", "seed"]])
    compared = pd.MultiIndex.from_frame(runs[["intermediate", "seed"]]).isin(blocks)
    runs = runs[compared | (runs.arm == "none") | (not compared.any())]
    count = runs.arm.value_counts()
    if count.get("control", 0) < count.get(c.baseline, 0):  # beside whole arms it is no column
        main -= {"control"}
    macro = runs.pivot_table(index="target", columns="arm", values="macro")
    macro = macro[arms_in_order(main & set(macro.columns))].loc[targets]
    average = macro.mul(c.weights, axis=0).sum(min_count=max(1, len(macro)))
    whole = {"theta": c.theta, "low": c.ci[0], "high": c.ci[1], "p": c.p, "tost_p": c.tost_p}
    rows = [{"target": "all targets", "scores": average.to_dict()} | whole]
    marked, notes = study.data_marks, study.notes
    for row in c.per_task.itertuples():
        effect = {"theta": row.theta, "low": row.low, "high": row.high, "p": row.p_holm}
        effect |= {"tost_p": row.tost_p, "described": not c.gate}
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


def _scores(summary: Mapping[str, Any], rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """The first columns of a results table as text: what is scored, called `name`, and the arms."""
    scores = pd.DataFrame([*rows.scores], columns=summary["arms"]).astype(float)
    texts = scores.map(lambda score: "–" if np.isnan(score) else f"{score:.1f}")
    texts.insert(0, name, [*rows.part])
    return texts


def latex(summary: Mapping[str, Any]) -> str:
    """The results table with booktabs, averages first: arms, difference, 95 % interval, p."""
    table = effects(summary)
    texts = _scores(summary, table, "target")
    known = table.low.notna() & table.high.notna()
    intervals = [f"$[{row.low:+.2f}, {row.high:+.2f}]$" for row in table.itertuples()]
    p = table.p.map(stats.p_format)
    differences = table.theta.map("${:+.2f}$".format)
    texts["difference"] = differences.where(table.theta.notna(), sentences.UNKNOWN)
    texts["95 % interval"] = pd.Series(intervals).where(known, sentences.UNKNOWN)
    texts["$p$"] = p.where(table.p.isna(), "$" + p + "$")
    style = texts.style.hide(axis="index").format(escape="latex-math")
    style = style.format_index(escape="latex-math", axis="columns")
    columns = f"l{'r' * len(summary['arms'])}rlr"
    lines = style.to_latex(hrules=True, column_format=columns).splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("all targets"))
    lines.insert(first + int(table.average.sum()), r"\midrule")
    return "\n".join([r"% \usepackage{booktabs}", *lines]) + "\n"


def _effects(table: pd.DataFrame) -> list[str]:
    """Estimate and interval of each row as text."""
    return [sentences.effect(row) for row in table.to_dict("records")]


def _word(row: Mapping[str, Any]) -> str:
    """A row's verdict at its p; a target's, where the planned average does not reject, describes
    and is no finding. Equivalence, and that a difference is trivial, are of each row by itself.
    """
    if (p := row["p"]) is None:
        return sentences.UNKNOWN
    equivalence = row.get("tost_p")  # not in an older summary
    within = equivalence is not None and equivalence <= stats.ALPHA
    if p <= stats.ALPHA:
        word = "better" if row["theta"] > 0 else "worse"
        return "describes" if row.get("described") else word + " (trivial)" * within
    unequal = "no difference shown" if equivalence is None else "inconclusive"
    return "equivalent" if within else unequal


def _averages(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rows of the results table: the planned average, and where it is over groups of targets each
    group and the mean without retrieval.
    """
    average, *targets = summary["table"]
    by, rows = {row["target"]: row["scores"] for row in targets}, [average]
    for row in (*summary["groups"], summary["means"][-1]) if "groups" in summary else ():
        if row["theta"] is not None:
            weights = pd.Series(group_weights(row["targets"].split(", ")))
            scores = pd.DataFrame({name: by[name] for name in weights.index}).astype(float)
            scores = (scores * weights).sum(axis=1, skipna=False).to_dict()
            own = {"target": row["part"], "scores": scores, "p": row.get("p_holm", row["p"])}
            rows.append({key: row[key] for key in ("theta", "low", "high", "tost_p")} | own)
    return rows


def effects(summary: Mapping[str, Any]) -> pd.DataFrame:
    """The results table in numbers, a row an average (`_averages`) and a target.

    Columns part, average (or a target), scores by arm, theta, low, high, p (of groups and of
    targets by Holm), verdict, and baseline minus none as control_theta, ..., gate; NaN: there is
    none.
    """
    averages, (_, *targets) = _averages(summary), summary["table"]
    control = {r["part"]: r for r in summary.get("positive_control", []) if not r["intermediate"]}
    names, rows = dict(zip(NUMBERS, [*NUMBERS[:3], "p_holm"], strict=True)), []
    for row in (*averages, *targets):
        own = {f"control_{n}": control.get(row["target"], {}).get(key) for n, key in names.items()}
        own |= {name: row[name] for name in (*NUMBERS, "scores")}
        own["gate"] = control.get(row["target"], {}).get("gate")
        own |= {"part": row["target"] + mark(row), "average": len(rows) < len(averages)}
        rows.append(own | {"verdict": _word(row)})
    numbers = [name for name in rows[0] if name.removeprefix("control_") in NUMBERS]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))


def _results(summary: Mapping[str, Any], rows: pd.DataFrame) -> str:
    """Rows of `effects` as Markdown."""
    texts = _scores(summary, rows := rows.reset_index(drop=True), "zero-shot score, %")
    if summary.get("positive_control"):
        control = rows[[f"control_{name}" for name in NUMBERS]].set_axis(NUMBERS, axis=1)
        known = pd.Series(_effects(control)).where(control.theta.notna(), "–")
        texts[f"{summary['baseline']} - none, points [95 %]"] = known
        texts["gate"] = rows.gate.fillna("–")
    texts[f"{summary['treatment']} - {summary['baseline']}, points [95 %]"] = _effects(rows)
    return _markdown(texts.assign(p=rows.p.map(stats.p_format), verdict=rows.verdict))


def _words(summary: Mapping[str, Any], rows: pd.DataFrame) -> str:
    """What the words of `_word` and the gate mean that stand in these rows, as sentences."""
    within = f"within ±{summary['comparison']['margin']:g} points"
    meaning = {
        "equivalent": f"{within}, each row by itself",
        "trivial": f"worse or better, {within}",
        "describes": "the average does not reject, so that a target is no finding",
    }
    used = " ".join(rows.verdict)
    said = [f" {word.capitalize()}: {m}." for word, m in meaning.items() if word in used]
    gate = f" Gate: {summary['baseline']} above none (p of groups and of targets by Holm), and in "
    gate += "English, where it is tested, not below it."
    return "".join([*said, gate * bool(rows.gate.notna().any())])


def results_table(summary: Mapping[str, Any]) -> str:
    """The verdict with its intermediate tasks, and the average and its groups, as Markdown."""
    of, rows = "groups" if "groups" in summary else "targets", effects(summary)
    rows = rows[rows.average] if of == "groups" else rows
    notes = (
        f"{summary['blocks']} blocks (intermediate task x seed). Mean over {of} and zero-shot "
        f"languages, English apart. p of {of} adjusted by Holm"
        f"{', without retrieval not' * (of == 'groups')}.{_words(summary, rows)} "
        f"{summary['runs']} runs, {summary['core_hours']:.2f} core hours, at most "
        f"{summary['peak_memory_mb']:.0f} MB a job (preparation apart)."
    )
    said = [f"**{claims.headline(summary)}**", claims.failed_checks(summary)]
    return "\n\n".join([*filter(None, said), f"{_results(summary, rows)}\n{notes}\n"])


def targets_table(summary: Mapping[str, Any]) -> str:
    """Every target by itself, as Markdown."""
    rows = effects(summary)
    rows = rows[~rows.average]
    notes = f"{summary['blocks']} blocks. p adjusted by Holm over {len(rows)} targets."
    notes += _words(summary, rows)
    if any(row.get("data") for row in summary["table"]):
        notes += " Behind a target: what its data folder says of a test set that is not official"
        notes += " (dev: the development set under the test's name)."
    return f"{_results(summary, rows)}\n{notes}\n"


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


def section(summary: Mapping[str, Any], part: str) -> str:
    """What stands between a page's markers: results, targets or claims of a study; of the study
    "arms" the results are those of every arm.
    """
    many = summary["study"] == "arms"
    if part == "claims":
        return claims.listed(claims.arm_claims(summary) if many else claims.claims(summary)[1:])
    results = arms_table if many else results_table
    return {"results": results, "targets": targets_table}[part](summary)


def write_tables(summary_path: str | Path, pages: Sequence[str | Path]) -> None:
    """Put a study's `section`s between their markers of Markdown pages, ``<!-- STUDY results:start
    -->`` and ``<!-- STUDY results:end -->``; ValueError where no page has any of that study.
    """
    summary = claims.read(summary_path)
    texts = {page: Path(page).read_text(encoding="utf-8") for page in pages}
    own = {page for page in pages for m in MARKED.finditer(texts[page]) if m[1] == summary["study"]}

    def made(match: re.Match) -> str:
        if match[1] != summary["study"]:
            return match[0]
        name = f"<!-- {match[1]} {match[2]}:"
        return f"{name}start -->\n{section(summary, match[2])}{name}end -->"

    for page in own:
        records.write_bytes(page, MARKED.sub(made, texts[page]).encode())
    if not own:
        wanted = f"<!-- {summary['study']} results:start -->"
        raise ValueError(f"{', '.join(map(str, pages))}: none has the line {wanted} and its end")
