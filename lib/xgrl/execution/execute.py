"""Run one notebook for one job: validate, papermill, true exit status, the result file last.

    python -m xgrl.execution.execute notebooks/02_intermediate.ipynb OUT.ipynb -p arm dann -p seed 3

The job is described by its parameters alone. They are checked before a kernel starts: names, types
and ranges by `xgrl.runs.params`, names of tasks, arms and languages here. The process exits 0 only
if the kernel ran to its end *and* the notebook's ``run.json``, which it writes last, is there:
papermill marks the cells of a killed kernel as completed, so the executed notebook alone proves
nothing. A failed job keeps its executed notebook, with the traceback.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from xgrl.arms import ARMS, arm_spec, is_arm, refusal
from xgrl.execution import failures, placement
from xgrl.execution.grid import check_arms
from xgrl.prepare.needed_files import not_official, wrong_files
from xgrl.runs import params, records
from xgrl.runs.code import NOTEBOOK
from xgrl.runs.params import each, nearest_names, of_task, source_of
from xgrl.runs.study_files import parse
from xgrl.tasks import LOST, OWN, TABLES, TASKS, UNREADABLE, find_task, mixture_parts
from xgrl.tasks.descent import unfit
from xgrl.tasks.unlabelled import SOURCES as UNLABELLED

# jsonschema, under nbformat, compiles this package's grammar of IRIs on import: two seconds a job,
# for nothing used here.
sys.modules.setdefault("rfc3987_syntax", None)

SUMMARY = __doc__.split("\n")[0]
AHEAD_SECONDS = 60  # by which clocks of file systems may differ; 01 takes about as long
TEXTS = ("unlabelled", "parallel")  # what has sources beside tasks
BY_TASK = {  # values that a task may have of its own, and the parameters that name such tasks
    "sources": ("intermediate", "targets"), "train_rows": ("intermediate", "targets"),
    "dev_rows": ("intermediate", "targets"), "test_rows": ("targets",), "languages": ("targets",),
}  # fmt: skip
TRIES = 4  # of starting a kernel that talks through ports
ROLES = {"intermediate": "intermediate", "targets": "target", "target": "target"}


class Refused(ValueError):
    """The job's parameters do not describe a job that can be run."""


def check_names(values: dict[str, Any]) -> None:
    """Check names of tasks, arms and languages in a flat mapping of parameters.

    Raises Refused: naming the parameter, its value, what is allowed and the nearest match.
    """
    if UNREADABLE:
        raise Refused(UNREADABLE)
    for key, role in ROLES.items():
        for name in _listed(values, key):
            if name not in TABLES[role] and not (name == "none" and key == "intermediate"):
                kind = f"is a {TASKS[name].role} task, not" if name in TASKS else "is not"
                nearest = nearest_names(name, TABLES[role])
                raise Refused(f"{key}={name!r}: {kind} an available {role} task; {nearest}")
    for key in ("arm", "arms", "baseline", "treatment", "probe_arms"):
        for name in _listed(values, key):
            if not is_arm(name):
                raise Refused(f"{key}={name!r}: unknown arm; {nearest_names(name, ARMS)}")
    wrong = [sentence for key in BY_TASK for sentence in _wrong_tasks(values, key)]
    if lacking := [name for name in values.get("report_to", []) if not find_spec(name)]:
        there = ", ".join(filter(find_spec, params.REPORTS)) or "none"
        named = f"allowed: {', '.join(params.REPORTS)}; installed: {there}"
        todo = "make watch installs tensorboard; the others: .venv/bin/python -m pip install NAME"
        wrong.append(f"report_to: {', '.join(lacking)} not installed; {named}; {todo}")
    if wrong := wrong + list(_wrong_training(values)):
        raise Refused("; ".join(wrong))
    if "sources" in values:
        _check_sources(values)
        if any("own" in sources for sources in each(values["sources"])):
            _check_files([*values["intermediate"], *values["targets"]])
    _check_languages(values.get("languages", []), values.get("targets", []))


def _listed(values: dict[str, Any], key: str) -> list[str]:
    value = values.get(key, [])
    return value if isinstance(value, list) else [value]


def _wrong_tasks(values: dict[str, Any], key: str) -> Iterator[str]:
    """A sentence for each name in a value by task that has no use, and for tasks without a value:
    each task has one of its own (``role/name`` or name), or there is a 'default'.
    """
    if not isinstance(given := values.get(key), dict):
        return
    tasks = [TABLES[ROLES[k]][name] for k in BY_TASK[key] for name in _listed(values, k)]
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
        if lacking := [name for name in (target, source) if name not in targets]:
            nearest = nearest_names(lacking[0], targets)
            yield f"{where}: {lacking[0]!r} is not a target of this study; {nearest}"
        elif source in given:
            yield f"{where}: it is in train_from too; name a target with training of its own"
        elif reason := unfit(*(TABLES["target"][name] for name in (target, source))):
            yield f"{where}: {reason}"


def _check_languages(given: Any, targets: list[str]) -> None:
    """Has some target each language that is wanted, or that one whose own languages they are, and
    each target one of them?
    """
    available = {name: set(TABLES["target"][name].languages) for name in targets}
    named = set(given) if isinstance(given, dict) else set()
    own = {name for name in targets if named & {name, f"target/{name}"}}
    known = set().union(*(available[name] for name in available if name not in own))
    for name in given.get("default", []) if named else given:
        if known and name not in known:
            nearest = nearest_names(name, known)
            raise Refused(f"languages={name!r}: no target of this study has it; {nearest}")
    wrong = []
    for target, languages in available.items():
        wanted = of_task(given, target, "target")
        for name in wanted if target in own else ():
            if name not in languages:
                others = [task for task in available if name in available[task]]
                has = f"of this study's targets {', '.join(others)} have it" if others else ""
                has = has or f"no target of this study has it; {nearest_names(name, languages)}"
                wrong.append(f"languages.{target}={name!r}: {target!r} lacks it; {has}")
        if not ((set(wanted) or languages) - {"en"}) & languages:
            allowed = ", ".join(sorted(languages))
            reason = f"target {target!r} has none of them; allowed: {allowed}"
            wrong.append(f"languages={wanted}: {reason}")
    if wrong:
        raise Refused("; ".join(wrong))


def _check_files(names: list[str]) -> None:
    """Are the files of the user's own tasks there?"""
    for name, files in {name: OWN[name].files for name in names if name in OWN}.items():
        if missing := [str(file) for file in files if not file.is_file()]:
            needed = ", ".join(map(str, files))
            raise Refused(f"task {name!r}: {', '.join(missing)} missing; its files are {needed}")


def _check_sources(values: dict[str, Any]) -> None:
    """Does each task come from one of the sources, and is there text for the discriminator?"""
    tasks = [(k, TABLES[ROLES[k]][name]) for k in BY_TASK["sources"] for name in values.get(k, [])]
    tasks += [("targets", TABLES["intermediate"][task.first]) for _, task in tasks if task.first]
    for key, task in tasks:
        if task.format == "mixture":
            if len(mixture_parts(task.name, values["intermediate"])) < 2:
                reason = "a mixture of all other intermediate tasks; name at least two of them"
                raise Refused(f"{key}={task.name!r}: {reason}")
        elif not set(sources := of_task(values["sources"], task.name, task.role)) & {*task.sources}:
            reason = f"not available from sources={sources}; allowed: {', '.join(task.sources)}"
            raise Refused(f"{key}={task.name!r}: {reason}")
    sources = of_task(values["sources"], "unlabelled")
    source = source_of(values["sources"], UNLABELLED, "unlabelled")
    for name in values.get("unlabelled_languages", []):
        if not source or (UNLABELLED[source] and name not in UNLABELLED[source]):
            nearest = nearest_names(name, UNLABELLED[source] if source else UNLABELLED)
            reason = f"{sources} have no text in it for the discriminator; {nearest}"
            raise Refused(f"unlabelled_languages={name!r}: {reason}")
    if not {*(sources := of_task(values["sources"], "parallel"))} & {*UNLABELLED}:
        allowed = f"none of them has translations; allowed: {', '.join(UNLABELLED)}"
        raise Refused(f"sources={sources} of parallel: {allowed}")


def check_dates(files: Iterable[str | Path]) -> None:
    """`Refused` for files of the user's that are dated ahead of the clock: Snakemake would take
    away what is made from them, as older than they are.
    """
    latest = time.time() + AHEAD_SECONDS
    there = filter(os.path.exists, files)
    if ahead := [str(file) for file in there if os.path.getmtime(file) > latest]:
        todo = "say touch and their names, or set the clock"
        raise Refused(f"{', '.join(ahead)}: dated ahead of this machine's clock; {todo}")


def check_study(config: dict[str, Any]) -> params.Study:
    """A study that can be run, from its merged files; ValueError before anything is computed."""
    if not isinstance(tuned := config.get("tuned") or {}, dict):
        todo = "what make tune writes, values by block of this file; take it out and tune again"
        raise Refused(f"study file {config.get('study', '?')!r}: tuned={tuned!r}: {todo}")
    study = params.load_study(config)
    check_names(study.scientific.model_dump() | study.fixed.model_dump())
    check_arms(study)
    official = study.fixed.test_data == "official"
    if official and (other := not_official(study.job("01_prepare"))):
        todo = "leave these out, or say fixed.test_data: any"
        raise Refused(f"fixed.test_data='official': {'; '.join(other)}; {todo}")
    for name in study.scientific.targets:
        first = TABLES["target"][name].first
        if (
            first
            and name not in study.fixed.train_from
            and f"{name}-first" not in study.nuisance.target.steps
        ):
            reason = f"{name!r} is trained on {first!r} first; say for how many steps"
            raise Refused(f"nuisance.target.steps: {reason}: {name}-first")
    return study


def check_job(notebook: str, values: dict[str, Any]) -> dict[str, Any]:
    """The complete parameters of one job, checked; `Refused` names what is wrong."""
    try:
        values = params.validate(notebook, values)
    except ValueError as error:
        raise Refused(str(error)) from None
    check_names(values)
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


def run(
    notebook: str | Path, output: str | Path, values: dict[str, Any], *,
    warm: bool = True, minutes: float | None = None,
) -> Path:  # fmt: skip
    """Execute `notebook` with `values` and leave the executed copy at `output`.

    notebook: path of a notebook named in `xgrl.runs.params.JOBS`. output: where the executed
    notebook goes, written by papermill after every cell. values: the job's parameters; what is not
    given takes the notebook's default. warm: start the kernel from the fork server where that is
    possible (`kernels`). minutes: a longer cell is stopped; None: no limit. Returns the path of the
    run's ``run.json``. Raises Refused: before a kernel starts, when the parameters are wrong, this
    machine is, or the notebook has no place for them. Raises RuntimeError: when the notebook ended
    without its ``run.json``, or ran other parameters; papermill's own error when a cell failed.
    """
    import papermill

    from xgrl.execution import kernels

    notebook, output = Path(notebook), Path(output)
    values = check_job(notebook.stem, values)
    check_notebook(notebook)
    check_machine(notebook.stem, values)
    record = folder_of(notebook.stem, values) / "run.json"
    record.unlink(missing_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    if not warm:
        os.environ["XGRL_WARM"] = "0"
    os.environ[NOTEBOOK] = str(notebook.resolve())
    kernels.install()
    execute = partial(
        papermill.execute_notebook, str(notebook), str(output), parameters=values,
        kernel_name=kernels.KERNEL, progress_bar=False, cwd=os.getcwd(),
        execution_timeout=minutes and max(1, round(minutes * 60)),
        # killed, for its last words would take a second: what it has to say was written by then
        shutdown_kernel="immediate",
    )  # fmt: skip
    # where there are only ports, two kernels that start together may choose the same
    tries = 1 if kernels.socket_home(tempfile.gettempdir()) else TRIES
    with placement.one_gpu() if values.get("device") == "cuda" else nullcontext():
        for left in reversed(range(tries)):
            try:
                execute()
                break
            except RuntimeError as error:
                # not where a cell has run
                if not left or failures.ASKED or "kernel_info" not in str(error):
                    raise
    if not record.exists():
        reason = f"the kernel ended without writing {record}; it was killed, or ran out of memory"
        raise RuntimeError(f"{output}: {reason}")
    ran = records.read(record.parent)["parameters"]
    if other := [name for name in values if ran.get(name) != values[name]]:
        record.unlink()
        reason = ", ".join(f"{name}={ran.get(name)!r}, asked {values[name]!r}" for name in other)
        raise RuntimeError(f"{output}: a cell changed what the job was asked to do: {reason}")
    return record


def _arguments() -> argparse.Namespace:
    """The command line; argparse, since a job would start half a second later with typer."""
    parser = argparse.ArgumentParser("python -m xgrl.execution.execute", description=SUMMARY)
    add = parser.add_argument
    add("notebook", type=Path)
    add("output", type=Path, help="the executed notebook")
    pair = {"nargs": 2, "action": "append", "default": [], "metavar": ("NAME", "VALUE")}
    add("-p", "--parameter", **pair, help="VALUE is YAML")
    add("--json", default="{}", help="parameters as one JSON object")
    add("--minutes", type=float, help="a cell that runs longer is stopped (no limit without)")
    ending = "end when the process that started this one has ended"
    add("--with-parent", action="store_true", help=ending)
    add("--cold", action="store_true", help="start a fresh kernel instead of a warm one")
    return parser.parse_args()


def _values(arguments: argparse.Namespace) -> dict[str, Any]:
    """The parameters on the command line; `Refused` where they are not JSON or YAML."""
    given = f"--json {arguments.json[:80]!r}"
    try:
        values = json.loads(arguments.json)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{given}: not JSON ({error})") from None
    if not isinstance(values, dict):
        raise Refused(f"{given}: expected one object of names and values")
    # from the Snakefile: to set one is no reason to run a job again
    fields = getattr(params.JOBS.get(arguments.notebook.stem), "model_fields", ())
    options = json.loads(os.environ.get("XGRL_OPTIONS", "{}"))
    values = {key: value for key, value in options.items() if key in fields} | values
    for name, text in arguments.parameter:
        try:
            values[name] = parse(text)
        except ValueError as error:
            todo = f"quote it twice: -p {name} \"'...'\""
            raise Refused(f"-p {name} {text[:80]!r}: {error}; {todo}") from None
    return values


def main() -> int:
    """Command line: 0 finished, 1 failed, 2 refused before it began, 75 stopped, to continue."""
    arguments = _arguments()
    notebook, output = arguments.notebook, arguments.output
    warm, minutes = not arguments.cold, arguments.minutes
    if arguments.with_parent:
        failures.end_with_parent()
    try:
        if not notebook.exists():
            raise Refused(f"{notebook}: no such notebook")
        record = run(notebook, output, _values(arguments), warm=warm, minutes=minutes)
        for sentence in json.loads(record.read_bytes())["warnings"]:
            if sentence.endswith(LOST):
                print(sentence, file=sys.stderr)
        print(record)
    except Refused as error:
        print("refused:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    # a failed job must exit 1 whatever went wrong in its kernel; the traceback is in the notebook
    except Exception as error:
        if sentence := failures.to_be_continued(error):
            print(sentence, file=sys.stderr)
            return failures.CONTINUED
        reason = failures.explain(error, minutes)
        print(f"failed: {reason}\nthe executed notebook: {output}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    failures.end_on_signal()
    sys.exit(main())
