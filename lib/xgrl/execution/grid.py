"""Which runs a study has: every (task, arm, seed) that its arms can serve.

Not every arm serves every task (`xgrl.arms.ArmSpec`): centring changes retrieval only, translated
needs translations. A study that names such an arm gets the cells that there are, and says which
ones there are not (`Grid.left_out`); an arm that would have no cell at all is refused, and baseline
and treatment must serve everything.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from xgrl.arms import ARMS, arm_spec, checkpoint_of, is_arm, method_of, refusal
from xgrl.runs.params import BY_ARM, Study, nearest_names, of_task, source_of
from xgrl.runs.records import is_unpacked, run_folder
from xgrl.tasks import TABLES, find_task, translation_languages
from xgrl.tasks.descent import shares_model
from xgrl.tasks.formats import Task
from xgrl.tasks.parallel import SOURCES as PARALLEL

Cell = tuple[str, str, int]  # intermediate task ("none" for the public encoder), arm, seed


@dataclass(frozen=True)
class Grid:
    """The runs of a study; arm none has the intermediate task "none".

    intermediate: (task, arm, seed) that are trained. target: (target, task, arm, seed). probe:
    (task, arm, seed). left_out: one sentence for each (arm, task) that an arm cannot serve.
    """

    intermediate: list[Cell]
    target: list[tuple[str, str, str, int]]
    probe: list[Cell]
    left_out: list[str]


def serves(study: Study, arm: str, task: Task) -> str:
    """Why an arm, or the one whose checkpoint it takes, cannot serve a task; "" if it can."""
    sources = of_task(study.fixed.sources, task.name, task.role) or ()
    translations = translation_languages(task, sources)
    domains = study.nuisance.of_arm(arm, method_of(arm))["domains"]
    reason, of = refusal(arm, task, translations=translations, domains=domains), checkpoint_of(arm)
    return reason or (serves(study, of, task) if of != arm else "")


def arms_with_texts(study: Study) -> list[str]:
    """Methods among a study's arms with texts of their own; other arms leave 01 as it is."""
    named = {method_of(arm) for arm in (*study.scientific.arms, *study.scientific.probe_arms)}
    own = [arm for arm, spec in ARMS.items() if spec.text not in ("", "unlabelled")]
    return [arm for arm in own if arm in named]


def shared_models(study: Study) -> dict[str, str]:
    """Targets that are tested with the model that was fine-tuned on another one, and that one."""
    return {
        name: source
        for name, source in study.fixed.train_from.items()
        if shares_model(find_task(name, "target"), find_task(source, "target"))
    }


def trains_nothing(target: Task) -> bool:
    """Retrieval with the vectors as they are: for the public encoder one run is all seeds'."""
    return target.format == "retrieval" and not target.trained


def wrong_arms(study: Study) -> list[str]:
    """A sentence for each arm that serves nothing, or not what it must, and for each name by arm
    that there is not; the arms themselves are known.
    """
    s = study.scientific
    given = {f"nuisance.{key}": values for key, values in study.nuisance.by_arm().items()}
    given["scientific.seeds"] = s.seeds
    wrong = []
    for key, values in ((key, by) for key, by in given.items() if isinstance(by, dict)):
        if "default" not in values:
            wrong.append(f"{key}: no 'default'")
        for arm in values:
            if arm != "default" and not is_arm(arm):
                nearest = nearest_names(arm, ["default", *ARMS])
                wrong.append(f"{key}: unknown arm {arm!r}; {nearest}")
    if wrong:
        return wrong
    for arm in dict.fromkeys([*s.arms, *s.probe_arms]):
        wrong += [f"arms={arm!r}: {reason}" for reason in _unusable(study, arm)]
    return [*_wrong_seeds(study), *_wrong_steps(study), *wrong]


def seeds_of(study: Study, arm: str) -> list[int]:
    """The seeds of an arm of a study."""
    if (found := study.scientific.seeds_of(arm, method_of(arm))) is None:
        raise ValueError(f"scientific.seeds: nothing for {arm!r} and no 'default'")
    return found


def _wrong_seeds(study: Study) -> Iterator[str]:
    """What is wrong with a study's seeds: too few in common, or those of a checkpoint missing."""
    s = study.scientific
    arms = dict.fromkeys([*s.arms, *s.probe_arms])
    for arm in s.seeds if isinstance(s.seeds, dict) else ():
        if arm != "default" and arm not in {*arms, *map(method_of, arms)}:
            yield f"scientific.seeds: {arm!r} is not among the arms {list(arms)}"
    shared = set(seeds_of(study, s.baseline)) & set(seeds_of(study, s.treatment))
    if len(s.intermediate) * len(shared) < 2:
        given = f"{s.intermediate} and scientific.seeds={s.seeds}"
        reason = "a comparison needs two blocks (task x seed) or more; add a seed or a task"
        yield f"scientific.intermediate={given}: {reason}"
    given, every = f"scientific.probe_seeds: {s.probe_seeds}", set()
    for arm in s.probe_arms:
        every |= set(own := seeds_of(study, arm))
        if s.probe_seeds and not set(s.probe_seeds) & set(own):
            yield f"{given}: none is among the seeds {own} of {arm!r}"
    if s.probe_arms and (strange := sorted(set(s.probe_seeds) - every)):
        yield f"{given}: no probed arm has the seeds {strange}"
    for arm in s.arms:
        of = checkpoint_of(arm)
        if is_arm(of) and (lacking := set(seeds_of(study, arm)) - set(seeds_of(study, of))):
            takes = f"{arm!r} takes the checkpoints of {of!r}"
            yield f"scientific.seeds: {takes}, which has no seeds {sorted(lacking)}"


def _wrong_steps(study: Study) -> Iterator[str]:
    """What is wrong with the names of steps and batch sizes, by task or by arm and task."""
    for (stage, table), kind in product(TABLES.items(), ("steps", "batch_size")):
        known = [*table, *(f"{task.name}-first" for task in table.values() if task.first)]
        for key in getattr(getattr(study.nuisance, stage), kind):
            arm, slash, task = key.rpartition("/")
            where = f"nuisance.{stage}.{kind}.{key}"
            allowed = [*(study.scientific.intermediate if slash else known), "default"]
            if slash and not is_arm(arm):
                yield f"{where}: unknown arm {arm!r}; {nearest_names(arm, ARMS)}"
            if task not in allowed:
                what = f"{stage} task{' of this study' if slash else ''}"
                yield f"{where}: {task!r} is no {what}; {nearest_names(task, allowed)}"


def _unusable(study: Study, arm: str) -> Iterator[str]:
    """Why a study cannot have an arm."""
    s, spec, method, of = study.scientific, arm_spec(arm), method_of(arm), checkpoint_of(arm)
    own = [{key.rpartition("/")[0]: key for key in study.nuisance.intermediate.steps}]
    own += [values for values in study.nuisance.by_arm().values() if isinstance(values, dict)]
    if arm != method and not spec.checkpoint and not any(arm in values for values in own):
        keys = ", ".join([*BY_ARM, "intermediate.steps"])
        yield f"the same as {method!r}, because none of nuisance.{keys} has a value for {arm!r}"
    if of != arm and not (of in s.arms and arm_spec(of).trains):
        trained = ", ".join(other for other in s.arms if arm_spec(other).trains)
        takes = f"takes the checkpoints of {of!r}, which is not among the arms that train"
        yield f"{takes}; these are: {trained}"
        return
    if arm == "none" and arm in s.probe_arms:
        yield "trains nothing, so that no checkpoint of it can be among scientific.probe_arms"
    if spec.vectors and arm in s.probe_arms:
        yield f"has the features of {of!r}: name that among scientific.probe_arms instead"
    if spec.text == "pairs" and not source_of(study.fixed.sources, PARALLEL, "parallel"):
        yield f"needs translation pairs; sources that have some: {', '.join(PARALLEL)}"
    for role, names in (("intermediate", s.intermediate), ("target", s.targets)):
        reasons = [serves(study, arm, find_task(name, role)) for name in names]
        if all(reasons) or arm in (s.baseline, s.treatment):
            yield from filter(None, reasons)


def grid(study: Study) -> Grid:
    """All runs of a checked study, in a fixed order."""
    s = study.scientific
    tasks = {name: find_task(name, "intermediate") for name in s.intermediate}
    targets = {name: find_task(name, "target") for name in s.targets}
    trained, applied, probed, left_out = [], [], [], []

    def served(arm: str, table: dict[str, Task]) -> list[str]:
        reasons = {name: serves(study, arm, task) for name, task in table.items()}
        left_out.extend(filter(None, reasons.values()))
        return [name for name, reason in reasons.items() if not reason]

    for arm in s.arms:
        own, reached, seeds = served(arm, tasks), served(arm, targets), seeds_of(study, arm)
        if arm_spec(arm).trains:
            trained += product(own, [arm], seeds)
        for name in reached:
            once = arm == "none" and trains_nothing(targets[name])
            sources = ["none"] if arm == "none" else own
            applied += product([name], sources, [arm], seeds[:1] if once else seeds)
    for arm in s.probe_arms:
        names = [name for name, task in tasks.items() if not serves(study, arm, task)]
        seeds = [seed for seed in s.probe_seeds if seed in seeds_of(study, arm)]
        probed += product(names, [arm], seeds)
    reached = [shared_models(study).get(s.probe_target), s.probe_target]
    fine_tuned = [(name, *cell) for name in reached if name for cell in probed]
    read = [(name, checkpoint_of(arm), seed) for name, arm, seed in probed]
    return Grid(_once(trained + read), _once(applied + fine_tuned), probed, left_out)


def parameters_of_runs(study: Study) -> dict[str, dict[str, Any]]:
    """The parameters of every run of a study before 05, by its folder below the study's own."""
    found, names = grid(study), ("target", "intermediate", "arm", "seed")
    asked = {"prepared": study.job("01_prepare", arms=arms_with_texts(study))}
    phases = {"intermediate": found.intermediate, "target": found.target, "probe": found.probe}
    for number, (phase, cells) in enumerate(phases.items(), 2):
        for cell in cells:
            keys = dict(zip(names[-len(cell) :], cell, strict=True))
            job = study.job(f"0{number}_{phase}", method_of(keys["arm"]), **keys)
            asked[str(run_folder("", "", phase, **keys))] = job
    return asked


def runs_of_part(study: Study, part: str) -> list[str]:
    """The runs of some checkpoints of a study, each with all its targets and probes: folders below
    the study's own, some of those of `parameters_of_runs`.

    part: checkpoints, separated by blanks: ``qa.dann:0`` is the one of an arm, ``qa:0`` those of
    all arms of a block, ``none:0`` the public encoder, whose retrieval without training, one run
    for all seeds, belongs to its first. ValueError for whatever in it names none.
    """
    folders: dict[str, dict[str, list[str]]] = {}  # of a name's runs, by seed
    for folder, job in parameters_of_runs(study).items():
        if "seed" in job:
            task, arm, seed = job["intermediate"], job["arm"], str(job["seed"])
            for name in {task, "none" if arm == "none" else f"{task}.{arm}"}:
                folders.setdefault(name, {}).setdefault(seed, []).append(folder)
    pieces = part.split()
    wrong = dict.fromkeys(filter(None, (_wrong_checkpoint(folders, piece) for piece in pieces)))
    if wrong or not pieces:
        todo = "write task.arm:seed, task:seed for all its arms, or none:seed, separated by blanks"
        raise ValueError(f"PART={part!r}: {'; '.join(wrong) or 'it is empty'}; {todo}")
    named = [piece.rpartition(":") for piece in pieces]
    return _once([folder for name, _, seed in named for folder in folders[name][seed]])


def _wrong_checkpoint(folders: dict[str, dict[str, list[str]]], piece: str) -> str:
    """Why a piece of a part names no checkpoint of a study; "" where it does."""
    name, _, seed = piece.rpartition(":")
    task, _, arm = name.partition(".")
    if not name or not seed:
        return f"{piece!r} is no name and seed"
    if task not in folders:
        near = nearest_names(task, [other for other in folders if "." not in other])
        return f"{task!r} is no intermediate task of this study; {near}"
    if name not in folders:
        arms = [other.partition(".")[2] for other in folders if other.startswith(f"{task}.")]
        return f"{task!r} has no arm {arm!r} in this study; {nearest_names(arm, arms)}"
    if seed not in folders[name]:
        return f"{name!r} has no seed {seed!r}; allowed: {', '.join(folders[name])}"
    return ""


def lacking_weights(study: Study, runs: Iterable[str]) -> str:
    """What to do where some of these runs (folders below the study's) are missing and read the
    weights of one that came in a pack; "" where none does.
    """
    root, jobs, needed = Path(study.outputs, study.study), parameters_of_runs(study), {}
    for name in (name for name in runs if not (root / name / "run.json").exists()):
        keys = {key: jobs[name][key] for key in ("intermediate", "arm", "seed")}
        reads = []
        if keys["arm"] != "none" and not name.startswith("intermediate"):
            trained = keys | {"arm": checkpoint_of(keys["arm"])}
            reads = [run_folder(root.parent, root.name, "intermediate", **trained)]
        tested = shared_models(study).get(jobs[name].get("target"))
        if other := tested or jobs[name].get("probe_target"):
            reads.append(run_folder(root.parent, root.name, "target", **keys, target=other))
        needed |= {folder / "run.json": name for folder in reads if is_unpacked(folder)}
    if not needed:
        return ""
    first, weights = next(iter(needed.values())), "came in packs, which hold no weights"
    todo = "delete these, and they are made again, with the same bits on the same kind of processor"
    return f"{first} is missing and reads runs that {weights}; {todo}: {' '.join(map(str, needed))}"


def _once(cells: list) -> list:
    return list(dict.fromkeys(cells))
