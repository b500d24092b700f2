"""Why a difference between arms may be there: descriptions beside the verdict, no second verdict.

Gap: is it transfer that changes, or the task in English too? Mediation: does the score go with the
language that is left, the rank of the features, the nearness of translations? Interaction: do
intermediate tasks differ in the effect? Matched English: what is left of the effect where both arms
are as good in English? Manipulation: is the language hidden at all? All but the first need the
records of runs alone, so that they can be had of a published `runs.json` too. What is missing is
said in a row's note; a table without rows is what `ABSENT` says.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import f_oneway, linregress, norm

from xgrl import stats
from xgrl.arms import method_of
from xgrl.report.load_study import Study
from xgrl.report.selection import POINT, RANK
from xgrl.stats.alignment import ENGLISH, align
from xgrl.stats.verdict import crossed_and_sign_flip

RUN, ALL, ENGLISH_TOO = ["intermediate", "arm", "seed"], "all targets", "all with English"
AFTER = "after "  # an intermediate task's own column of `interaction`
MEASURES = {
    "fresh_probe": "fresh probe",
    "rank": "rank of English features",
    "nearness": "translation gap",
}
SCOPES = {"all runs": [], "within arms": ["arm"], "within arms and tasks": ["arm", "intermediate"]}
READERS = {"fresh_probe": "fresh linear probe", "mlp": "fresh MLP", "own": "own discriminator"}
FRESH = {READERS["fresh_probe"], READERS["mlp"]}
KEPT = {"kept_rank": "effective rank", "english": "English development"}
READ = "language is read"
NO_PROOF = "a correlation over runs is no proof of mediation"
HIDDEN = "language hidden (fresh probes at most half-way to chance), rank and English kept"
ABOUT = {
    "gap": "Difference in English, in zero-shot languages, and in the gap between the two (English "
    "less zero-shot: above 0 it widens), on targets with an English part",
    "manipulation": "The language that is left, % read right, and what hiding it cost. Bound: a "
    "fresh probe on held-out text at most half-way between the baseline's accuracy and chance, "
    "nine tenths of its effective rank, its English development score (of the intermediate task) "
    "less a point",
    "manipulation_by_task": "The same by intermediate task: a mean need not hold of each",
    "mediation": "Change against the baseline of the same block, of what was measured in the "
    f"encoder and of the score: correlations with Fisher's interval; {NO_PROOF}",
    "interaction": "Do intermediate tasks differ in the effect? F over blocks by task, test items "
    "as given; Holm over targets",
    "matched_english": "Effect where both arms score the same in English: intercept of the "
    "zero-shot difference on the English one over blocks (noise in English draws it to the whole)",
}
ABSENT = {
    "gap": "no target with an English part was compared",
    "manipulation": "no checkpoint of both arms was probed, no discriminator recorded",
    "manipulation_by_task": "no checkpoint of both arms was probed, no discriminator recorded",
    "mediation": "no arm was run beside the baseline with these measures",
    "interaction": "one intermediate task, or nothing compared",
    "matched_english": "no target with an English part was compared",
}


def explain(
    study: Study, comparison: stats.Comparison, weigh: stats.Weigh = None
) -> dict[str, pd.DataFrame]:
    """All tables, by the keys of `ABOUT`.

    weigh: of targets with an English part; without, in the comparison's proportions.
    """
    near = study.parallel
    if len(near):
        near = near[(near.layer == near.layer.max()) & (near.stage == "intermediate")]
        near = near.groupby(RUN).gap.mean()
    runs = study.runs[~study.runs.arm.isin(study.baselines)]  # compared with another baseline
    tables = of_runs(runs, comparison.summary(), near, weigh)
    return {"gap": gap(study, comparison, weigh), **tables}


def of_runs(
    runs: pd.DataFrame,
    comparison: Mapping[str, Any],
    nearness: pd.Series | pd.DataFrame = (),
    weigh: stats.Weigh = None,
) -> dict[str, pd.DataFrame]:
    """The tables that records of runs allow.

    runs: one row a run, as `Study.runs`. comparison: as `Comparison.summary()` has it. nearness:
    cosine of translations less that of random pairs, by `RUN`; empty where it was not measured.
    weigh: as for `explain`.
    """
    c = comparison
    weights = {r["target"]: w for r, w in zip(c["per_task"], c["weights"], strict=True)}
    blocks = {(row["intermediate"], row["seed"]) for row in c["blocks"]}
    runs = runs[[block in blocks for block in zip(runs.intermediate, runs.seed, strict=True)]]
    arms, points = (c["baseline"], c["treatment"]), checkpoints(runs, nearness)
    scored = runs[(runs.phase == "target") & runs.target.isin([*weights])]
    scored = scored.reindex(columns=[*RUN, "target", "macro", "english"])
    macro, english = (
        scored.pivot(index=RUN, columns="target", values=value).reindex(columns=[*weights])
        for value in ("macro", "english")
    )
    macro, english = macro.astype(float), english.astype(float)
    return {
        "manipulation": manipulation(points, *arms),
        "manipulation_by_task": by_task(points, *arms),
        "mediation": mediation(points, macro, arms[0], weights),
        "interaction": interaction(macro, *arms, weights),
        "matched_english": matched_english(macro, english, *arms, weigh or (lambda _: weights)),
    }


def checkpoints(runs: pd.DataFrame, nearness: pd.Series | pd.DataFrame = ()) -> pd.DataFrame:
    """What was measured of each checkpoint's last layer, indexed by `RUN`; NaN where it was not.

    Columns fresh_probe, mlp, chance (percent, held-out text), own (the arm's own discriminator),
    own_chance, rank (effective, of English development texts), kept_rank (of the probed texts of
    all languages), english (development score of the intermediate task), nearness.
    """
    wanted = {
        "probe": {"accuracy": "fresh_probe", "mlp": "mlp", "chance": "chance", "rank": "kept_rank"},
        "intermediate": {
            "discriminator_accuracy": "own", "discriminator_chance": "own_chance",
            "effective_rank_last": "rank", "dev_accuracy": "english",
        },
    }  # fmt: skip
    if "tasks" in runs:  # of a mixture the mean over them, where the record has what is worst
        means = runs.tasks.dropna().map(lambda x: np.mean([t["dev_accuracy"] for t in x.values()]))
        runs = runs.assign(dev_accuracy=means.combine_first(runs.dev_accuracy))
    sides = [
        runs[runs.phase == phase].set_index(RUN).reindex(columns=[*names]).rename(columns=names)
        for phase, names in wanted.items()
    ]
    points = sides[0].join(sides[1], how="outer").astype(float)
    return points.assign(nearness=nearness if len(nearness) else np.nan)


def _change(frame: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Every other arm less the baseline in the same block, indexed as `frame`, by `RUN`."""
    if baseline not in frame.index.get_level_values("arm"):
        return frame[:0]
    own = frame.xs(baseline, level="arm").reindex(frame.index.droplevel("arm"))
    return (frame - own.to_numpy()).drop(index=baseline, level="arm")


def _with_average(
    frame: pd.DataFrame, weights: Mapping[str, float], name: str = ALL
) -> pd.DataFrame:
    """Targets' columns and their weighted mean, called `name`; NaN where a target is."""
    w = pd.Series(weights, dtype=float)[list(frame)]
    return frame.assign(**{name: (frame * w).sum(axis=1, skipna=False, min_count=1) / w.sum()})


def manipulation(points: pd.DataFrame, baseline: str, treatment: str) -> pd.DataFrame:
    """Who still reads the language: fresh linear probe, fresh MLP, the treatment's discriminator.
    And are effective rank and English development score kept?

    Returns reader (or what is kept), baseline, treatment (mean over blocks that both have; percent
    but for the rank), low, high (of the treatment, over blocks), chance, bound (the gate's), passed
    ("yes" or "no"; "" of the arm's own discriminator, which is no gate), blocks.
    """
    rows = []
    for name, reader in (READERS | KEPT).items():
        arms = [treatment] if name == "own" else [baseline, treatment]
        own = points[name].unstack("arm").reindex(columns=[baseline, treatment])
        own = own.dropna(subset=arms).astype(float)
        if not len(own):
            continue
        before, after = own.mean()
        row = {"reader": reader, "baseline": before, "treatment": after}
        row |= {"low": own[treatment].min(), "high": own[treatment].max(), "chance": np.nan}
        if name in READERS:
            row["chance"] = points["own_chance" if name == "own" else "chance"].mean()
        bounds = {"own": np.nan, "kept_rank": RANK * before, "english": before - POINT}
        row["bound"] = bounds.get(name, (before + row["chance"]) / 2)  # half-way to chance: hidden
        within = after >= row["bound"] if name in KEPT else after <= row["bound"]
        row["passed"] = ("yes" if within else "no") if name != "own" else ""
        rows.append(row | {"blocks": len(own)})
    columns = ["reader", "baseline", "treatment", "low", "high", "chance", "bound", "passed"]
    return pd.DataFrame(rows, columns=[*columns, "blocks"])


def by_task(points: pd.DataFrame, baseline: str, treatment: str) -> pd.DataFrame:
    """`manipulation` of each intermediate task (first column): what holds of the mean over tasks
    need not hold of one of them.
    """
    found = [
        manipulation(own, baseline, treatment).assign(intermediate=task)
        for task, own in points.groupby(level="intermediate", sort=False)
    ]
    whole = manipulation(points[:0], baseline, treatment).assign(intermediate="")
    table = pd.concat([own for own in found if len(own)] or [whole], ignore_index=True)
    return table[["intermediate", *whole.columns.drop("intermediate")]]


def hidden_after(table: pd.DataFrame) -> dict[str, bool]:
    """By intermediate task whether every fresh probe passes the gate, of a table of `by_task`."""
    fresh = table[table.reader.isin(FRESH)]
    return (fresh.passed == "yes").groupby(fresh.intermediate, sort=False).all().to_dict()


def gate_of(points: pd.DataFrame, baseline: str, treatment: str) -> tuple[str, str]:
    """Of `manipulation` what is amiss, "" for nothing; and the tasks after which it is hidden."""
    table = manipulation(points, baseline, treatment)
    failed = [READ if name in FRESH else name for name in table.reader[table.passed == "no"]]
    tasks = hidden_after(by_task(points, baseline, treatment))
    return ", ".join(dict.fromkeys(failed)), ", ".join(name for name, yes in tasks.items() if yes)


def check(runs: pd.DataFrame, baseline: str, treatment: str) -> list[tuple[str, str, str, bool]]:
    """The gate as a row of the manipulation checks; none where no checkpoint of both was probed, or
    the treatment is not one that opposes or erases language.
    """
    table = manipulation(checkpoints(runs), baseline, treatment)
    gate, opposes = table[table.passed != ""], table.reader.eq(READERS["own"]).any()
    if not gate.reader.isin(FRESH).any() or not (opposes or method_of(treatment) == "leace"):
        return []
    found = [
        f"{r.reader} {r.treatment:.1f} "
        f"(at {'most' if r.reader in FRESH else 'least'} {r.bound:.1f})"
        for r in gate.itertuples()
    ]
    return [(HIDDEN, treatment, ", ".join(found), bool((gate.passed == "yes").all()))]


def mediation(
    points: pd.DataFrame, scores: pd.DataFrame, baseline: str, weights: Mapping[str, float]
) -> pd.DataFrame:
    """Correlation of the change of each of `MEASURES` with that of the zero-shot score.

    points: `checkpoints`; scores: percent, by `RUN`, a column a target. A change is an arm less the
    baseline of its block, so that arms of a block share the baseline's noise, and an interval that
    takes runs as independent describes. Returns measure, target, scope (all runs, within arms,
    within arms and tasks: both centred in each group), runs, groups, r, low, high (Fisher, 95 %),
    note.
    """
    scores = _with_average(scores, weights)
    moved = _change(points[[*MEASURES]], baseline).join(_change(scores, baseline), how="inner")
    rows = []
    for name, measure in MEASURES.items() if len(moved) else ():
        for target in scores:
            own = moved[[name, target]].dropna()
            for scope, keys in SCOPES.items():
                keyed = {"measure": measure, "target": target, "scope": scope}
                rows.append(keyed | _correlation(own.set_axis(["x", "y"], axis=1), keys))
    columns = ["measure", "target", "scope", "runs", "groups", "r", "low", "high", "note"]
    return pd.DataFrame(rows, columns=columns)


def _correlation(pairs: pd.DataFrame, keys: Sequence[str]) -> dict[str, Any]:
    """Pooled correlation of x and y, both centred within the groups of the index levels `keys`."""
    groups = pairs.groupby(level=keys) if keys else None
    count = groups.ngroups if keys else 1
    row = {"runs": len(pairs), "groups": count} | dict.fromkeys(("r", "low", "high"), np.nan)
    spare = len(pairs) - count - 2  # 1 / the variance of Fisher's z
    if spare < 1:
        return row | {"note": "not measured" if not len(pairs) else "too few runs"}
    left = pairs - (groups.transform("mean") if keys else pairs.mean())
    size = np.sqrt((left**2).sum())
    if (size <= 1e-9 * (1 + pairs.abs().max())).any():
        return row | {"note": "does not vary"}
    r = float(np.clip((left.x @ left.y) / size.prod(), -1, 1))
    with np.errstate(divide="ignore"):
        ends = np.tanh(np.arctanh(r) + norm.ppf([0.025, 0.975]) / np.sqrt(spare))
    return row | {"r": r, "low": ends[0], "high": ends[1], "note": ""}


def interaction(
    scores: pd.DataFrame, baseline: str, treatment: str, weights: Mapping[str, float]
) -> pd.DataFrame:
    """Do intermediate tasks differ in treatment minus baseline? F over blocks by task (two tasks:
    the t test's square), by target and for the weighted mean of all.

    Returns target, tasks, blocks, a column "after TASK" of each (mean, points), F, df_between,
    df_within, p (test items as given), p_holm (over targets; all targets are a question of their
    own), note. Empty for one intermediate task.
    """
    moved = _change(_with_average(scores, weights), baseline)
    moved = moved[moved.index.get_level_values("arm") == treatment]
    rows = []
    for target in [ALL, *weights] if moved.index.get_level_values(0).nunique() > 1 else ():
        by_task = {task: d for task, d in moved[target].dropna().groupby(level="intermediate")}
        blocks, values = sum(map(len, by_task.values())), [*by_task.values()]
        row = {"target": target, "tasks": len(by_task), "blocks": blocks, "note": ""}
        row |= {f"{AFTER}{task}": d.mean() for task, d in by_task.items()}
        row |= {"df_between": len(by_task) - 1, "df_within": blocks - len(by_task)}
        if len(by_task) < 2 or not row["df_within"]:
            row["note"] = "not two blocks a task"
        elif max(np.ptp(d) for d in values) <= 1e-9:
            row["note"] = "blocks of a task do not vary"
        else:
            row["F"], row["p"] = map(float, f_oneway(*values))
        rows.append(row)
    after = dict.fromkeys(key for row in rows for key in row if key.startswith(AFTER))
    columns = ["target", "tasks", "blocks", *after, "F", "df_between", "df_within", "p", "note"]
    table = pd.DataFrame(rows, columns=columns).astype({"F": float, "p": float})
    table.insert(len(columns) - 1, "p_holm", table.p.where(table.target == ALL))
    tested = (table.target != ALL) & table.p.notna()
    if tested.any():
        table.loc[tested, "p_holm"] = stats.holm(table.p[tested])
    return table


def matched_english(
    scores: pd.DataFrame, english: pd.DataFrame, baseline: str, treatment: str,
    weigh: stats.Weigh,
) -> pd.DataFrame:  # fmt: skip
    """Treatment minus baseline in zero-shot points at an English difference of 0: the intercept of
    a line through the blocks, of each target with an English part and of their weighted mean.

    Returns target, blocks, english, zero_shot (mean differences), slope, theta (intercept), low,
    high (95 % t), note.
    """
    has = [name for name in english if english[name].notna().any()]
    weights = dict(zip(has, stats.weights_of(has, weigh), strict=True))
    averaged = (_with_average(frame[has], weights, ENGLISH_TOO) for frame in (scores, english))
    frames = [_change(frame, baseline) for frame in averaged]
    y, x = (f[f.index.get_level_values("arm") == treatment] for f in frames)
    rows = []
    for target in [ENGLISH_TOO, *has] if has else ():
        own = pd.DataFrame({"x": x[target], "y": y[target]}).dropna()
        row = {"target": target, "blocks": len(own), "note": ""}
        row |= {"english": own.x.mean(), "zero_shot": own.y.mean()}
        if len(own) < 4:
            row["note"] = "fewer than four blocks"
        elif np.ptp(own.x) <= 1e-9:
            row["note"] = "the English difference does not vary"
        else:
            line = linregress(own.x, own.y)
            half = stats.t_half_width(line.intercept_stderr, len(own) - 2)
            ends = {"low": line.intercept - half, "high": line.intercept + half}
            row |= {"slope": line.slope, "theta": line.intercept} | ends
        rows.append(row)
    columns = ["target", "blocks", "english", "zero_shot", "slope", "theta", "low", "high", "note"]
    return pd.DataFrame(rows, columns=columns)


def gap(study: Study, comparison: stats.Comparison, weigh: stats.Weigh = None) -> pd.DataFrame:
    """Treatment minus baseline in English, zero-shot, and English less zero-shot, each by the
    crossed test of blocks and items.

    English items are a set of their own, also where they are translations of the others: of items
    that are hard in every language the gap then keeps a spread that it does not have, and its
    interval is rather too wide. Returns target (the weighted mean of those with an English part,
    then each), part ("English", "zero-shot", "gap"), theta, low, high, p (unadjusted), targets,
    note.
    """
    c, rows, english, notes = comparison, [], {}, {}
    blocks = [*zip(c.blocks.intermediate, c.blocks.seed, strict=True)]
    frame = study.predictions
    frame = frame[(frame.language == ENGLISH) & frame.arm.isin([c.baseline, c.treatment])]
    for name in c.items:
        own = frame[frame.target == name]
        if not len(own):
            notes[name] = "no English part"
            continue
        try:
            found, (target,) = align(own.assign(language="English"), c.baseline, c.treatment)
            if [(block.intermediate, block.seed) for block in found] != blocks:
                raise ValueError("English has other blocks")
            english[name] = target.items()
        except ValueError as error:
            notes[name] = str(error)
    weights = dict(zip(c.items, c.weights, strict=True))
    for name in [ENGLISH_TOO, *c.items] if english else ():
        if name in notes:
            rows.append({"target": name, "part": "gap", "targets": 0, "note": notes[name]})
            continue
        own = [*english] if name == ENGLISH_TOO else [name]
        w = stats.weights_of(own, weigh or (lambda _: weights))
        sides = [english[each] for each in own], [c.items[each] for each in own]
        both = [*sides[0], *sides[1]], np.concatenate([w, -w])
        parts = {"English": (sides[0], w), "zero-shot": (sides[1], w), "gap": both}
        for part, (values, shares) in parts.items():
            tested = crossed_and_sign_flip(values, shares, c.strata)
            low, high = tested.estimate.interval
            row = {"target": name, "part": part, "theta": tested.estimate.mean, "low": low}
            note = "no variance, so no interval" if tested.flat else ""
            row |= {"high": high, "p": tested.p, "targets": len(own), "note": note}
            rows.append(row)
    columns = ["target", "part", "theta", "low", "high", "p", "targets", "note"]
    return pd.DataFrame(rows, columns=columns)
