"""The comparison seen from other sides: parts left out, doses, items and runs drawn anew.

All of it is secondary to `xgrl.stats.compare`, and none of it is a place to pick a result from.
"""

import numpy as np
import pandas as pd

from xgrl import stats
from xgrl.arms import arms_in_order, method_of
from xgrl.evaluation.metrics.official import f1_of
from xgrl.report.load_study import Study
from xgrl.runs import records
from xgrl.runs.params import BY_ARM
from xgrl.stats.alignment import align
from xgrl.stats.randomisation import sign_flip_columns


def leave_one_out(
    predictions: pd.DataFrame, baseline: str, treatment: str, weigh: stats.Weigh = None
) -> pd.DataFrame:
    """The estimate without each intermediate task, target, language and block in turn.

    predictions: as in `Study`, English is left out throughout. weigh: of the targets that remain,
    where they are not equal. Returns kind, left_out, theta (points), p (exact sign flip over the
    blocks that remain); first row: nothing left out. A language is left out of every target; a
    target that has no other language goes with it.
    """
    cells = stats.cell_means(predictions).unstack("arm")
    cells = cells[cells.index.get_level_values("language") != "en"]
    cells = cells.reindex(columns=[baseline, treatment]).dropna()
    cells = (cells[treatment] - cells[baseline]).rename("difference").reset_index()
    cells["block"] = cells.intermediate.astype(str) + " seed " + cells.seed.astype(str)

    def blocks_of(left: pd.DataFrame) -> pd.Series:
        by_target = left.groupby(["block", "target"], observed=True).difference.mean().unstack()
        return by_target @ stats.weights_of(list(map(str, by_target)), weigh)

    whole = blocks_of(cells) if len(cells) else pd.Series(dtype=float)
    found = [("nothing", "", whole.to_numpy())] if len(cells) else []
    for kind in ("intermediate", "target", "language"):
        names = sorted(cells[kind].unique())
        for name in names if len(names) > 1 else ():
            found.append((kind, name, blocks_of(cells[cells[kind] != name]).to_numpy()))
    if len(whole) > 1:
        found += [("block", name, whole.drop(name).to_numpy()) for name in whole.index]
    table = pd.DataFrame(found, columns=["kind", "left_out", "blocks"])
    table["theta"], table["p"] = table.blocks.map(np.mean), np.nan
    for size, own in table.groupby(table.blocks.map(len)):  # the same flips for all of a size
        if size > 1:
            table.loc[own.index, "p"] = sign_flip_columns(np.column_stack([*own.blocks]))
    return table.drop(columns="blocks")


def aa_check(arms: pd.DataFrame, baseline: str) -> str:
    """Does the interval of control, which is the baseline's algorithm, include 0 as it must?"""
    same = arms[(arms.arm == "control") & arms.theta.notna()]
    if same.empty:
        return "A/A: control has no predictions on the targets in this study"
    row = same.iloc[0]
    includes = "includes 0, as it must"
    if not row.low <= 0 <= row.high:
        includes = "DOES NOT INCLUDE 0: look for what differs beside the method"
    interval = f", interval {row.low:+.2f} to {row.high:+.2f} {includes}"
    interval = ", no variance and so no interval" if np.isnan(row.low) else interval
    return f"A/A, control - {baseline}, {row.blocks:.0f} blocks: {row.theta:+.2f} points{interval}"


def bootstrap_check(study: Study, comparison: stats.Comparison, draws=2000, seed=0) -> pd.DataFrame:
    """Each target's crossed interval beside that of the pigeonhole bootstrap.

    Items are drawn once for both arms, all languages and all blocks. Where the metric is an F1 it
    is computed anew from every resample's counts, which checks the jackknife's pseudo-values.
    Returns: target, metric, theta, low, high (crossed), bootstrap_se, bootstrap_low, bootstrap_high
    (points); "all" is the weighted mean of the targets' differences.
    """
    strata = comparison.strata
    arms = comparison.baseline, comparison.treatment
    rows = []
    for row in comparison.per_task.itertuples():
        own = study.predictions[study.predictions.target == row.target]
        counts = [name for name in records.COUNTS if name in own and own[name].notna().all()]
        if counts:
            each = [align(own.assign(score=own[name]), *arms)[1][0] for name in counts]
            # (2, B, C, k)
            values = np.stack([np.stack([t.baseline, t.treatment]) for t in each], axis=-1)
            axes = each[0].language, each[0].item, strata
            drawn = stats.pigeonhole(values, f1_of, *axes, draws, seed=seed)
        else:
            drawn = stats.bootstrap([comparison.items[row.target]], [1.0], strata, draws, seed=seed)
        metric = "F1 of counts" if counts else "mean over items"
        crossed = row.theta, row.low, row.high
        rows.append((row.target, metric, *crossed, drawn.se, *drawn.interval))
    columns = ["target", "metric", "theta", "low", "high"]
    columns += [f"bootstrap_{name}" for name in ("se", "low", "high")]
    if not (items := list(comparison.items.values())):
        return pd.DataFrame(columns=columns)
    drawn = stats.bootstrap(items, comparison.weights, strata, draws, seed=seed)
    crossed = comparison.theta, *comparison.ci
    rows.append(("all", "weighted mean", *crossed, drawn.se, *drawn.interval))
    return pd.DataFrame(rows, columns=columns)


def doses(study: Study, treatment: str) -> pd.DataFrame:
    """Arms of the treatment's baseline that differ from it in lambda_max alone: arm, lambda_max.

    Where none of them has lambda 0 and the method is dann, control, the same algorithm, stands for
    it. Empty for fewer than two doses above 0, also where no lambda was recorded.
    """
    runs = study.of_phase("intermediate", *BY_ARM)
    settings = runs.drop_duplicates("arm").set_index("arm")[list(BY_ARM)].astype(object)
    settings = settings[settings.lambda_max.notna()]
    table = pd.DataFrame(columns=["arm", "lambda_max"])
    if treatment not in settings.index:
        return table
    method, other = method_of(treatment), settings.drop(columns="lambda_max").astype(str)
    same = [arm for arm in settings.index if other.loc[arm].equals(other.loc[treatment])]
    same = [a for a in arms_in_order(same) if method_of(a) == method and a not in study.baselines]
    dose = {arm: float(settings.lambda_max[arm]) for arm in same}
    if 0.0 not in dose.values() and method == "dann":
        dose["control"] = 0.0
    carried = set(study.predictions.arm.unique())
    rows = [(arm, value) for arm, value in dose.items() if arm in carried]
    table = pd.DataFrame(rows, columns=table.columns).sort_values("lambda_max", ignore_index=True)
    return table if table.lambda_max[table.lambda_max > 0].nunique() > 1 else table[:0]


def unequal(predictions: pd.DataFrame, one: str, other: str) -> tuple[int, int]:
    """How many examples that two arms both have differ in score, and how many there are."""
    keys = ["intermediate", "target", "seed", "language", "example_id"]
    sides = [predictions[predictions.arm == arm].set_index(keys).score for arm in (one, other)]
    both = pd.concat(sides, axis=1, keys=["one", "other"], join="inner")
    return int((both.one != both.other).sum()), len(both)


def dose_response(
    study: Study, baseline: str, treatment: str, margin: float, weigh: stats.Weigh = None
) -> pd.DataFrame:
    """Each of `doses` against the baseline, with intervals."""
    table = doses(study, treatment)
    if not len(table):
        return table
    against = study.predictions, baseline, list(table.arm), margin
    return table.merge(stats.against_baseline(*against, weigh=weigh), on="arm")
