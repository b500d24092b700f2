"""Run one notebook for one job: validate, papermill, true exit status, the result file last.

    python -m xgrl.execution.execute notebooks/02_intermediate.ipynb OUT.ipynb -p arm dann -p seed 3

The job is described by its parameters alone. They are checked before a kernel starts: names, types
and ranges by `xgrl.runs.params`, all else by `xgrl.execution.checks`. The process exits 0 only
if the kernel ran to its end *and* the notebook's ``run.json``, which it writes last, is there:
papermill marks the cells of a killed kernel as completed, so the executed notebook alone proves
nothing. A failed job keeps its executed notebook, with the traceback.
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from xgrl.execution import failures, placement
from xgrl.execution.checks import (
    Refused,
    check_job,
    check_machine,
    check_notebook,
    folder_of,
)
from xgrl.runs import params, records
from xgrl.runs.code import NOTEBOOK
from xgrl.runs.study_files import parse
from xgrl.tasks import LOST

# jsonschema, under nbformat, compiles this package's grammar of IRIs on import: two seconds a job,
# for nothing used here.
sys.modules.setdefault("rfc3987_syntax", None)

SUMMARY = __doc__.split("\n")[0]
TRIES = 4  # of starting a kernel that talks through ports


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
