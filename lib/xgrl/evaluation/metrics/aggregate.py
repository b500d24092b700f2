"""The benchmark's averages: over a task's languages, over a group's tasks, over all tasks.

XTREME's script takes a task's mean over languages, a group's mean over its tasks, and its overall
score as the mean over tasks, not over groups; a group, or the overall score, is given only when all
its tasks are there. Sources: Hu et al. 2020, arXiv 2003.11080; Ruder et al. 2021, arXiv 2104.07412;
and their evaluation script (whose list for XTREME-R leaves LAReQA, which is scored apart, out of
the retrieval group; the paper has it there, and so has this).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

GROUPS = {
    "xtreme": {
        "classification": ("xnli", "pawsx"),
        "structured prediction": ("udpos", "panx"),
        "question answering": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("bucc2018", "tatoeba"),
    },
    "xtreme-r": {
        "classification": ("xnli", "xcopa"),
        "structured prediction": ("udpos", "panx"),
        "question answering": ("xquad", "mlqa", "tydiqa"),
        "retrieval": ("tatoeba", "mewslix", "lareqa"),
    },
}
LANGUAGES = ("all", "zero-shot")


@dataclass(frozen=True)
class Aggregate:
    """Averages in percent.

    Attributes:
        tasks: mean over languages of each task.
        groups: mean over the tasks of each complete group.
        average: mean over all tasks, the benchmark's overall score; None when a task is missing.
        over_groups: mean over the groups, in which each group weighs the same; None when a task is
            missing.
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
    tasks = {}
    for task, by_language in scores.items():
        if task not in members:
            raise ValueError(
                f"task {task!r} is not in {benchmark}; its tasks: {', '.join(members)}"
            )
        for language, value in by_language.items():
            if not 0 <= value <= 100:  # false for NaN too
                raise ValueError(
                    f"{task}, {language}: found {value!r}, expected a score from 0 to 100"
                )
        kept = [
            value
            for language, value in by_language.items()
            if languages == "all" or language != "en"
        ]
        if not kept:
            raise ValueError(
                f"task {task!r} has no scores in the languages asked for ({languages}), found "
                f"{list(by_language)}"
            )
        tasks[task] = _mean(kept)
    groups = {
        group: _mean([tasks[task] for task in group_tasks])
        for group, group_tasks in GROUPS[benchmark].items()
        if tasks.keys() >= set(group_tasks)
    }
    complete = len(groups) == len(GROUPS[benchmark])
    return Aggregate(
        tasks,
        groups,
        _mean([*tasks.values()]) if complete else None,
        _mean([*groups.values()]) if complete else None,
    )


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
