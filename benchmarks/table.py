"""The table of what was measured: names and targets, the merge of partial runs, the copy in docs,
and growth as an exponent.

``outputs/bench.json`` is ``{name: {value, target, unit, note}}``; ``outputs/bench_points.json`` has
the points (size, value) that the exponents, whose names begin with ``growth_``, were fitted to.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xgrl.runs import records

MARKERS = ("<!-- bench:start -->", "<!-- bench:end -->")
MACHINE = "machine"


class Goal(NamedTuple):
    """What a name means: words for the table, unit, target (None: reported only), and whether more
    or less is better.
    """

    what: str
    unit: str
    target: float | None = None
    more: bool = False


GOALS = {
    "laptop_minutes": Goal("whole laptop study", "min", 30.0),
    "grid_efficiency": Goal("jobs' own work in a study's wall x cores", "share", None, True),
    "speedup_vs_trainer": Goal(
        "real tokens/s of a job against a Trainer's, end to end", "x", 2.5, True
    ),
    "speedup_vs_trainer_wall": Goal("the same, wall time of the job", "x", None, True),
    "speedup_vs_trainer_training": Goal("the same, training loop alone", "x", None, True),
    "sgemm_share": Goal("share of the sgemm peak, all 12 layers trained", "share", 0.8, True),
    "dann_over_standard": Goal("step of dann over a standard one", "x", 1.9),
    "warm_overhead_s": Goal("overhead of a notebook job, warm kernel", "s", 1.5),
    "cold_overhead_s": Goal("overhead of a notebook job, cold kernel", "s"),
    "trimming_speedup": Goal("step with the full vocabulary over a trimmed one", "x", None, True),
    "prefix_cache_speedup": Goal(
        "step that runs the frozen layers over one that reads their output", "x", None, True
    ),
    "prepare_cold_s": Goal("preparation, no frozen layer in the cache", "s"),
    "prepare_cached_s": Goal("preparation, frozen layers in the cache", "s"),
    "retrieval_10k_ratio": Goal("search of 10,000 candidates over its sgemm", "x"),
    "retrieval_100k_ratio": Goal("search of 100,000 candidates over its sgemm", "x"),
    "retrieval_1m_ratio": Goal("search of 1,000,000 candidates over its sgemm", "x", 1.5),
    "retrieval_1m_gb": Goal("memory of that search beyond the embeddings", "GB", 2.0),
    "analysis_s": Goal("analysis at its largest", "s", 60.0),
    "analysis_gb": Goal("memory of that analysis", "GB", 1.0),
    "analysis_largest_s": Goal("analysis of 100 million predictions", "s", 300.0),
    "analysis_largest_gb": Goal("memory of that analysis", "GB", 6.0),
    "nothing_to_do_s": Goal("a finished study answers", "s", 5.0),
    "paper_dry_run_s": Goal("dry run of the paper's 2,156 jobs", "s", 10.0),
}
GROWTH = {  # what grows with what: words for the table
    "analysis_seeds": "analysis by seeds",
    "analysis_languages": "analysis by languages",
    "analysis_items": "analysis by items",
    "retrieval_candidates": "search by candidates",
    "training_examples": "training by examples",
    "prediction_examples": "prediction by examples",
}
for _name, _what in GROWTH.items():
    GOALS |= {
        f"growth_{_name}_{kind}": Goal(f"{kind} of {_what}", "exponent")
        for kind in ("time", "memory")
    }
GOALS["growth_analysis_seeds_time"] = Goal("time of analysis by seeds", "exponent", 1.1)


def entry(name: str, value: float, note: str) -> dict[str, dict[str, Any]]:
    """One row of the table, under its name; KeyError for an unknown one, ValueError for a value
    that is not finite.
    """
    goal = GOALS[name]
    if not math.isfinite(value):
        raise ValueError(f"{name}={value}: not a measurement")
    return {
        name: {
            "value": float(f"{value:.4g}"),
            "target": goal.target,
            "unit": goal.unit,
            "note": note,
        }
    }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The power b of the least-squares fit value = a size^b, on logarithms.

    Values at or below 0 count as the smallest positive one. ValueError with fewer than four sizes
    or without a positive value.
    """
    values = np.asarray(values, dtype=float)
    if len(set(sizes)) < 4 or not (values > 0).any():
        raise ValueError(
            f"a growth needs four sizes and positive values, found sizes {list(sizes)}, values "
            f"{values.tolist()}"
        )
    values = np.maximum(values, values[values > 0].min())
    return float(np.polyfit(np.log(np.asarray(sizes, dtype=float)), np.log(values), 1)[0])


def met(row: Mapping[str, Any], goal: Goal) -> bool | None:
    """Does a row reach its target? None where it has none."""
    if row["target"] is None:
        return None
    return row["value"] >= row["target"] if goal.more else row["value"] <= row["target"]


def merge(path: str | Path, rows: Mapping[str, Any]) -> dict[str, Any]:
    """Put rows into a JSON file that may exist: new ones replace those of their name, order is that
    of `GOALS`.
    """
    path = Path(path)
    found = (json.loads(path.read_bytes()) if path.exists() else {}) | dict(rows)
    order = [*GOALS, MACHINE]
    merged = {
        name: found[name]
        for name in sorted(
            found, key=lambda name: order.index(name) if name in order else len(order)
        )
    }
    records.write_json(path, merged)
    return merged


def line(name: str, row: Mapping[str, Any]) -> str:
    """One row for the screen."""
    target = "-" if row["target"] is None else f"{row['target']:g}"
    return f"{name:32s} {row['value']:>9g} {row['unit']:8s} target {target:>4}  {row['note']}"


def markdown(table: Mapping[str, Any]) -> str:
    """The page's table: what, value, target, note; a value that misses its target is in bold."""
    lines = [
        "| what | measured | target | how, and what limits it |",
        "| --- | ---: | ---: | --- |",
    ]
    for name, row in table.items():
        if name not in GOALS:
            continue
        goal, unit = GOALS[name], "" if row["unit"] in ("share", "exponent") else f" {row['unit']}"
        value = f"{row['value']:.3g}{unit}"
        sign = "≥" if goal.more else "≤"
        target = "" if row["target"] is None else f"{sign} {row['target']:g}{unit}"
        lines.append(
            f"| {goal.what} | {f'**{value}**' if met(row, goal) is False else value} | {target} | "
            f"{row['note']} |"
        )
    return "\n".join([*lines, "", table[MACHINE]["note"]] if MACHINE in table else lines) + "\n"


def write_page(table: Mapping[str, Any], path: str | Path) -> None:
    """Put the table between its two markers of a page, as `put` does."""
    put(markdown(table), path, MARKERS)


def put(text: str, path: str | Path, markers: tuple[str, str]) -> None:
    """Put a text between two lines of a page; ValueError where it has not each of them once."""
    page, (start, end) = Path(path).read_text(encoding="utf-8"), markers
    if page.count(start) != 1 or page.count(end) != 1:
        raise ValueError(f"{path}: needs the lines {start} and {end}, once each")
    before, rest = page.split(start)
    records.write_bytes(path, f"{before}{start}\n{text}{end}{rest.split(end)[1]}".encode())
