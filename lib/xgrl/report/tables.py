"""What a study did, in tables: scores, costs, training, calibration error; no tests.

A number that a run did not record stays missing, and `formatted` prints it as "not recorded".
"""

import html
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype
from pandas.io.formats.style import Styler

from xgrl import stats
from xgrl.arms import arms_in_order
from xgrl.report.checks import BELOW_CHANCE, OUTPACED, ahead_of_own
from xgrl.report.completeness import KEYS
from xgrl.report.load_study import Study
from xgrl.tasks import mixture_parts

COSTS = {  # of a training run, by what the record holds
    "examples": ["labelled_examples", "unlabelled_examples"],
    "tokens": ["labelled_tokens", "unlabelled_tokens"],
    "padded_tokens": ["padded_tokens"],
    "flops": ["flops"],
    "seconds": ["train_seconds"],  # of training alone
    "job_seconds": ["wall_seconds"],  # of the whole notebook
}
MEASURES = (
    "feature_norm_last", "effective_rank_last", "task_gradient_norm", "arm_gradient_norm",
    "gradient_cosine", "gradient_ratio",
)  # fmt: skip
PROBED = [
    "intermediate", "arm", "seed", "accuracy", "low", "high", "chance", "selectivity", "a_distance",
    "cka", "mlp_accuracy", "mlp_low", "mlp_high", "mlp_converged",
]  # fmt: skip


def formatted(
    frame: pd.DataFrame, digits: int | Mapping[str, int] = 2, missing: str = "not recorded",
    empty: str = "nothing", marks: Mapping[tuple[str, str], str] | None = None,
) -> HTML:  # fmt: skip
    """A table to be read: numbers to the right, p values by `stats.p_format`, text to the left.

    digits: of floats, or by column; large ones are shown as 1.2e+06. An index that has a name
    becomes a column, one that only counts is hidden; a table without rows is the sentence `empty`.
    The same table is the same bytes. Targets and languages are `marked`.
    """
    if not len(frame):
        return HTML(f"<p>{html.escape(empty)}</p>")
    frame = marked(frame if frame.index.names == [None] else frame.reset_index(), marks or {})
    style = Styler(frame, uuid=f"{zlib.crc32(frame.to_csv().encode()):08x}", cell_ids=False)
    for name in frame:
        is_p = str(name) == "p" or str(name).startswith(("p_", "tost_p"))
        places = digits.get(name, 2) if isinstance(digits, Mapping) else digits
        style.format(partial(_text, is_p=is_p, places=places, missing=missing), subset=[name])
        values = frame[name].infer_objects()
        side = "right" if is_numeric_dtype(values) and not is_bool_dtype(values) else "left"
        align = {"selector": "", "props": f"text-align: {side}"}
        style.set_table_styles({name: [align]}, overwrite=False)
    if is_integer_dtype(frame.index):
        style.hide()
    return HTML(style.to_html())


def _text(value: Any, is_p: bool, places: int, missing: str) -> str:
    if not isinstance(value, (float, np.floating)):
        return html.escape(str(value))
    if np.isnan(value):
        return missing
    number = f"{value:.{places}f}" if abs(value) < 1e5 else f"{value:.3g}"
    return html.escape(stats.p_format(value)) if is_p else number


def marked(
    frame: pd.DataFrame, marks: Mapping[tuple[str, str], str], languages: bool = True
) -> pd.DataFrame:
    """A table with `Study.marks` behind the names of its targets, in columns or as columns, and
    unless `languages` is False behind those of the languages of a target.
    """
    if not marks:
        return frame
    names = {target: f"{target} ({mark})" for (target, code), mark in marks.items() if not code}
    frame = frame.rename(columns=names)
    if languages and {"target", "language"} <= set(frame):
        pairs = [*zip(frame["target"].astype(str), frame["language"].astype(str), strict=True)]
        texts = [f"{p[1]} ({marks[p]})" if p in marks else p[1] for p in pairs]
        frame = frame.assign(language=texts)
    for column in {"target", "targets", "task"} & set(frame):
        if not is_numeric_dtype(frame[column]):
            lists = frame[column].astype(str).str.split(", ")
            texts = [", ".join(names.get(name, name) for name in each) for each in lists]
            frame = frame.assign(**{column: texts})
    return frame


def descriptive(study: Study) -> pd.DataFrame:
    """Macro and English score, percent, by target and arm: mean and SD over runs, and runs."""
    runs = study.of_phase("target")
    scores = {"macro": ("macro", "mean"), "sd": ("macro", "std"), "english": ("english", "mean")}
    table = runs.groupby(["target", "arm"]).agg(**scores, runs=("macro", "size"))
    return table.unstack("arm").swaplevel(axis=1)[arms_in_order(runs.arm.unique())]


def score_table(study: Study) -> pd.DataFrame:
    """`descriptive` as text, a row an arm with its runs, a column a target: "macro ± sd (en 9)"."""

    def text(score: pd.Series) -> str:
        spread = "" if np.isnan(score.sd) else f" ± {score.sd:.1f}"
        english = "" if pd.isna(score.english) else f" (en {score.english:.1f})"
        return "–" if np.isnan(score.macro) else f"{score.macro:.1f}{spread}{english}"

    table = descriptive(study)
    arms = dict.fromkeys(table.columns.get_level_values(0))
    texts = pd.DataFrame({arm: table[arm].apply(text, axis=1) for arm in arms}).T
    runs = [sorted({f"{n:.0f}" for n in table[arm].runs.dropna()}, key=int) for arm in arms]
    texts.insert(0, "runs", [" or ".join(counts) for counts in runs])
    return texts.rename_axis("arm")


def numbers(comparison: stats.Comparison) -> pd.DataFrame:
    """The planned test in one row: estimate, interval, standard error, df and the p values."""
    low, high = comparison.ci
    row = {"theta": comparison.theta, "low": low, "high": high, "standard error": comparison.se}
    row |= {name: getattr(comparison, name) for name in ("df", "p_signflip", "p_crossed", "p")}
    return pd.DataFrame([row])


def sizes(comparison: stats.Comparison) -> tuple[pd.DataFrame, pd.DataFrame]:
    """ROPE (probability of worse, practically equal, better) and effect sizes; one row each."""
    margin, effects = f"{comparison.margin:g}", asdict(comparison.effects)
    effects["low"], effects["high"] = effects.pop("p_improve_interval")
    names = [f"below -{margin}", "within", f"above {margin}"]
    rope = pd.DataFrame([comparison.rope], index=["ROPE"], columns=names)
    return rope, pd.DataFrame([effects])


def arm_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table of several arms to be shown: what is the same in all rows is left out, and verdicts
    too, which rest on the p of one arm alone.
    """
    count = table.targets.astype(str).str.count(",")
    short = table.assign(targets=table.targets.mask(count == count.max(), f"all {count.max() + 1}"))
    same = [name for name in ("intermediate", "targets") if short[name].nunique() <= 1]
    note = [] if short.note.any() else ["note"]
    return short.drop(columns=[*same, *note, "verdict"])


def results(study: Study) -> pd.DataFrame:
    """Every score of every run, tidy, in percent; dev accuracy at its intermediate task.

    Columns study, intermediate, arm, target, seed, language, metric, score, n, seen: whether the
    study's discriminator read text in the language (empty where 01 did not record it); where some
    data are from files also tested_on and trained_on, what their folder says of them (else ""); and
    note where there is something to know of a target (`Study.notes`).
    """
    rows, said = [], study.provenance

    def of(*corpora: str) -> str:
        return " and ".join(dict.fromkeys(said[name] for name in corpora if name in said))

    tasks = [name for name in study.runs.intermediate.unique() if name != "none"]
    for run in study.runs.to_dict("records"):
        keys = {key: run[key] for key in ("study", *KEYS)}
        if run["phase"] == "intermediate":
            english = {"language": "en", "metric": "dev_accuracy", "score": run["dev_accuracy"]}
            parts = mixture_parts(run["intermediate"], tasks) if said else []
            for column, split in (("tested_on", "dev"), ("trained_on", "train")):
                english[column] = of(*(f"intermediate/{part}/{split}" for part in parts))
            rows.append(keys | english | {"target": run["intermediate"], "n": run["dev_n"]})
        elif run["phase"] == "target":
            keys["metric"] = run["metric"]
            own, other = (f"target/{run.get(key)}" for key in ("target", "train_from"))
            trained = (of(f"{name}/first", f"{name}/train") for name in (own, other))
            keys["trained_on"] = next(filter(None, trained), "")
            for name, score in run["scores"].items():
                row = {"language": name, "score": score, "n": run["examples"][name]}
                row["tested_on"] = of(f"{own}/test-{name}", f"{own}/queries-{name}")
                rows.append(keys | row)
    columns = ["study", *KEYS, "language", "metric"]
    further = ["score", "n", *(["tested_on", "trained_on"] if said else [])]
    frame = pd.DataFrame(rows, columns=[*columns, *further])
    frame = frame.sort_values(columns, ignore_index=True).astype({"n": "int64"})
    frame = frame.assign(seen=frame.language.map(study.seen))
    notes = frame.target.map(study.notes).where(frame.metric != "dev_accuracy").fillna("")
    return frame.assign(note=notes) if notes.any() else frame


def costs(study: Study, baseline: str) -> pd.DataFrame:
    """What training saw and cost by arm: mean over phase-2 runs, and over the baseline's.

    Returns index arm; runs, steps, `COSTS` a run, each divided by the baseline's in the same block
    ("_ratio", "_ratio_low", "_ratio_high": mean and 95 % t interval over runs), flops and seconds a
    step, flops a token. Tokens and examples are labelled and unlabelled together.
    """
    wanted = [name for names in COSTS.values() for name in names]
    runs = study.of_phase("intermediate", *wanted, "steps").set_index(["intermediate", "seed"])
    each = runs[wanted].astype(float)
    spent = pd.DataFrame({name: each[n].sum(axis=1, skipna=False) for name, n in COSTS.items()})
    rows = {}
    for arm in arms_in_order(runs.arm.unique()):
        own, steps = spent[runs.arm == arm], runs.steps[runs.arm == arm].mean()
        ratios = own / spent[runs.arm == baseline].reindex(own.index)
        total = own.mean()
        rows[arm] = {"runs": len(own), "steps": steps} | total.to_dict()
        for suffix, values in zip(("", "_low", "_high"), stats.t_interval(ratios.T), strict=True):
            names = [f"{name}_ratio{suffix}" for name in COSTS]
            rows[arm] |= dict(zip(names, values.tolist(), strict=True))
        rows[arm] |= {"flops_a_step": total.flops / steps, "seconds_a_step": total.seconds / steps}
        rows[arm]["flops_a_token"] = total.flops / total.tokens
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")
    return frame if rows else frame.reindex(columns=["runs", "steps", *COSTS])


def _with_interval(values: pd.Series) -> str:
    """Mean and 95 % t interval over runs, as text; "not recorded" where no run has a number."""
    values = values.dropna().to_numpy(float)
    if len(values) < 2:
        return f"{values[0]:.2f} (one run)" if len(values) else "not recorded"
    return "{:.2f} [{:.2f}, {:.2f}]".format(*stats.t_interval(values))


def inside_training(study: Study) -> pd.DataFrame:
    """What the adversary did, by intermediate task and arm: means, t intervals, as text.

    Returns intermediate, arm; discriminator (percent right), chance, below chance (runs whose exact
    interval lies below it; without a recorded interval runs under 0.8 of it), then `MEASURES`:
    norms and effective rank of the features at the end, norms and cosine of the task's and the
    arm's gradient in the encoder, and the arm's share of the task's at the features.
    """
    names = ["discriminator_accuracy", "discriminator_chance", "discriminator_high"]
    runs, rows = study.of_phase("intermediate", *names, *MEASURES), []
    for task, trained in runs.groupby("intermediate"):
        for arm in arms_in_order(trained.arm.unique()):
            own = trained[trained.arm == arm]
            opposed = own.dropna(subset=["discriminator_accuracy"])
            accuracy, chance, high = (opposed[name].astype(float) for name in names)
            below = int((high.fillna(accuracy / BELOW_CHANCE) < chance).sum())
            read = "has none", "", ""
            if len(opposed):
                outpaced = f"{below} of {len(opposed)}"
                read = _with_interval(accuracy), f"{chance.mean():.1f}", outpaced
            rows.append((task, arm, *read, *(_with_interval(own[name]) for name in MEASURES)))
    columns = ["intermediate", "arm", "discriminator, %", "chance", "below chance"]
    return pd.DataFrame(rows, columns=[*columns, *(name.replace("_", " ") for name in MEASURES)])


def calibration_error(study: Study) -> pd.DataFrame:
    """Expected calibration error, percent, by language and arm: mean over runs and targets.

    English first; last row "zero-shot": the mean over the others. Empty where no run recorded one.
    """
    rows = [
        {"arm": run.arm, "target": run.target, "language": language, "error": error}
        for run in study.of_phase("target", "calibration").itertuples()
        if isinstance(run.calibration, dict)
        for language, error in run.calibration.items()
    ]
    if not rows:
        return pd.DataFrame()
    by_target = pd.DataFrame(rows).groupby(["language", "target", "arm"]).error.mean()
    table = by_target.groupby(["language", "arm"]).mean().unstack("arm")
    table = table[arms_in_order(table.columns)]
    foreign = table.drop(index="en", errors="ignore")
    zero_shot = foreign.mean().to_frame("zero-shot").T
    table = pd.concat([table[table.index == "en"], foreign, zero_shot])
    return table.rename_axis(index="language", columns=None)


def translations(study: Study) -> pd.DataFrame:
    """Cosine of translations less that of random pairs on the last layer, by arm.

    Index arm; one column for the discriminator's languages (seen), one for others (unseen), English
    apart; before fine-tuning, and "public", the untrained encoder. Empty without parallel texts.
    """
    if not len(study.parallel):
        return pd.DataFrame()
    last = study.parallel[study.parallel.layer == study.parallel.layer.max()]
    group = last.seen.astype(str).map({"True": "seen"}).fillna("unseen").rename("group")
    stages = {"intermediate": "arm", "public": "stage"}
    gaps = [last[last.stage == s].groupby([by, group]).gap.mean() for s, by in stages.items()]
    own, public = (gap.unstack("group") for gap in gaps)
    own = own.loc[arms_in_order(own.index)]
    return pd.concat([public, own]).rename_axis(index="arm", columns=None)


def last_layer(study: Study) -> pd.DataFrame:
    """Fresh probes of the last layer before fine-tuning, one row a checkpoint."""
    probes = study.probes[study.probes.stage == "intermediate"]
    last = probes[probes.layer == probes.layer.max()] if len(probes) else probes
    return last[[name for name in PROBED if name in last]].reset_index(drop=True)


def relearned(study: Study) -> pd.DataFrame:
    """What a fresh linear probe reads of the last layer before and after the target's fine-tuning,
    percent right, by arm: mean over blocks, the change with its 95 % t interval.

    Index arm; blocks, chance, before, after, change, low, high. Only blocks that were probed at
    both times count; none: the public encoder. Empty where there are none.
    """
    probes = study.probes[study.probes.stage != "public"]
    probes = probes[probes.layer == probes.layer.max()] if len(probes) else probes
    stages, rows = ["intermediate", "fine-tuned"], {}
    for arm, own in probes.groupby("arm"):
        read = own.pivot(index=["intermediate", "seed"], columns="stage", values="accuracy")
        before, after = read.reindex(columns=stages).dropna().to_numpy(float).T
        if len(before):
            change, low, high = stats.t_interval(after - before)
            rows[arm] = {"blocks": len(before), "chance": own.chance.mean()}
            rows[arm] |= {"before": before.mean(), "after": after.mean()}
            rows[arm] |= {"change": change, "low": low, "high": high}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")
    return table.loc[arms_in_order(rows)]


def first_maps(study: Study, arms: Sequence[str]) -> pd.DataFrame:
    """Maps of the public encoder and these arms, of the first seed and one intermediate task."""
    if not len(study.maps):
        return study.maps
    maps = study.maps[study.maps.arm.isin(["none", *arms])]
    task = maps.intermediate.isin(["none", maps.intermediate.iloc[-1]])
    return maps[task & (maps.seed == maps.seed.min())]


def warnings(study: Study) -> pd.DataFrame:
    """Runs that need a second look, one row a warning: phase, the run's keys, warning."""
    rows, ahead = [], ahead_of_own(study)
    for run in study.runs.to_dict("records"):
        texts, nan = list(run["warnings"]), float("nan")
        if run["status"] != "finished":
            texts.append(f"status {run['status']}")
        accuracy = run.get("discriminator_accuracy", nan)
        if accuracy < BELOW_CHANCE * run.get("discriminator_chance", nan):
            below = f"discriminator at {accuracy:.1f} %, well below chance"
            texts.append(f"{below}: outpaced, not confused")
        more = ahead.get(tuple(run[key] for key in ahead.index.names), nan)
        if run["phase"] == "intermediate" and more > OUTPACED:
            fresh = f"a fresh MLP reads the language {more:.1f} points better"
            texts.append(f"{fresh} than the discriminator at its end: outpaced")
        if run.get("feature_norm_last", nan) < 0.5 * run.get("feature_norm_first", nan):
            texts.append("features shrank to less than half their norm: collapse?")
        if run["phase"] == "intermediate" and run.get("learned") is False:
            reached = f"{run['dev_accuracy']:.1f} %"
            majority = f"majority class {run['majority_accuracy']:.1f} %"
            texts.append(f"the task was not learned: {reached}, {majority}")
        rows += [{key: run[key] for key in ("phase", *KEYS)} | {"warning": text} for text in texts]
    return pd.DataFrame(rows, columns=["phase", *KEYS, "warning"])
