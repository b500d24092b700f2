"""The benchmark's averages: over a task's languages, over a group's tasks, over all tasks.

XTREME's script takes a task's mean over languages, a group's mean over its tasks, and its overall
score as the mean over tasks, not over groups; a group, or the overall score, is given only when all
its tasks are there. Sources: Hu et al. 2020, arXiv 2003.11080; Ruder et al. 2021, arXiv 2104.07412;
and their evaluation script (whose list for XTREME-R leaves LAReQA, which is scored apart, out of
the retrieval group; the paper has it there, and so has this).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

NAMES = ("classification", "structured prediction", "question answering", "retrieval")
TAGGED, ASKED = ("udpos", "panx"), ("xquad", "mlqa", "tydiqa")
MEMBERS = {
    "xtreme": (("xnli", "pawsx"), TAGGED, ASKED, ("bucc2018", "tatoeba")),
    "xtreme-r": (("xnli", "xcopa"), TAGGED, ASKED, ("tatoeba", "mewslix", "lareqa")),
}
GROUPS = {name: dict(zip(NAMES, tasks, strict=True)) for name, tasks in MEMBERS.items()}
LANGUAGES = ("all", "zero-shot")


@dataclass(frozen=True)
class Aggregate:
    """Averages in percent.

    tasks: mean over languages of each task. groups: mean over the tasks of each complete group.
    average: mean over all tasks, the benchmark's overall score; over_groups: mean over the groups,
    in which each group weighs the same; both None when a task is missing.
    """

    tasks: dict[str, float]
    groups: dict[str, float]
    average: float | None
    over_groups: float | None


def aggregate(
    scores: Mapping[str, Mapping[str, float]], languages: str = "all", benchmark: str = "xtreme"
) -> Aggregate:
    """Macro averages of headline scores.

    scores: task -> language -> headline in percent (`xgrl.evaluation.scoring.headline`). languages:
    "all", as the leaderboards have it, or "zero-shot": without English. benchmark: "xtreme" or
    "xtreme-r". Raises ValueError for an unknown argument, a task the benchmark does not have, a
    task without languages, or a score that is not a number from 0 to 100.
    """
    if languages not in LANGUAGES:
        raise ValueError(f"languages={languages!r}: allowed: {', '.join(LANGUAGES)}")
    if benchmark not in GROUPS:
        raise ValueError(f"benchmark={benchmark!r}: allowed: {', '.join(GROUPS)}")
    members = [task for group in GROUPS[benchmark].values() for task in group]
    names = ", ".join(members)
    tasks = {}
    for task, own in scores.items():
        if task not in members:
            raise ValueError(f"task {task!r} is not in {benchmark}; its tasks: {names}")
        for language, value in own.items():
            if not 0 <= value <= 100:  # false for NaN too
                raise ValueError(f"{task}, {language}: found {value!r}, expected 0 to 100")
        kept = [value for language, value in own.items() if languages == "all" or language != "en"]
        if not kept:
            raise ValueError(f"task {task!r} has no scores ({languages} languages): {list(own)}")
        tasks[task] = fmean(kept)
    complete = {name: own for name, own in GROUPS[benchmark].items() if tasks.keys() >= {*own}}
    groups = {name: fmean(tasks[task] for task in own) for name, own in complete.items()}
    if len(groups) < len(GROUPS[benchmark]):
        return Aggregate(tasks, groups, None, None)
    return Aggregate(tasks, groups, fmean(tasks.values()), fmean(groups.values()))
