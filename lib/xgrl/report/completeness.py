"""Are the data whole: every cell of the grid, no example twice, nothing mixed?"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from xgrl.arms import arms_in_order
from xgrl.execution.trials import is_trials
from xgrl.runs.differences import BLOCK, differences

FINISHED = "every run finished"
KEYS = ["intermediate", "arm", "target", "seed"]


def first_three(sentences: Sequence[str]) -> str:
    """The first three sentences in one, and how many more there are."""
    return "; ".join(sentences[:3]) + (f"; and {len(sentences) - 3} more" if sentences[3:] else "")


def audit(
    runs: pd.DataFrame, unfinished: list[str], asked: Sequence[tuple] = (),
    beside: Sequence[str] = (), lost: Sequence[str] = (), differing: Sequence[str] = (),
) -> pd.DataFrame:  # fmt: skip
    """What is missing, doubled, unequal between arms, diverged or mixed: check, found, ok.

    runs: as in `xgrl.report.load_study.Study`. unfinished: folders without run.json. asked: the
    target runs (`KEYS`) of the study file; where it is not known, an arm may have some targets,
    intermediate tasks or seeds only, of these every combination. beside: folders of runs that are
    not counted. lost: what 01 says of rows that it left out. differing: in what the runs' records
    differ (`xgrl.runs.differences`).
    """
    target = runs[runs.phase == "target"]
    paired, alone = target[target.arm != "none"], target[target.arm == "none"]
    grids = [[arm_runs[key].unique() for key in KEYS] for _, arm_runs in paired.groupby("arm")]
    for _, own in alone.groupby("target"):
        # without intermediate training retrieval trains nothing: one run is all of them
        seeds = own.seed if own.dev_accuracy.isna().all() else target.seed
        grids.append([*(own[key].unique() for key in KEYS[:3]), seeds.unique()])
    wanted = pd.MultiIndex.from_tuples(asked, names=KEYS)
    for grid in grids if not asked else ():
        wanted = wanted.union(pd.MultiIndex.from_product(grid, names=KEYS))
    missing = wanted.difference(pd.MultiIndex.from_frame(target[KEYS]))
    without = "".join(f"{name} has no run.json; " for name in unfinished[:5]).removesuffix("; ")
    without += f"; and {len(unfinished) - 5} more" if unfinished[5:] else ""
    left = f"{len(beside)}, first {beside[0]}" if beside else "none" if asked else "not looked for"
    absent = f"{len(missing)} of {len(wanted)} missing"
    first = f", first {', '.join(map(str, missing[0]))}" if len(missing) else ""
    cells = paired.groupby("arm")[["intermediate", "target", "seed"]].nunique().prod(axis=1)
    some = ", ".join(arms_in_order(cells.index[cells < cells.max()])) or "none"
    read = target.reindex(columns=["rows", "doubled", "not_finite"])
    empty, doubled, infinite = int(read.rows.isna().sum()), *map(int, read.sum().iloc[1:])
    full = f"{len(read) - empty} runs, {int(read.rows.sum()):,} rows"
    mixed = [name for name, own in target.groupby("target") if own.ids.nunique() > 1]
    same = f"differ in {', '.join(mixed)}" if mixed else f"{target.target.nunique()} targets"
    diverged = int((runs.status != "finished").sum())
    rows = [
        (FINISHED, without or f"{len(runs)} runs", not unfinished),
        ("every cell of the grid", f"{absent}{first}", not len(missing)),
        ("runs that the study file does not ask for (not counted)", left, True),
        ("arms on a part of the grid (compared there only)", some, True),
        ("predictions of every target run", f"{full}; {empty} without", not empty),
        ("no example twice in a run", f"{doubled} doubled rows", not doubled),
        ("every score a number", f"{infinite} are not", not infinite),
        ("same examples in all runs of a target", same, not mixed),
        ("no run diverged (a diverged run is kept)", f"{diverged} diverged", not diverged),
        ("arms of a block on the same device", *same_device(runs)),
    ]
    same = "the same code, versions and parameters in all runs"
    rows.append((same, first_three(differing) or f"{len(runs)} runs", not differing))
    kinds = [f"{kind} in {n} runs" for kind, n in runs.processor.value_counts().items()]
    rows.append(("processors (one kind in a block)", ", ".join(kinds), True))
    for column in ("device", "threads"):
        kinds = runs[column].nunique()
        rows.append((f"the same {column} in all runs", f"{kinds} found", kinds == 1))
    rows += [("rows that are not used (over 5 %)", sentence, True) for sentence in lost]
    return pd.DataFrame(rows, columns=["check", "found", "ok"])


def mismatches(records: Iterable[tuple[str, Mapping[str, Any]]], study: str) -> list[str]:
    """In what the records of a study differ that should be equal (`differences`); of trials not the
    processors of a block, since no test compares them.
    """
    found = differences(records)
    return [said for said in found if not (is_trials(study) and said.startswith(BLOCK))]


def same_device(runs: pd.DataFrame) -> tuple[str, bool]:
    """Did runs that are compared (same phase, task, target, seed) run on one kind of device?

    A GPU computes in bfloat16: a pair of which one run had one differs by more than its arm.
    """
    block = ["phase", "intermediate", "target", "seed"]
    kinds = runs[runs.arm != "none"].groupby(block, dropna=False).device.nunique()
    mixed = kinds.index[kinds > 1]
    if not len(mixed):
        return f"{len(kinds)} compared", True
    first = ", ".join(str(key) for key in mixed[0] if not pd.isna(key) and key != "")
    return f"mixed in {len(mixed)} of {len(kinds)}, first {first}", False
