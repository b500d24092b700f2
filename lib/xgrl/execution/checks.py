"""What is refused before any work starts: studies, jobs, notebooks and machines.

Types and ranges are checked by `xgrl.runs.params`, which has no tables; here are the names of
tasks, arms and languages, where data come from, files and folders. An error names all that is wrong
of a study or a job, and what is allowed.
"""

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xgrl.arms import ARMS, arm_spec, is_arm, refusal
from xgrl.execution import placement
from xgrl.execution.grid import wrong_arms
from xgrl.prepare.needed_files import not_official, wrong_files
from xgrl.runs import params, records
from xgrl.runs.params import each, nearest_names, of_task, source_of
from xgrl.tasks import OWN, TABLES, TASKS, UNREADABLE, Task, find_task, mixture_parts
from xgrl.tasks.descent import unfit
from xgrl.tasks.unlabelled import SOURCES as UNLABELLED

AHEAD_SECONDS = 60  # by which clocks of file systems may differ; 01 takes about as long
TEXTS = ("unlabelled", "parallel")  # what has sources beside tasks
BY_TASK = {  # values that a task may have of its own, and the parameters that name such tasks
    "sources": ("intermediate", "targets"), "train_rows": ("intermediate", "targets"),
    "dev_rows": ("intermediate", "targets"), "test_rows": ("targets",), "languages": ("targets",),
}  # fmt: skip
ROLES = {"intermediate": "intermediate", "targets": "target", "target": "target"}


class Refused(ValueError):
    """The job's parameters do not describe a job that can be run."""


def wrong_names(values: dict[str, Any]) -> list[str]:
    """What is wrong with names of tasks, arms and languages, and with where their data come from.

    values: a flat mapping of parameters. A sentence for each that is wrong: its value, what is
    allowed and the nearest match.
    """
    if UNREADABLE:
        return [UNREADABLE]
    kinds = (_wrong_tasks, _wrong_arms, _wrong_reports, _wrong_by_task, _wrong_training)
    kinds += (_wrong_languages, _wrong_sources)
    return [sentence for kind in kinds for sentence in kind(values)]


def _listed(values: dict[str, Any], key: str) -> list[str]:
    value = values.get(key, [])
    value = value if isinstance(value, list) else [value]
    return [name for name in value if isinstance(name, str)]


def _tasks(values: dict[str, Any], *keys: str) -> list[Task]:
    """The tasks that parameters name, without names that are wrong."""
    tables = ((TABLES[ROLES[key]], _listed(values, key)) for key in keys)
    return [table[name] for table, names in tables for name in names if name in table]


def _wrong_tasks(values: dict[str, Any]) -> Iterator[str]:
    for key, role in ROLES.items():
        for name in _listed(values, key):
            if name not in TABLES[role] and not (name == "none" and key == "intermediate"):
                kind = f"is a {TASKS[name].role} task, not" if name in TASKS else "is not"
                nearest = nearest_names(name, TABLES[role])
                yield f"{key}={name!r}: {kind} an available {role} task; {nearest}"


def _wrong_arms(values: dict[str, Any]) -> Iterator[str]:
    for key in ("arm", "arms", "baseline", "treatment", "probe_arms"):
        for name in _listed(values, key):
            if not is_arm(name):
                yield f"{key}={name!r}: unknown arm; {nearest_names(name, ARMS)}"


def _wrong_reports(values: dict[str, Any]) -> Iterator[str]:
    if lacking := [name for name in values.get("report_to", []) if not find_spec(name)]:
        there = ", ".join(filter(find_spec, params.REPORTS)) or "none"
        named = f"allowed: {', '.join(params.REPORTS)}; installed: {there}"
        todo = "make watch installs tensorboard; the others: .venv/bin/python -m pip install NAME"
        yield f"report_to: {', '.join(lacking)} not installed; {named}; {todo}"


def _wrong_by_task(values: dict[str, Any]) -> Iterator[str]:
    """A sentence for each name in a value by task that has no use, and for tasks without a value:
    each task has one of its own (``role/name`` or name), or there is a 'default'.
    """
    for key in (key for key in BY_TASK if isinstance(values.get(key), dict)):
        given, tasks = values[key], _tasks(values, *BY_TASK[key])
        if key in ("sources", "train_rows"):
            tasks += [find_task(task.first, "intermediate") for task in tasks if task.first]
        known = [name for task in tasks for name in (task.name, f"{task.role}/{task.name}")]
        known += ["default", *(TEXTS if key == "sources" else ())]
        for name in given:
            if name not in known:
                nearest = nearest_names(name, dict.fromkeys(known))
                yield f"{key}.{name}: not a task of this study that has {key}; {nearest}"
        wanted = [(task.name, task.role) for task in tasks if task.format != "mixture"]
        wanted += [(text, "") for text in TEXTS if key == "sources"]
        if missing := [name for name, role in wanted if of_task(given, name, role) is None]:
            yield f"{key}: nothing for {missing} and no 'default'"


def _wrong_training(values: dict[str, Any]) -> Iterator[str]:
    """A sentence for each target that cannot have the training that another one has."""
    given, targets = values.get("train_from") or {}, _listed(values, "targets")
    if isinstance(given, str):  # a job of one target
        given, targets = {values["target"]: given}, [*TABLES["target"]]
    for target, source in given.items():
        where = f"train_from.{target}={source!r}"
        both = _tasks({"targets": [target, source]}, "targets")
        if lacking := [name for name in (target, source) if name not in targets]:
            nearest = nearest_names(lacking[0], targets)
            yield f"{where}: {lacking[0]!r} is not a target of this study; {nearest}"
        elif source in given:
            yield f"{where}: it is in train_from too; name a target with training of its own"
        elif reason := unfit(*both) if len(both) == 2 else "":  # else their names are wrong
            yield f"{where}: {reason}"


def _wrong_languages(values: dict[str, Any]) -> Iterator[str]:
    """A sentence for each language that no target has, or not the one whose own languages they are,
    and for each target that has none of them.
    """
    given = values.get("languages", [])
    available = {task.name: set(task.languages) for task in _tasks(values, "targets")}
    named = set(given) if isinstance(given, dict) else set()
    own = {name for name in available if named & {name, f"target/{name}"}}
    known = set().union(*(available[name] for name in available if name not in own))
    if len(available) < len(_listed(values, "targets")):  # which one is meant is not known
        known = set().union(*(task.languages for task in TABLES["target"].values()))
    for name in (given.get("default", []) if named else given) if known else ():
        if name not in known:
            has = any(name in languages for languages in available.values())
            which = " without languages of its own" if has else ""
            nearest = nearest_names(name, known)
            yield f"languages={name!r}: no target of this study{which} has it; {nearest}"
    for target, languages in available.items():
        wanted = of_task(given, target, "target") or []
        for name in wanted if target in own else ():
            if name not in languages:
                others = [task for task in available if name in available[task]]
                has = f"of this study's targets {', '.join(others)} have it" if others else ""
                has = has or f"no target of this study has it; {nearest_names(name, languages)}"
                yield f"languages.{target}={name!r}: {target!r} lacks it; {has}"
        if not ((set(wanted) or languages) - {"en"}) & languages:
            allowed = ", ".join(sorted(languages))
            reason = f"target {target!r} has none of them; allowed: {allowed}"
            yield f"languages={wanted}: {reason}"


def _wrong_sources(values: dict[str, Any]) -> Iterator[str]:
    """A sentence for each task that comes from none of its sources, for files of the user's own
    that are missing, and where there is no text for the discriminator.
    """
    if not (given := values.get("sources")):
        return
    tasks = [(key, task) for key in BY_TASK["sources"] for task in _tasks(values, key)]
    tasks += [("targets", find_task(t.first, "intermediate")) for _, t in tasks if t.first]
    for key, task in tasks:
        sources = of_task(given, task.name, task.role)
        if task.format == "mixture":
            named = [other.name for other in _tasks(values, "intermediate")]
            if len(mixture_parts(task.name, named)) < 2:
                reason = "a mixture of all other intermediate tasks; name at least two of them"
                yield f"{key}={task.name!r}: {reason}"
        elif sources is not None and not {*sources} & {*task.sources}:
            reason = f"not available from sources={sources}; allowed: {', '.join(task.sources)}"
            yield f"{key}={task.name!r}: {reason}"
    if any("own" in sources for sources in each(given)):
        for name in dict.fromkeys(task.name for _, task in tasks if task.name in OWN):
            files = OWN[name].files
            if missing := [str(file) for file in files if not file.is_file()]:
                needed = ", ".join(map(str, files))
                yield f"task {name!r}: {', '.join(missing)} missing; its files are {needed}"
            if braced := [str(file) for file in files if {*"{}"} & {*str(file)}]:
                todo = "braces are wildcards to Snakemake; rename the folder or file"
                yield f"task {name!r}: {', '.join(braced)}: {todo}"
    source = source_of(given, UNLABELLED, "unlabelled")
    allowed = UNLABELLED[source] if source else UNLABELLED
    wanted = values.get("unlabelled_languages", [])
    unread = [name for name in wanted if name not in allowed] if allowed else []
    for name in unread if source else unread[:1]:
        reason = f"{of_task(given, 'unlabelled')} have no text in it for the discriminator"
        yield f"unlabelled_languages={name!r}: {reason}; {nearest_names(name, allowed)}"
    if (sources := of_task(given, "parallel")) is not None and not {*sources} & {*UNLABELLED}:
        allowed = f"none of them has translations; allowed: {', '.join(UNLABELLED)}"
        yield f"sources={sources} of parallel: {allowed}"


def check_dates(files: Iterable[str | Path]) -> None:
    """`Refused` for files of the user's that are dated ahead of the clock: Snakemake would take
    away what is made from them, as older than they are.
    """
    latest = time.time() + AHEAD_SECONDS
    there = filter(os.path.exists, files)
    if ahead := [str(file) for file in there if os.path.getmtime(file) > latest]:
        todo = "say touch and their names, or set the clock"
        raise Refused(f"{', '.join(ahead)}: dated ahead of this machine's clock; {todo}")


def check_tuned(config: dict[str, Any]) -> None:
    """`Refused` where what `make tune` writes into a study file is something else."""
    tuned = config.get("tuned") or {}
    if not isinstance(tuned, dict) or {*tuned} - {"scientific", "nuisance"}:
        todo = (
            "what make tune writes, values of scientific and nuisance; take it out and tune again"
        )
        raise Refused(f"study file {config.get('study', '?')!r}: tuned={tuned!r}: {todo}")


def check_study(config: dict[str, Any]) -> params.Study:
    """A study that can be run, from its merged files; ValueError, naming all that is wrong, before
    anything is computed.
    """
    check_tuned(config)
    try:
        study = params.load_study(config)
    except ValueError as error:
        raise Refused("; ".join([str(error), *_unknown(config.get("scientific"))])) from None
    values = study.scientific.model_dump() | study.fixed.model_dump()
    wrong = [*wrong_names(values), *_wrong_steps(study)]
    wrong += [] if _unknown(values) else wrong_arms(study)
    if wrong:
        raise Refused("; ".join(wrong))
    official = study.fixed.test_data == "official"
    if official and (other := not_official(study.job("01_prepare"))):
        todo = "leave these out, or say fixed.test_data: any"
        raise Refused(f"fixed.test_data='official': {'; '.join(other)}; {todo}")
    return study


def _unknown(values: Any) -> list[str]:
    """A sentence for each task and arm that there is not, of a mapping that may be anything."""
    return [*_wrong_tasks(values), *_wrong_arms(values)] if isinstance(values, dict) else []


def _wrong_steps(study: params.Study) -> Iterator[str]:
    """A sentence for each target that is trained on another task first, with no steps for that."""
    for task in _tasks(study.scientific.model_dump(), "targets"):
        trained = task.name in study.fixed.train_from
        if task.first and not trained and f"{task.name}-first" not in study.nuisance.target.steps:
            reason = f"{task.name!r} is trained on {task.first!r} first; say for how many steps"
            yield f"nuisance.target.steps: {reason}: {task.name}-first"


def check_job(notebook: str, values: dict[str, Any]) -> dict[str, Any]:
    """The complete parameters of one job, checked; `Refused` names what is wrong."""
    unknown = _unknown(values)
    try:
        values = params.validate(notebook, values)
    except ValueError as error:
        raise Refused("; ".join([str(error), *unknown])) from None
    if names := wrong_names(values):
        raise Refused("; ".join(names))
    try:
        wrong = wrong_files(values) if notebook == "01_prepare" else []
    except ValueError as error:
        raise Refused(str(error)) from None
    if wrong:
        (task, split, language, _, what), todo = wrong[0], "make check-data lists all"
        first = f"{task} {split} {language}: {what}".strip()
        raise Refused(f"{len(wrong)} files are missing or wrong, first {first}; {todo}")
    home, outputs = folder_of(notebook, values).resolve(), Path(values["outputs"]).resolve()
    if not home.is_relative_to(outputs):
        reason = f"a symbolic link in it leads to {home}; name the folder itself as outputs"
        raise Refused(f"outputs={values['outputs']!r}: {reason}")
    arm = values.get("arm", "")
    if notebook == "02_intermediate" and not arm_spec(arm).trains:
        raise Refused(f"arm={arm!r}: trains nothing; it has no intermediate run of its own")
    if arm and values["intermediate"] != "none":
        for role in ("intermediate", "target"):
            if role in values:
                task, domains = find_task(values[role], role), values.get("domains", "")
                if reason := refusal(arm, task, translations=None, domains=domains):
                    raise Refused(f"arm={arm!r}: {reason}")
    return values


def check_machine(notebook: str, values: dict[str, Any]) -> None:
    """`Refused` where this process has too few cores or no GPU, and before the first job of a study
    where it cannot write a folder that some job writes to.
    """
    name = "workers" if notebook == "01_prepare" else "threads"
    if values.get(name, 1) > (available := placement.cores()):
        limit = f"{available} cores are {placement.COUNTED}; allowed here: 1 to {available}"
        raise Refused(f"{name}={values[name]}: {limit}")
    if values.get("device") == "cuda":
        try:
            placement.check_gpu()
        except ValueError as error:
            raise Refused(str(error)) from None
    if notebook == "01_prepare":
        from xgrl.runs.cache import cache_folder

        _check_folder("cache", cache_folder(), "in XGRL_CACHE")
        if any("hub" in sources for sources in each(values["sources"])):
            from datasets.config import HF_DATASETS_CACHE

            # a group may share it: what another has fetched need only be read
            _check_folder("cache of data sets", Path(HF_DATASETS_CACHE), "in HF_HOME", inside=False)
        _check_folder("outputs", Path(values["outputs"], values["study"]), "as outputs")


def _check_folder(what: str, top: Path, where: str, inside: bool = True) -> None:
    """Can this user write a folder, which is made, and those in it?"""
    folder = top
    try:
        top.mkdir(parents=True, exist_ok=True)
        below = (path for path in sorted(top.iterdir()) if inside and path.is_dir())
        for folder in (top, *below):
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        folder = next(path for path in (folder, *folder.parents) if os.path.exists(path))
        reason = f"this user cannot write there ({error.strerror}, it belongs to {folder.owner()})"
        todo = f"name a folder of your own {where}, or have its owner give you access"
        raise Refused(f"{what} {folder}: {reason}; {todo}") from None


def check_notebook(path: str | Path) -> list[Any]:
    """A notebook's cells; `Refused` unless just one is its parameters, behind which papermill puts
    a job's values. Without, with two, or put elsewhere, the notebook's own would count instead.
    """
    import nbformat

    try:
        cells = nbformat.read(path, as_version=4).cells
        tags = {k: {*cell.metadata.get("tags", [])} for k, cell in enumerate(cells, 1)}
    except (OSError, ValueError, AttributeError, TypeError, nbformat.ValidationError) as error:
        raise Refused(f"{path}: not a notebook ({error})") from None
    tagged = [k for k in tags if "parameters" in tags[k]]
    injected = [k for k in tags if "injected-parameters" in tags[k] and k - 1 not in tagged]
    if len(tagged) != 1 or injected or cells[tagged[0] - 1].cell_type != "code":
        found = f"cells tagged 'parameters': {', '.join(map(str, tagged)) or 'none'}"
        found += f", and 'injected-parameters' elsewhere: {injected[0]}" if injected else ""
        todo = "a tool that cleans notebooks may have changed it: take the file from git again"
        raise Refused(f"{path}: {found}, expected one cell of code; {todo}")
    return cells


def folder_of(notebook: str, values: dict[str, Any]) -> Path:
    """Where the job with these parameters leaves its ``run.json``."""
    phase = notebook.split("_", 1)[1]
    names = () if phase == "prepare" else ("intermediate", "arm", "seed", "target")
    keys = {name: values[name] for name in names if name in values}
    return records.run_folder(values["outputs"], values["study"], phase, **keys)
