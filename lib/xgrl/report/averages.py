"""Averages over groups of targets, and what XTREME-R's own average makes of the scores.

A group is what a target's format makes it, which is XTREME-R's: classification (multiple choice
too), structured prediction, question answering, retrieval. A study file that says ``average:
groups`` has their mean over zero-shot languages as its planned estimate, every group the same and
its targets equally; and names by that, in advance, each group by itself (a family of its own) and
the mean without retrieval, which reads the very layer that the arms overwrite. XTREME-R's is the
mean over its ten tasks of the mean over languages, English included (Ruder et al. 2021, arXiv
2104.07412, whose text counts LAReQA as retrieval; the script of XTREME leaves it apart).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from xgrl import stats
from xgrl.arms import arms_in_order
from xgrl.report.load_study import Study
from xgrl.report.plan import Plan
from xgrl.tasks import find_task

RETRIEVAL = "retrieval"
GROUPS = {  # XTREME-R's tasks
    "classification": ("xnli", "xcopa"), "structured prediction": ("udpos", "panx"),
    "question answering": ("xquad", "mlqa", "tydiqa"), RETRIEVAL: ("tatoeba", "mewslix", "lareqa"),
}  # fmt: skip
BY_FORMAT = {
    "classification": "classification", "multiple_choice": "classification",
    "tagging": "structured prediction", "span_qa": "question answering", "retrieval": RETRIEVAL,
}  # fmt: skip
TASKS = [task for tasks in GROUPS.values() for task in tasks]
# XLM-R Large on XTREME's test sets, and the same with the best intermediate task of each target,
# percent, English included (Phang et al. 2020, arXiv 2005.13013); XTREME has not these languages
PUBLISHED = {
    "xnli": ("accuracy", 79.2, 80.0), "udpos": ("f1", 73.8, 74.9), "panx": ("f1", 65.4, 64.0),
    "xquad": ("f1", 76.6, 78.7), "mlqa": ("f1", 71.6, 72.4), "tydiqa": ("f1", 65.1, 76.0),
}  # fmt: skip
ADDED = {"az", "gu", "ht", "lt", "pa", "pl", "qu", "ro", "uk", "wo"}


def group_of(target: str) -> str:
    """The group of a target task; ValueError for one that is in no table."""
    return BY_FORMAT[find_task(target, "target").format]


def group_weights(targets: Sequence[str]) -> dict[str, float]:
    """Weights that sum to 1: the same for each group that has a target, and within it for each."""
    groups = {name: group_of(name) for name in targets}
    sizes = Counter(groups.values())
    return {name: 1 / (len(sizes) * sizes[group]) for name, group in groups.items()}


def weigher(study: Study, plan: Plan | None) -> stats.Weigh:
    """How the study's averages weigh targets: by group, as its plan lists, or (None) equally."""
    if study.average == "groups":
        return group_weights
    given = plan.weights if plan else None
    return (lambda targets: given) if given else None


def further_averages(
    study: Study, baseline: str, treatment: str, margin: float
) -> dict[str, pd.DataFrame]:
    """What stands beside the planned average, by the name of the function that makes it: means,
    groups, xtreme_r, published, retrieval_layers; what a study has no use for is not there.
    """
    tables = {
        "xtreme_r": xtreme_r(study),
        "published": published(study),
        "retrieval_layers": retrieval_layers(study, (baseline, treatment), margin),
    }
    if study.average == "groups":
        tables = by_group(study, (baseline, treatment), margin) | tables
    return {name: table for name, table in tables.items() if len(table)}


def by_group(study: Study, arms: tuple[str, str], margin: float) -> dict[str, pd.DataFrame]:
    """Two arms compared on the means over groups, and on each group.

    Returns means (all groups, and without retrieval; no p_holm: each is a question of its own) and
    groups (a family), as `stats.family` makes them, and missing: groups that have no target here,
    and XTREME-R's tasks that are not in the others. A group without a target keeps its row, empty.
    """
    rows = study.predictions
    groups = {str(t): group_of(str(t)) for t in rows.target[rows.arm.isin(arms)].unique()}
    tables, group = {}, rows.target.astype(str).map(groups)
    foreign = [name for name in GROUPS if name != RETRIEVAL]
    wanted = {"means": {"all groups": [*GROUPS], "without retrieval": foreign}}
    for name, parts in (wanted | {"groups": {name: [name] for name in GROUPS}}).items():
        masks = {part: group.isin(own).to_numpy() for part, own in parts.items()}
        there = {part: mask for part, mask in masks.items() if mask.any()}
        table = stats.family(rows, arms, there, margin, group_weights)
        table = table.set_index("part").drop(columns=["intermediate", "blocks"])
        table = table.reindex([*parts]).reset_index()
        table = table.fillna({"targets": "", "note": "no target in this study"})
        missing = ([x for name in own for x in _missing(name, groups)] for own in parts.values())
        table["missing"] = [*map(", ".join, missing)]
        tables[name] = table
    return tables | {"means": tables["means"].drop(columns="p_holm")}


def retrieval_layers(study: Study, arms: tuple[str, str], margin: float) -> pd.DataFrame:
    """Two arms compared on plain retrieval, read from each layer that the study reads.

    A row a layer (-1: the last): whether it counts in the averages, `stats.family`'s columns (Holm
    over the layers), none's percent. Empty where retrieval is read from one layer only.
    """
    further = study.further_layers
    if not len(further):
        return pd.DataFrame()
    own = study.of_phase("target").set_index("target").retrieval_layer
    counted = study.predictions[study.predictions.target.isin(further.target.unique())]
    counted = counted.assign(layer=counted.target.map(own[~own.index.duplicated()]).astype(int))
    rows = pd.concat([counted.astype({"target": str}), further], ignore_index=True)
    layers = sorted(rows.layer.unique(), key=lambda layer: (layer == -1, layer))
    table = stats.family(rows, arms, {n: (rows.layer == n).to_numpy() for n in layers}, margin)
    none = rows[(rows.arm == "none") & (rows.language != "en")]
    macro = none.groupby(["layer", "target", "language"], observed=True).score.mean()
    macro = macro.groupby(["layer", "target"], observed=True).mean().groupby("layer").mean()
    table.insert(1, "counts", table.part.isin(counted.layer.unique()))
    return table.rename(columns={"part": "layer"}).assign(none=table.part.map(macro))


def _missing(group: str, groups: Mapping[str, str]) -> list[str]:
    """The group itself where no target is in it, else its tasks in XTREME-R that are no target."""
    has_any = group in groups.values()
    return [task for task in GROUPS[group] if task not in groups] if has_any else [group]


def _cells(study: Study, scores_of: Callable[[Any], Mapping[str, float]]) -> pd.DataFrame:
    """Percent by (task, language) and arm, mean over runs, of XTREME-R's tasks and languages.

    scores_of: a target run's scores by language.
    """
    rows = [
        (run.target, language, run.arm, score)
        for run in study.of_phase("target", "official").itertuples()
        if run.target in TASKS
        for language, score in scores_of(run).items()
        if language in find_task(run.target, "target").languages
    ]
    keys = ["task", "language", "arm"]
    cells = pd.DataFrame(rows, columns=[*keys, "score"]).groupby(keys).score.mean().unstack()
    return cells[arms_in_order(cells.columns)]


def xtreme_r(study: Study) -> pd.DataFrame:
    """XTREME-R's own average of what the study has of it, English included, and what is missing.

    Returns a row a task of the benchmark and one for their mean: task, languages, missing, data
    (what it is, as its files say), then percent by arm; an arm without all of the study's tasks
    has no mean. Empty where the study has none of the tasks.
    """
    cells = _cells(study, lambda run: run.scores)
    tasks, rows = cells.groupby("task").mean(), []
    for task in TASKS if len(cells) else ():
        official = find_task(task, "target").languages
        held = [*cells.loc[[task]].index.get_level_values(1)] if task in tasks.index else []
        missing = ", ".join(name for name in official if name not in held)
        data = _stated(study, task, held) if held else ""
        languages = f"{len(held)} of {len(official)}"
        rows.append((task, languages, missing if held else "the whole task", data))
    if rows:
        missing = ", ".join(task for task in TASKS if task not in tasks.index)
        rows.append(("mean", f"{len(tasks)} of {len(TASKS)} tasks", missing, ""))
    table = pd.DataFrame(rows, columns=["task", "languages", "missing", "data"])
    tasks.loc["mean"] = tasks.mean(skipna=False)
    return table.join(tasks, on="task")


def _stated(study: Study, task: str, languages: Sequence[str]) -> str:
    """One word where the data of all languages are the same, else each with its languages."""
    said, words = study.provenance, dict[str, list[str]]()
    for language in languages:
        corpora = [f"target/{task}/{split}-{language}" for split in ("test", "queries")]
        word = next((said[name] for name in corpora if name in said), "not stated")
        words.setdefault(word, []).append(language)
    if len(words) == 1:
        return next(iter(words))
    return "; ".join(f"{word}: {', '.join(own)}" for word, own in words.items())


def published(study: Study) -> pd.DataFrame:
    """`PUBLISHED` beside the study's arms, in its metrics and languages, as a check of size.

    Only tasks whose test data are said to be official in every language that counts. Columns
    task, metric, XLM-R Large, with intermediate task, percent by arm; empty where there are none.
    """

    def scores_of(run: Any) -> dict[str, float]:
        own = run.official if isinstance(run.official, dict) else {}
        own = own if run.target in PUBLISHED else {}
        return {name: s[PUBLISHED[run.target][0]] for name, s in own.items() if name not in ADDED}

    cells = _cells(study, scores_of)
    held = cells.reset_index("language").groupby("task").language
    official = [task for task, own in held if _stated(study, task, [*own]) == "official"]
    names = ["metric", "XLM-R Large", "with intermediate task"]
    figures = pd.DataFrame.from_dict(PUBLISHED, orient="index", columns=names)
    table = figures.join(cells.groupby("task").mean()).loc[official]
    return table.rename_axis("task").reset_index()
