"""Manipulation checks: did the experiment work, so that a comparison says something?

They stand before any comparison, which says nothing about adversarial training where an
intermediate task was not learned, the adversary did nothing, or a target had no room to move
(Phang et al. 2020 report the first at full size).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from xgrl import stats
from xgrl.arms import method_of
from xgrl.report import explanations, positive_control
from xgrl.report.completeness import FINISHED
from xgrl.report.load_study import Study
from xgrl.stats.alignment import stretches

CEILING = 95.0  # percent; above it a target cannot show an effect of a few points
BELOW_CHANCE = 0.8  # a discriminator under this share of chance was outpaced, not confused
OUTPACED = 10.0  # points; so was one that a fresh one beats by more
HIDING = ("dann", "dann-source", "cdan")  # arms whose discriminator is asked for the language


def manipulation_checks(
    study: Study, baseline: str, treatment: str, control: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Did the experiment work? Columns question, subject, found, ok.

    baseline, treatment: the arms that are compared; arm control, where it ran, is what the
    adversary is held against. control: what `positive_control` made, for its gate.
    """
    runs, rows = study.runs, []
    recorded = "discriminator_accuracy", "discriminator_chance"
    trained = study.of_phase("intermediate", *recorded)
    for task, own in trained[trained.arm.isin([baseline, treatment])].groupby("intermediate"):
        low = own.loc[own.dev_low.idxmin()]
        lowest = f"{low.dev_accuracy:.1f} % [{low.dev_low:.1f}, {low.dev_high:.1f}]"
        found = f"{int(own.learned.sum())} of {len(own)} runs; lowest {lowest}"
        found += f", majority class {low.majority_accuracy:.1f} %"
        rows.append(("task learned", task, found, bool(own.learned.all())))
    opposed = trained[trained.arm == treatment].dropna(subset=["discriminator_accuracy"])
    if len(opposed):
        accuracy, chance = opposed.discriminator_accuracy, opposed.discriminator_chance
        under = int((accuracy < BELOW_CHANCE * chance).sum())
        below = f"{under} of {len(opposed)} runs well below chance"
        found = f"{accuracy.mean():.1f} % (chance {chance.mean():.1f} %); {below}"
        ahead = ahead_of_own(study)
        ahead = ahead[ahead.index.get_level_values("arm") == treatment]
        over = int((ahead > OUTPACED).sum())
        more = f"a fresh MLP reads {ahead.mean():+.1f} points more, over {OUTPACED:.0f} in {over}"
        found += f"; {more} of {len(ahead)} probed" if len(ahead) else "; no fresh probe to compare"
        rows.append(("discriminator not outpaced", treatment, found, under + over == 0))
    reference = "control" if "control" in set(trained.arm) else baseline
    own = _differences(trained, "discriminator_accuracy", reference, treatment)
    if len(own):
        lower = int((own < 0).sum())
        found = f"{own.mean():+.1f} points; lower in {lower} of {len(own)} blocks"
        subject = f"{treatment} against {reference}"
        rows.append(("adversary acted (own discriminator)", subject, found, lower == len(own)))
    probes = study.probes[study.probes.stage == "intermediate"]  # before fine-tuning on a target
    last = probes[probes.layer == probes.layer.max()] if len(probes) else probes
    probed = reference if len(last) and reference in set(last.arm) else baseline
    fresh = _differences(last, "accuracy", probed, treatment) if len(last) else ()
    if len(fresh):
        used = last[last.arm.isin([probed, treatment])]
        variance = (used.accuracy * (100 - used.accuracy) / used.n_test).mean()
        half = 1.96 * np.sqrt(variance * 2 / len(fresh))
        found = f"{fresh.mean():+.1f} ± {half:.1f} points in {len(fresh)} blocks"
        acted, subject = bool(fresh.mean() + half < 0), f"{treatment} against {probed}"
        rows.append(("adversary acted (fresh probe, last layer)", subject, found, acted))
    rows += explanations.check(runs, baseline, treatment)
    for target, own in runs[(runs.phase == "target") & (runs.arm == "none")].groupby("target"):
        macro, guess = own.macro.mean(), own.majority.mean()
        found = f"{macro:.1f} % in arm none; guessing {guess:.1f} %"
        rows.append(("room to move", study.shown(target), found, guess < macro < CEILING))
    rows += [] if control is None else positive_control.check(control, baseline)
    return pd.DataFrame(rows, columns=["question", "subject", "found", "ok"])


def ahead_of_own(study: Study) -> pd.Series:
    """Points by which a fresh MLP (04, held-out text) reads the language better than a run's own
    discriminator did at its end, on the layer that this one read (of several the last).

    Index intermediate, arm, seed: the runs of `HIDING` that were probed before fine-tuning and
    whose discriminator told apart as many domains as the probe does.
    """
    names = ["intermediate", "arm", "seed"]
    kept = [f"discriminator_{name}" for name in ("accuracy", "chance", "layer")]
    own = study.of_phase("intermediate", *kept)[[*names, *kept]]
    own = own[own.arm.map(method_of).isin(HIDING)].dropna(subset=kept[:2])
    wanted = [*names, "stage", "layer", "chance", "mlp_accuracy"]
    both = study.probes.reindex(columns=wanted).merge(own, on=names)
    both = both[both.stage.eq("intermediate") & both.mlp_accuracy.notna()]
    both = both[(both.chance - both.discriminator_chance.astype(float)).abs() < 1]
    layer = pd.to_numeric(both.discriminator_layer, errors="coerce").fillna(-1)
    both = both[both.layer == layer.where(layer >= 0, study.probes.get("layer", layer).max())]
    ahead = both.mlp_accuracy - both.discriminator_accuracy
    return ahead.set_axis(pd.MultiIndex.from_frame(both[names]))


def on_whole_blocks(study: Study, baseline: str, treatment: str) -> Study:
    """The study with predictions of those blocks (intermediate task, seed) alone that both arms
    have with every target, of seeds that all their intermediate tasks share; arm none stays.

    What is left out by that is a line of the audit. The study as it is where no such block is.
    """
    rows, block = study.predictions, ["intermediate", "seed"]
    heads, lengths = stretches(rows, [*block, "arm", "target"])
    heads = heads.astype({"intermediate": str})
    cells = heads[heads.arm.isin([baseline, treatment])].drop_duplicates()
    size = cells.groupby(block).size()
    whole = size[size == 2 * cells.target.nunique()].index
    tasks = whole.get_level_values(0).nunique()
    seeds = whole.get_level_values(1).value_counts()
    whole = whole[whole.get_level_values(1).isin(seeds.index[seeds == tasks])]
    left = [f"{task} seed {seed}" for task, seed in size.index.difference(whole)]
    if not left or not len(whole):
        return study
    kept = pd.MultiIndex.from_frame(heads[block]).isin(whole) | (heads.arm == "none").to_numpy()
    found = f"{len(whole)} of {len(size)} blocks; left out: {', '.join(left)}"
    line = pd.DataFrame([("blocks that both arms have whole (compared)", found, True)])
    line.columns = study.audit.columns
    audit = pd.concat([study.audit, line], ignore_index=True)
    rows, more = rows[np.repeat(kept, lengths)], study.further_layers
    if len(more):
        there = pd.MultiIndex.from_frame(more[block].astype({"intermediate": str})).isin(whole)
        more = more[there | (more.arm == "none").to_numpy()]
    return replace(study, predictions=rows, further_layers=more, audit=audit)


def planned_comparison(
    study: Study, baseline: str, treatment: str, margin: float, plan: Mapping[str, Any]
) -> stats.Comparison:
    """`stats.compare`, or what stands for it (no block) where runs are missing and it refuses."""
    try:
        return stats.compare(study.predictions, baseline, treatment, margin, plan)
    except ValueError as error:
        if study.audit.set_index("check").ok[FINISHED]:
            raise
        absent = [arm for arm in (baseline, treatment) if arm not in {*study.predictions.arm}]
        reason = f"no target runs of {' and '.join(absent)}" if absent else str(error)
        return stats.not_compared(baseline, treatment, margin, reason, plan)


def _differences(runs: pd.DataFrame, value: str, reference: str, treatment: str) -> np.ndarray:
    """Treatment minus reference in every block that has both, (blocks,)."""
    table = runs.pivot(index=["intermediate", "seed"], columns="arm", values=value)
    table = table.reindex(columns=[reference, treatment])
    return (table[treatment] - table[reference]).dropna().to_numpy(dtype=float)


def failures(checked: pd.DataFrame, audit: pd.DataFrame) -> list[str]:
    """What must stand in the verdict: one short phrase a failed manipulation check or audit row."""
    failed = [f"{row.question}: {row.subject}" for row in checked[~checked.ok].itertuples()]
    incomplete = "the study is incomplete, "
    return failed + [
        f"{incomplete * (row.check == FINISHED)}data audit, {row.check}: {row.found}"
        for row in audit[~audit.ok].itertuples()
    ]
