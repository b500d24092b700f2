"""What a study did, in tables: scores, costs, what happened in training, calibration. Nothing here
is a test.

A number that a run did not record stays missing, and `shown` prints it as "not recorded".
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import t as student

from xgrl import stats
from xgrl.arms import arms_in_order
from xgrl.report.checks import BELOW_CHANCE
from xgrl.report.completeness import KEYS
from xgrl.report.load_study import Study

COSTS = ("examples", "tokens", "padded_tokens", "flops", "seconds", "job_seconds")
RATIOS = ("_ratio", "_ratio_low", "_ratio_high")
MEASURES = (
    "feature_norm_last",
    "effective_rank_last",
    "task_gradient_norm",
    "arm_gradient_norm",
    "gradient_cosine",
)


def shown(
    frame: pd.DataFrame, digits: int | Mapping[str, int] = 2, missing: str = "not recorded"
) -> pd.DataFrame:
    """A table for the eye: floats with so many digits (or by column), large ones as 1.2e+06, p
    values by `stats.p_format`.

    An index that has a name becomes a column.
    """
    frame = frame if frame.index.names == [None] else frame.reset_index()
    result = frame.copy().astype(object)
    for name in frame.columns:
        places = digits.get(name, 2) if isinstance(digits, Mapping) else digits
        values = []
        for value in frame[name]:
            if isinstance(value, (float, np.floating)):
                p = str(name) == "p" or str(name).startswith(("p_", "tost_p"))
                text = (
                    stats.p_format(value)
                    if p
                    else f"{value:.{places}f}"
                    if abs(value) < 1e5
                    else f"{value:.3g}"
                )
                value = missing if np.isnan(value) else text
            values.append(value)
        result[name] = pd.Series(values, index=frame.index, dtype=object)
    return result


def descriptive(study: Study) -> pd.DataFrame:
    """Zero-shot macro and English score by target and arm, in percent: mean over runs, SD over
    runs, number of runs.
    """
    runs = study.runs[study.runs.phase == "target"]
    table = runs.groupby(["target", "arm"]).agg(
        macro=("macro", "mean"),
        sd=("macro", "std"),
        english=("english", "mean"),
        runs=("macro", "size"),
    )
    return table.unstack("arm").swaplevel(axis=1)[arms_in_order(runs.arm.unique())]


def score_table(study: Study) -> pd.DataFrame:
    """`descriptive` for the eye, a row an arm, a column a target: "macro ± sd", and English in
    brackets where there is one.
    """
    table = descriptive(study)
    rows = {}
    for arm in table.columns.get_level_values(0).unique():
        rows[arm] = {}
        for target, part in table[arm].iterrows():
            spread = "" if np.isnan(part.sd) else f" \u00b1 {part.sd:.1f}"
            english = "" if part.isna().english else f" (en {part.english:.1f})"
            rows[arm][target] = (
                "\u2013" if np.isnan(part.macro) else f"{part.macro:.1f}{spread}{english}"
            )
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def arm_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `stats.against_baseline` or `stats.pairs` for the eye: what is the same in all
    rows is left out.
    """
    most = table.targets.astype(str).str.count(",").max()
    short = table.assign(
        targets=[f"all {most + 1}" if str(t).count(",") == most else t for t in table.targets]
    )
    drop = [name for name in ("intermediate", "targets") if short[name].nunique() <= 1]
    return short.drop(columns=drop if short.note.any() else [*drop, "note"])


def results(study: Study) -> pd.DataFrame:
    """Every score of every run, tidy: study, intermediate, arm, target, seed, language, metric,
    score (percent), n.
    """
    rows = []
    for run in study.runs.to_dict("records"):
        keys = [run["study"], run["intermediate"], run["arm"], run["target"], run["seed"]]
        if run["phase"] == "intermediate":
            keys[3] = run["intermediate"]
            rows.append([*keys, "en", "dev_accuracy", run["dev_accuracy"], run["dev_n"]])
        elif run["phase"] == "target":
            metric = run.get("metric") or "accuracy"
            rows += [
                [*keys, name, metric, value, run["examples"][name]]
                for name, value in run["scores"].items()
            ]
    columns = ["study", *KEYS, "language", "metric", "score", "n"]
    frame = pd.DataFrame(rows, columns=columns).sort_values(columns[:-2], ignore_index=True)
    return frame.astype({"n": "int64"})


def _trained(study: Study, columns: tuple[str, ...]) -> pd.DataFrame:
    """Phase-2 runs with all of these columns, NaN where a run did not record one."""
    runs = study.runs[study.runs.phase == "intermediate"]
    return runs.reindex(columns=[*dict.fromkeys([*runs.columns, *columns])])


def costs(study: Study, baseline: str) -> pd.DataFrame:
    """What an arm's training saw and cost, one row an arm: mean over its phase-2 runs, and relative
    to the baseline.

    Returns:
        index arm; runs, steps, `COSTS` a run (seconds: of training alone; job_seconds: of the whole
        notebook), each divided by the baseline's in the same block (`RATIOS`: mean and 95 % t
        interval over runs), flops and seconds a step, flops a token. Tokens and examples are
        labelled and unlabelled together.
    """
    wanted = (
        "labelled_examples",
        "unlabelled_examples",
        "labelled_tokens",
        "unlabelled_tokens",
        "padded_tokens",
        "flops",
    )
    runs = _trained(study, (*wanted, "train_seconds", "steps"))
    runs = runs.assign(
        examples=runs.labelled_examples.astype(float) + runs.unlabelled_examples.astype(float),
        tokens=runs.labelled_tokens.astype(float) + runs.unlabelled_tokens.astype(float),
        padded_tokens=runs.padded_tokens.astype(float),
        flops=runs.flops.astype(float),
        seconds=runs.train_seconds.astype(float),
        job_seconds=runs.wall_seconds.astype(float),
    )
    base = runs[runs.arm == baseline].set_index(["intermediate", "seed"])[list(COSTS)]
    rows = {}
    for arm in arms_in_order(runs.arm.unique()):
        part = runs[runs.arm == arm].set_index(["intermediate", "seed"])
        total = part[list(COSTS)].mean()
        ratios = part[list(COSTS)] / base.reindex(part.index)
        half = student.ppf(0.975, max(len(part) - 1, 1)) * ratios.std() / np.sqrt(len(part))
        ratio = pd.concat([ratios.mean(), ratios.mean() - half, ratios.mean() + half], keys=RATIOS)
        ratio.index = [f"{name}{suffix}" for suffix, name in ratio.index]
        rate = {
            "flops_a_step": total.flops / part.steps.mean(),
            "seconds_a_step": total.seconds / part.steps.mean(),
            "flops_a_token": total.flops / total.tokens,
        }
        rows[arm] = (
            {"runs": len(part), "steps": part.steps.mean()}
            | total.to_dict()
            | ratio.to_dict()
            | rate
        )
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def _with_interval(values: pd.Series) -> str:
    """Mean and 95 % t interval over runs, as text; "not recorded" where no run has a number."""
    v = values.dropna().to_numpy(float)
    if not len(v):
        return "not recorded"
    if len(v) == 1:
        return f"{v[0]:.2f} (one run)"
    half = student.ppf(0.975, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v))
    return f"{v.mean():.2f} [{v.mean() - half:.2f}, {v.mean() + half:.2f}]"


def inside_training(study: Study) -> pd.DataFrame:
    """What the adversary did, one row an arm and intermediate task: means over runs with 95 % t
    intervals, as text.

    Returns:
        intermediate, arm; discriminator (percent right), chance, below chance (runs whose exact
        interval lies below it; without a recorded interval runs under 0.8 of it), then `MEASURES`:
        norms and effective rank of the features at the end, norms and cosine of the task's and the
        arm's gradient in the encoder.
    """
    bounds = (
        "discriminator_accuracy",
        "discriminator_chance",
        "discriminator_low",
        "discriminator_high",
    )
    runs = _trained(study, (*bounds, *MEASURES))
    rows = {}
    for (task, arm), part in runs.groupby(["intermediate", "arm"]):
        opposed = part.dropna(subset=["discriminator_accuracy"])
        limit = opposed.discriminator_high.astype(float).fillna(
            opposed.discriminator_accuracy / BELOW_CHANCE
        )
        row = {
            "discriminator, %": _with_interval(opposed.discriminator_accuracy),
            "chance": "",
            "below chance": "",
        }
        if len(opposed):
            row["chance"] = f"{opposed.discriminator_chance.mean():.1f}"
            row["below chance"] = (
                f"{int((limit < opposed.discriminator_chance).sum())} of {len(opposed)}"
            )
        else:
            row["discriminator, %"] = "has none"
        rows[task, arm] = row | {
            name.replace("_", " "): _with_interval(part[name].astype(float)) for name in MEASURES
        }
    order = [
        (task, arm)
        for task in sorted({t for t, _ in rows})
        for arm in arms_in_order({a for t, a in rows if t == task})
    ]
    index = pd.MultiIndex.from_tuples(order, names=["intermediate", "arm"])
    return pd.DataFrame([rows[key] for key in order], index=index).reset_index()


def calibration_error(study: Study) -> pd.DataFrame:
    """Expected calibration error in percent by language (rows) and arm (columns): mean over runs of
    classification targets.

    English first; last row "zero-shot": the mean over the others. Empty where no run recorded one.
    """
    runs = study.runs[study.runs.phase == "target"]
    runs = runs.reindex(columns=[*dict.fromkeys([*runs.columns, "calibration"])])
    rows = [
        (run.arm, run.target, language, value)
        for run in runs.itertuples()
        if isinstance(run.calibration, dict)
        for language, value in run.calibration.items()
    ]
    if not rows:
        return pd.DataFrame()
    frame = pd.DataFrame(rows, columns=["arm", "target", "language", "ece"])
    cells = (
        frame.groupby(["language", "target", "arm"])
        .ece.mean()
        .groupby(["language", "arm"])
        .mean()
        .unstack("arm")
    )
    cells = cells[arms_in_order(cells.columns)].sort_index(
        key=lambda index: np.where(index == "en", "", index)
    )
    return pd.concat(
        [cells, cells.drop(index="en", errors="ignore").mean().to_frame("zero-shot").T]
    ).rename_axis(index="language", columns=None)


def translations(study: Study) -> pd.DataFrame:
    """How near translations are on the last layer, by arm: their cosine less that of random pairs,
    mean over checkpoints.

    Index arm; one column for the discriminator's languages (seen), one for others (unseen), English
    apart; before any fine-tuning, and "public", the encoder before training. Empty where 04 had no
    parallel texts.
    """
    if not len(study.parallel):
        return pd.DataFrame()
    last = study.parallel[study.parallel.layer == study.parallel.layer.max()]
    last = last[last.stage.isin(["public", "intermediate"])]
    last = last.assign(group=np.where(last.seen.astype(str) == "True", "seen", "unseen"))
    own = last[last.stage == "intermediate"].groupby(["arm", "group"]).gap.mean().unstack("group")
    own = own.loc[arms_in_order(own.index)]
    public = last[last.stage == "public"].groupby("group").gap.mean().to_frame("public").T
    return pd.concat([public, own]).rename_axis(index="arm", columns=None)


def warnings(study: Study) -> pd.DataFrame:
    """Runs that need a second look, one row a warning: phase, intermediate, arm, target, seed,
    warning.
    """
    rows = []
    for run in study.runs.to_dict("records"):
        found = list(run["warnings"])
        if run["status"] != "finished":
            found.append(f"status {run['status']}")
        if run.get("discriminator_accuracy", np.nan) < BELOW_CHANCE * run.get(
            "discriminator_chance", np.nan
        ):
            found.append(
                f"discriminator at {run['discriminator_accuracy']:.1f} %, well below chance: "
                f"out-run, not confused"
            )
        if run.get("feature_norm_last", np.nan) < 0.5 * run.get("feature_norm_first", np.nan):
            found.append("features shrank to less than half their norm: collapse?")
        if run["phase"] == "intermediate" and run.get("learned") is False:
            found.append(
                f"the task was not learned: {run['dev_accuracy']:.1f} %, majority class "
                f"{run['majority_accuracy']:.1f} %"
            )
        rows += [{key: run[key] for key in ("phase", *KEYS)} | {"warning": text} for text in found]
    return pd.DataFrame(rows, columns=["phase", *KEYS, "warning"])
