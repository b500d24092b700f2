"""Which runs a study has: every (task, arm, seed) that its arms can serve.

Not every arm serves every task (`xgrl.arms.ArmSpec`): centring changes retrieval only, translated
needs translations. A study that names such an arm gets the cells that there are, and says which
ones there are not (`Grid.left_out`); an arm that would have no cell at all is refused, and baseline
and treatment must serve everything.
"""

from __future__ import annotations

from dataclasses import dataclass

from xgrl.arms import ARMS, arm_spec, is_arm, method_of, refusal
from xgrl.runs.params import BY_ARM, Study, nearest_names
from xgrl.tasks import find_task, translation_languages
from xgrl.tasks.formats import Task
from xgrl.tasks.parallel import SOURCES as PARALLEL

Cell = tuple[str, str, int]  # intermediate task ("none" for the public encoder), arm, seed


@dataclass(frozen=True)
class Grid:
    """The runs of a study; arm none has the intermediate task "none".

    Attributes:
        intermediate: (task, arm, seed) that are trained.
        target: (target, task, arm, seed).
        probe: (task, arm, seed).
        left_out: one sentence for each (arm, task) that an arm cannot serve.
    """

    intermediate: list[Cell]
    target: list[tuple[str, str, str, int]]
    probe: list[Cell]
    left_out: list[str]


def serves(study: Study, arm: str, task: Task) -> str:
    """Why an arm of a study cannot serve one of its tasks, "" where it can."""
    translations = translation_languages(task, study.fixed.sources)
    domains = study.nuisance.of_arm(arm, method_of(arm))["domains"]
    return refusal(arm, task, translations=translations, domains=domains)


def arms_with_texts(study: Study) -> list[str]:
    """Methods among a study's arms for which 01 prepares texts of their own; another arm or variant
    leaves 01 as it is.
    """
    named = {method_of(arm) for arm in (*study.scientific.arms, *study.scientific.probe_arms)}
    return [
        arm for arm, spec in ARMS.items() if arm in named and spec.text not in ("", "unlabelled")
    ]


def trains_nothing(target: Task) -> bool:
    """Retrieval with the vectors as they are: without intermediate training one run is all of them,
    whatever the seed.
    """
    return target.format == "retrieval" and not target.trained


def check_arms(study: Study) -> None:
    """ValueError, naming the arm and the reason, where an arm of a study can serve nothing, or not
    what it must.
    """
    s = study.scientific
    for key in BY_ARM:
        values = getattr(study.nuisance, key)
        if "default" not in values:
            raise ValueError(f"nuisance.{key}: no 'default'")
        for arm in values:
            if arm != "default" and not is_arm(arm):
                raise ValueError(
                    f"nuisance.{key}: unknown arm {arm!r}; {nearest_names(arm, ['default', *ARMS])}"
                )
    for arm in dict.fromkeys([*s.arms, *s.probe_arms]):
        spec, method = arm_spec(arm), method_of(arm)
        if arm != method and not any(arm in getattr(study.nuisance, key) for key in BY_ARM):
            raise ValueError(
                f"arms={arm!r}: the same as {method!r}, because none of "
                f"nuisance.{', '.join(BY_ARM)} has a value for {arm!r}"
            )
        if spec.checkpoint and spec.checkpoint not in s.arms:
            raise ValueError(
                f"arms={arm!r}: takes the checkpoints of {spec.checkpoint!r}, which is not among "
                f"the arms"
            )
        if spec.text == "pairs" and not set(study.fixed.sources) & set(PARALLEL):
            raise ValueError(
                f"arms={arm!r}: needs translation pairs; sources that have some: "
                f"{', '.join(PARALLEL)}"
            )
        for role, names in (("intermediate", s.intermediate), ("target", s.targets)):
            reasons = [serves(study, arm, find_task(name, role)) for name in names]
            must_all = arm in (s.baseline, s.treatment)
            if any(reasons) and (must_all or all(reasons)):
                raise ValueError(f"arms={arm!r}: {next(reason for reason in reasons if reason)}")


def grid(study: Study) -> Grid:
    """All runs of a checked study, in a fixed order."""
    s = study.scientific
    tasks = {name: find_task(name, "intermediate") for name in s.intermediate}
    targets = {name: find_task(name, "target") for name in s.targets}
    trained, applied, left_out = [], [], []
    for arm in s.arms:
        reasons = [
            {name: serves(study, arm, task) for name, task in table.items()}
            for table in (tasks, targets)
        ]
        left_out += [reason for found in reasons for reason in found.values() if reason]
        own, reached = ([name for name, reason in found.items() if not reason] for found in reasons)
        if arm_spec(arm).trains:
            trained += [(task, arm, seed) for task in own for seed in s.seeds]
        for name in reached:
            if arm == "none":
                applied += [
                    (name, "none", arm, seed)
                    for seed in (s.seeds[:1] if trains_nothing(targets[name]) else s.seeds)
                ]
            else:
                applied += [(name, task, arm, seed) for task in own for seed in s.seeds]
    probed = [
        (name, arm, seed)
        for arm in s.probe_arms
        for name, task in tasks.items()
        if not serves(study, arm, task)
        for seed in s.probe_seeds
    ]
    fine_tuned = [(s.probe_target, *cell) for cell in probed] if s.probe_target else []
    return Grid(_once(trained + probed), _once(applied + fine_tuned), probed, left_out)


def _once(cells: list) -> list:
    return list(dict.fromkeys(cells))
