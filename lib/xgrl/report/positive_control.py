"""Positive control: is intermediate training worth anything here, standard minus none?

Where it is not, the comparison of two ways to train is one between two ways to lose. None pairs
with no block, its unit is its own seed (`xgrl.stats.unpaired`). A target that trains nothing of its
own (plain retrieval) has one run of none, which is all of them: its only spread is the items'. The
**gate** of a target, of a pair (intermediate task, target) and of an average is passed where the
zero-shot difference is above 0 (p at most .05, by Holm within its kind of row) and the English one
is not below: a mark, which changes no average.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from xgrl import stats
from xgrl.report.averages import RETRIEVAL, group_of
from xgrl.report.load_study import Study
from xgrl.stats.alignment import DIRECTIONS, weighted_items

NONE, PASSED, NOT_SHOWN = "none", "passed", "not shown"
COLUMNS = [
    "kind", "part", "intermediate", "gate", "none", "baseline", "theta", "low", "high", "p",
    "p_holm", "english", "english_low", "english_high", "blocks", "seeds", "df", "note",
]  # fmt: skip


@dataclass(frozen=True)
class Runs:
    """One target's runs on the same n items, in points: by (intermediate, seed) of the baseline
    (B, n), by seed of none (K, n); fixed: none trains nothing for it, so that one run is all.
    """

    name: str
    baseline: pd.DataFrame
    none: pd.DataFrame
    fixed: bool


def positive_control(study: Study, baseline: str, weigh: stats.Weigh = None) -> pd.DataFrame:
    """Baseline minus none in points, a row each for the planned average ("average"), it after each
    intermediate task ("intermediate"), each group of targets ("group") and the mean without
    retrieval, where the study's average is over groups, each target, and each (intermediate task,
    target) ("pair").

    weigh: of the targets, where they are not equal. Returns `COLUMNS`: zero-shot scores, difference
    with 95 % interval, p, p_holm (within a kind; an average is a question of its own), the
    difference in English, numbers of runs, gate, note where not estimable. Empty without both arms.
    """
    if not {baseline, NONE} <= set(study.predictions.arm.unique()):
        return pd.DataFrame(columns=COLUMNS)
    foreign, english = (_tables(study, baseline, own) for own in (False, True))
    tasks = sorted({task for runs in foreign for task, _ in runs.baseline.index})
    names = [runs.name for runs in foreign]
    parts = {("average", "all targets", ""): names}
    if study.average == "groups":
        groups = {name: group_of(name) for name in names}
        apart = [name for name in names if groups[name] != RETRIEVAL]
        parts |= {("average", f"without {RETRIEVAL}", ""): apart} if apart else {}
        for group in dict.fromkeys(groups.values()):
            parts["group", group, ""] = [name for name in names if groups[name] == group]
    parts |= {("intermediate", "all targets", task): names for task in tasks}
    parts |= {("target", name, ""): [name] for name in names}
    parts |= {("pair", name, task): [name] for task in tasks for name in names}
    rows = []
    for (kind, part, task), own in parts.items():
        zero_shot, beside = (
            _difference([runs for runs in tables if runs.name in own], task, weigh)
            for tables in (foreign, english)
        )
        own = {"kind": kind, "part": part, "intermediate": task, "english": beside["theta"]}
        own |= {f"english_{end}": beside[end] for end in ("low", "high")}
        rows.append(zero_shot | own)
    table = pd.DataFrame(rows, columns=COLUMNS)
    for kind, own in table[table.p.notna()].groupby("kind"):
        table.loc[own.index, "p_holm"] = own.p if kind == "average" else stats.holm(own.p)
    return table.assign(gate=[_gate(row) for row in table.itertuples()])


def check(table: pd.DataFrame, baseline: str) -> list[tuple[str, str, str, bool]]:
    """The gate as a row of the manipulation checks (none: not estimable); any target passes it."""
    targets, pairs = (table[table.kind == kind] for kind in ("target", "pair"))
    if not targets.p.notna().any():
        return []
    passed = targets.part[targets.gate == PASSED]
    single = f"{(pairs.gate == PASSED).sum()} of {len(pairs)} pairs with one intermediate task"
    found = f"{', '.join(passed) or 'none'} of {len(targets)} targets; {single}"
    subject = "some target passes" if len(passed) else f"no target passes, {single} do"
    return [(f"gate, {baseline} above {NONE}", subject, found, bool(len(passed)))]


def _gate(row: object) -> str:
    if np.isnan(row.p_holm):
        return "not estimable"
    if row.p_holm > stats.ALPHA:
        return NOT_SHOWN
    if row.theta < 0:
        return "below none"
    return "English below none" if row.english < 0 else PASSED


def gate_marks(study: Study, table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """`Study.marks`, and by (target, "") that a target does not pass the gate."""
    found = dict(study.marks)
    pairs = table[(table.kind == "pair") & (table.gate == PASSED)]
    for row in table[(table.kind == "target") & (table.gate != PASSED)].itertuples():
        said = "gate not estimable" if np.isnan(row.p_holm) else "gate not passed"
        if tasks := [*pairs.intermediate[pairs.part == row.part]]:
            said = f"gate passed after {', '.join(tasks)} only"
        found[row.part, ""] = "; ".join(filter(None, [found.get((row.part, "")), said]))
    return found


def _tables(study: Study, baseline: str, english: bool) -> list[Runs]:
    """The two arms' runs of every target of the baseline; none of a target whose runs differ in
    examples, which the audit and the planned test tell by name.
    """
    rows = study.predictions
    rows = rows[rows.arm.isin([baseline, NONE]) & ((rows.language == "en") == english)]
    alone = study.of_phase("target", "dev_accuracy")
    alone = alone[alone.arm == NONE]
    trained = set(alone.target[alone.dev_accuracy.notna()])
    found = []
    for name, own in rows.groupby("target", observed=True):
        run = own.groupby(["arm", "intermediate", "seed"], observed=True)
        cell = own.groupby(["language", "example_id"], observed=True)
        values = np.full((run.ngroups, cell.ngroups), np.nan)
        values[run.ngroup(), cell.ngroup()] = own.score
        cells = cell.size().index.to_frame(index=False).astype(str)
        items = cells.example_id.str.replace(f"({'|'.join(DIRECTIONS)})$", "", regex=True)
        codes = (pd.factorize(column, sort=True)[0] for column in (cells.language, items))
        table = pd.DataFrame(weighted_items(values, *codes), index=run.size().index)
        whole = len(own) == values.size and not np.isnan(values).any()
        arm, task, seed = (table.index.get_level_values(k) for k in range(3))
        table.index = pd.MultiIndex.from_arrays([task.astype(str), seed])
        own, none = (table[whole & (arm == side)] for side in (baseline, NONE))
        none = none.droplevel(0)
        fixed = name not in trained and len(none) and not np.ptp(none.to_numpy(), axis=0).any()
        found.append(Runs(str(name), own, none, bool(fixed)))
    return found


def _difference(targets: Sequence[Runs], task: str, weigh: stats.Weigh) -> dict:
    """Both arms' weighted scores on targets, after all or one intermediate task, and the estimate
    on the blocks and seeds of none that these targets share; NaN and a note where there is none.
    """
    row = dict.fromkeys(COLUMNS, np.nan) | {"blocks": 0, "seeds": 0, "note": ""}
    if not targets:
        return row
    fixed = [runs.name for runs in targets if runs.fixed]
    trained = [runs for runs in targets if not runs.fixed] or targets[:1]
    blocks = set.intersection(*(set(runs.baseline.index) for runs in targets))
    blocks = sorted(block for block in blocks if task in ("", block[0]))
    seeds = sorted(set.intersection(*(set(runs.none.index) for runs in trained)))
    row |= {"blocks": len(blocks), "seeds": len(seeds)}
    if not blocks or not seeds:
        return row | {"note": "no runs of both arms that all of its targets have"}
    X = [runs.baseline.loc[blocks].to_numpy() for runs in targets]
    Y = [runs.none[:1] if runs.fixed else runs.none.loc[seeds] for runs in targets]
    Y = [table.to_numpy() for table in Y]
    w = stats.weights_of([runs.name for runs in targets], weigh)
    means = (float(w @ [table.mean() for table in tables]) for tables in (X, Y))
    row["baseline"], row["none"] = means
    row["theta"] = row["baseline"] - row["none"]
    if len(blocks) < 2 or (len(seeds) < 2 and len(fixed) < len(targets)):
        return row | {"note": "one run of an arm: its spread is not known"}
    strata = [block[0] for block in blocks]
    strata = strata if min(map(strata.count, strata)) > 1 else None
    try:
        found = stats.unpaired_tasks(X, Y, w, strata)
    except ValueError as error:  # nothing varies, or unequal numbers of seeds
        return row | {"note": str(error)}
    row["low"], row["high"] = found.interval
    note = f"one run of none stands for all: {', '.join(fixed)}" if fixed else ""
    return row | {"p": found.p, "df": found.df, "note": note}
