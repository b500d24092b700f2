"""The checks that come before any comparison: are the data whole, and did the experiment work?

The manipulation checks stand first because the comparison says nothing about adversarial training
where an intermediate task was not learned, the adversary did nothing, or a target had no room to
move (Phang et al. 2020 report the first at full size).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xgrl.arms import ARMS, method_of

if TYPE_CHECKING:
    from xgrl.report.load_study import Study

KEYS = ["intermediate", "arm", "target", "seed"]
CEILING = 95.0  # percent; above it a target cannot show an effect of a few points
BELOW_CHANCE = 0.8  # a discriminator under this share of chance was out-run, not confused


def arms_in_order(arms: Iterable[str]) -> list[str]:
    """Arms as they stand in tables: in the order of `xgrl.arms.ARMS`, a method before its variants,
    these by number or name.
    """
    place = {name: k for k, name in enumerate(ARMS)}

    def key(arm: str) -> tuple:
        method = method_of(arm)
        suffix = arm[len(method) + 1 :]
        try:
            return place[method], bool(suffix), float(suffix), suffix
        except ValueError:
            return place[method], bool(suffix), np.inf, suffix

    return sorted(arms, key=key)


def audit(runs: pd.DataFrame, notes: list[tuple]) -> pd.DataFrame:
    """Missing cells, doubled rows, ids that differ between arms, diverged runs, mixed machines and
    versions.

    Args:
        runs: as in `xgrl.report.load_study.Study`. notes: lines (check, found, ok) on unfinished runs.

    An arm may have some targets, intermediate tasks or seeds only (one that is trained to be
    probed); of these it must have every combination.
    """
    target = runs[runs.phase == "target"]
    rows = notes or [("every run finished", f"{len(runs)} runs", True)]
    paired, alone = target[target.arm != "none"], target[target.arm == "none"]
    wanted = pd.MultiIndex.from_tuples([], names=KEYS)
    for _, part in paired.groupby("arm"):
        wanted = wanted.union(
            pd.MultiIndex.from_product([part[key].unique() for key in KEYS], names=KEYS)
        )
    # without intermediate training retrieval trains nothing: one run is all of them
    for _, part in alone.groupby("target"):
        seeds = (
            part["seed"].unique() if part["dev_accuracy"].isna().all() else target["seed"].unique()
        )
        wanted = wanted.union(
            pd.MultiIndex.from_product(
                [*(part[key].unique() for key in KEYS if key != "seed"), seeds], names=KEYS
            )
        )
    missing = wanted.difference(pd.MultiIndex.from_frame(target[KEYS]))
    first = f", first {', '.join(map(str, missing[0]))}" if len(missing) else ""
    rows.append(
        (
            "every cell of the grid",
            f"{len(missing)} of {len(wanted)} missing{first}",
            not len(missing),
        )
    )
    cells = paired.groupby("arm")[["intermediate", "target", "seed"]].nunique().prod(axis=1)
    some = ", ".join(arms_in_order(cells.index[cells < cells.max()])) or "none"
    rows.append(("arms on a part of the grid (compared there only)", some, True))
    read = target.reindex(columns=["rows", "doubled", "not_finite"])
    empty = int(read.rows.isna().sum())
    found = f"{len(read) - empty} runs, {int(read.rows.sum()):,} rows; {empty} without"
    rows.append(("predictions of every target run", found, not empty))
    rows.append(
        (
            "no example twice in a run",
            f"{int(read.doubled.sum())} doubled rows",
            not read.doubled.sum(),
        )
    )
    rows.append(
        ("every score a number", f"{int(read.not_finite.sum())} are not", not read.not_finite.sum())
    )
    mixed = [name for name, part in target.groupby("target") if part.ids.nunique() > 1]
    found = f"differ in {', '.join(mixed)}" if mixed else f"{target.target.nunique()} targets"
    rows.append(("same examples in all runs of a target", found, not mixed))
    diverged = int((runs.status != "finished").sum())
    rows.append(("no run diverged (a diverged run is kept)", f"{diverged} diverged", not diverged))
    rows.append(("arms of a block on the same device", *same_device(runs)))
    for column in ("versions", "device", "threads"):
        kinds = runs[column].nunique()
        rows.append((f"the same {column} in all runs", f"{kinds} found", kinds == 1))
    return pd.DataFrame(rows, columns=["check", "found", "ok"])


def same_device(runs: pd.DataFrame) -> tuple[str, bool]:
    """Did the runs that are compared with each other (same phase, task, target and seed) run on one
    kind of device?

    A GPU computes in bfloat16: a pair of which one run had one differs by more than its arm.
    """
    trained = runs[runs.arm != "none"]
    kinds = trained.groupby(
        ["phase", "intermediate", "target", "seed"], dropna=False
    ).device.nunique()
    mixed = kinds.index[kinds > 1]
    names = [
        ", ".join(str(part) for part in key if not pd.isna(part) and part != "") for key in mixed
    ]
    return (
        f"mixed in {len(mixed)} of {len(kinds)}, first {names[0]}"
        if names
        else f"{len(kinds)} compared"
    ), not names


def checks(study: Study, baseline: str, treatment: str) -> pd.DataFrame:
    """Manipulation checks, without which the comparison says nothing: columns question, subject,
    found, ok.

    Args:
        study: from `collect`.
        baseline, treatment: arms that are compared; arm control, where it ran, is what the
            adversary is held against.
    """
    runs, rows = study.runs, []
    trained = runs[runs.phase == "intermediate"]
    for task, part in trained[trained.arm.isin([baseline, treatment])].groupby("intermediate"):
        low = part.loc[part.dev_low.idxmin()]
        lowest = f"lowest {low.dev_accuracy:.1f} % [{low.dev_low:.1f}, {low.dev_high:.1f}]"
        found = (
            f"{int(part.learned.sum())} of {len(part)} runs; {lowest}, majority class "
            f"{low.majority_accuracy:.1f} %"
        )
        rows.append(("task learned", task, found, bool(part.learned.all())))
    reference = "control" if "control" in set(trained.arm) else baseline
    opposed = trained[trained.arm == treatment].dropna(subset=["discriminator_accuracy"])
    if len(opposed):
        chance, mean = opposed.discriminator_chance.mean(), opposed.discriminator_accuracy.mean()
        under = int(
            (opposed.discriminator_accuracy < BELOW_CHANCE * opposed.discriminator_chance).sum()
        )
        found = (
            f"{mean:.1f} % (chance {chance:.1f} %); {under} of {len(opposed)} runs well below "
            f"chance"
        )
        rows.append(("discriminator not out-run", treatment, found, under == 0))
    own = _pairs(trained, "discriminator_accuracy", reference, treatment)
    if len(own):
        lower = int((own < 0).sum())
        found = f"{own.mean():+.1f} points; lower in {lower} of {len(own)} blocks"
        rows.append(
            (
                "adversary acted (own discriminator)",
                f"{treatment} against {reference}",
                found,
                lower == len(own),
            )
        )
    # before any fine-tuning on a target
    probes = study.probes[study.probes.stage == "intermediate"]
    if len(probes):
        last = probes[probes.layer == probes.layer.max()]
        probed = reference if reference in set(last.arm) else baseline
        fresh = _pairs(last, "accuracy", probed, treatment)
    if len(probes) and len(fresh):
        used = last[last.arm.isin([probed, treatment])]
        half = 1.96 * np.sqrt(
            (used.accuracy * (100 - used.accuracy) / used.n_test).mean() * 2 / len(fresh)
        )
        found = f"{fresh.mean():+.1f} ± {half:.1f} points in {len(fresh)} blocks"
        subject = f"{treatment} against {probed}"
        rows.append(
            (
                "adversary acted (fresh probe, last layer)",
                subject,
                found,
                bool(fresh.mean() + half < 0),
            )
        )
    for target, part in runs[(runs.phase == "target") & (runs.arm == "none")].groupby("target"):
        macro, guess = part.macro.mean(), part.majority.mean()
        found = f"{macro:.1f} % without intermediate training; guessing {guess:.1f} %"
        rows.append(("room to move", target, found, guess < macro < CEILING))
    return pd.DataFrame(rows, columns=["question", "subject", "found", "ok"])


def _pairs(frame: pd.DataFrame, value: str, reference: str, treatment: str) -> np.ndarray:
    """Treatment minus reference in every block that has both, (blocks,)."""
    table = frame.pivot(index=["intermediate", "seed"], columns="arm", values=value).reindex(
        columns=[reference, treatment]
    )
    return (table[treatment] - table[reference]).dropna().to_numpy(dtype=float)


def failures(checked: pd.DataFrame, audit: pd.DataFrame) -> list[str]:
    """What must stand in the verdict: one short phrase a failed manipulation check or audit line."""
    failed = [f"{row.question}: {row.subject}" for row in checked[~checked.ok].itertuples()]
    return failed + [
        f"data audit, {row.check}: {row.found}" for row in audit[~audit.ok].itertuples()
    ]
