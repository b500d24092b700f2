"""The comparison seen from other sides: parts left out, doses, items and runs drawn anew.

All of it is secondary to `xgrl.stats.compare`, and none of it is a place to pick a result from.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from xgrl import stats
from xgrl.arms import arms_in_order, method_of
from xgrl.evaluation.metrics.counts import f1_of
from xgrl.report.load_study import Study
from xgrl.runs import records
from xgrl.runs.params import BY_ARM
from xgrl.stats.alignment import align


def leave_one_out(
    predictions: pd.DataFrame,
    baseline: str,
    treatment: str,
    weights: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """The estimate again without each intermediate task, target, language and block in turn: does
    one of them carry it?

    Args:
        predictions: as in `Study`. English is left out throughout.
        weights: of targets, where they are not equal.

    Returns:
        kind, left_out, theta (points), p (exact sign flip over the blocks that remain); first row:
        nothing left out. A language is left out of every target; a target that has no other
        language goes with it.
    """
    kept = predictions[predictions.arm.isin([baseline, treatment]) & (predictions.language != "en")]
    cells = (
        kept.groupby(["intermediate", "seed", "target", "language", "arm"], observed=True)
        .score.mean()
        .unstack("arm")
    )
    cells = (cells[treatment] - cells[baseline]).rename("d").reset_index()
    cells["block"] = cells.intermediate.astype(str) + " seed " + cells.seed.astype(str)

    def row(kind: str, name: str, part: pd.DataFrame) -> tuple:
        by_task = part.groupby(["block", "target"], observed=True).d.mean().unstack()
        w = np.array(
            [1.0 if weights is None else weights[str(target)] for target in by_task.columns]
        )
        blocks = by_task.to_numpy() @ (w / w.sum())
        return kind, name, blocks.mean(), stats.sign_flip(blocks) if len(blocks) > 1 else np.nan

    rows = [row("nothing", "", cells)]
    for kind in ("intermediate", "target", "language", "block"):
        names = sorted(cells[kind].unique())
        rows += [row(kind, name, cells[cells[kind] != name]) for name in names if len(names) > 1]
    return pd.DataFrame(rows, columns=["kind", "left_out", "theta", "p"])


def bootstrap_check(
    study: Study, comparison: stats.Comparison, draws: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Each target's crossed interval beside that of the pigeonhole bootstrap.

    Items are drawn once for both arms, all languages and all blocks. Where the metric is an F1 it
    is computed anew from every resample's counts, which checks the jackknife's pseudo-values.
    Returns: target, metric, theta, low, high (crossed), bootstrap_se, bootstrap_low, bootstrap_high
    (points); "all" is the weighted mean of the targets' differences.
    """
    strata = comparison.blocks["intermediate"]
    strata = strata if strata.value_counts().min() > 1 else None
    rows = []
    for row in comparison.per_task.itertuples():
        part = study.predictions[study.predictions.target == row.target]
        counts = [name for name in records.COUNTS if name in part and part[name].notna().all()]
        if counts:
            sides = [
                align(part.assign(score=part[name]), comparison.baseline, comparison.treatment)[1][
                    0
                ]
                for name in counts
            ]
            # (2, B, C, k)
            values = np.stack([np.stack([s.baseline, s.treatment]) for s in sides], axis=-1)
            found = stats.pigeonhole(
                values, f1_of, sides[0].language, sides[0].item, strata, draws, seed=seed
            )
        else:
            found = stats.bootstrap([comparison.items[row.target]], [1.0], strata, draws, seed=seed)
        kind = "F1 of counts" if counts else "mean over items"
        rows.append((row.target, kind, row.theta, row.low, row.high, found.se, *found.interval))
    found = stats.bootstrap(
        list(comparison.items.values()), comparison.weights, strata, draws, seed=seed
    )
    rows.append(
        ("all", "weighted mean", comparison.theta, *comparison.ci, found.se, *found.interval)
    )
    columns = [
        "target",
        "metric",
        "theta",
        "low",
        "high",
        "bootstrap_se",
        "bootstrap_low",
        "bootstrap_high",
    ]
    return pd.DataFrame(rows, columns=columns)


def doses(study: Study, treatment: str) -> pd.DataFrame:
    """The treatment's method at several strengths: arms that differ from it in lambda_max alone,
    columns arm, lambda_max.

    Where none of them has lambda 0 and the method is dann, control stands for it: it is the same
    algorithm. Fewer than two doses give an empty table, also where runs did not record their
    lambda.
    """
    runs = study.runs[study.runs.phase == "intermediate"]
    runs = runs.reindex(columns=[*dict.fromkeys([*runs.columns, *BY_ARM])])
    settings = runs.drop_duplicates("arm").set_index("arm")[list(BY_ARM)].astype(object)
    settings = settings[settings.lambda_max.notna()]
    if treatment not in settings.index:
        return pd.DataFrame(columns=["arm", "lambda_max"])
    other = settings.drop(columns="lambda_max").astype(str)
    same = [arm for arm in settings.index if method_of(arm) == method_of(treatment)]
    same = [arm for arm in same if other.loc[arm].equals(other.loc[treatment])]
    found = {arm: float(settings.lambda_max[arm]) for arm in arms_in_order(same)}
    carried = set(study.predictions.arm.unique())
    if 0.0 not in found.values() and method_of(treatment) == "dann" and "control" in carried:
        found["control"] = 0.0
    table = pd.DataFrame(
        [(arm, dose) for arm, dose in found.items() if arm in carried],
        columns=["arm", "lambda_max"],
    )
    table = table.sort_values("lambda_max", ignore_index=True)
    return table if table.lambda_max.nunique() > 1 else table[:0]


def unequal(predictions: pd.DataFrame, one: str, other: str) -> tuple[int, int]:
    """How many of the examples that two arms both have differ in their score, and how many there
    are.
    """
    keys = ["intermediate", "target", "seed", "language", "example_id"]
    sides = [predictions[predictions.arm == arm].set_index(keys).score for arm in (one, other)]
    both = pd.concat(sides, axis=1, keys=["one", "other"], join="inner")
    return int((both.one != both.other).sum()), len(both)


def dose_response(study: Study, baseline: str, treatment: str, margin: float) -> pd.DataFrame:
    """Every dose against the baseline, lambda_max first: all doses that were run, with intervals;
    empty for fewer than two.
    """
    table = doses(study, treatment)
    if not len(table):
        return table
    return table.merge(
        stats.against_baseline(study.predictions, baseline, list(table.arm), margin), on="arm"
    )
